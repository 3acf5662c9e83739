"""Getting in: the first administrator's link, roles, tokens, throttling, and the command line of the same machine."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator

import pytest
from otlp_senders import PROTOBUF, export, span
from server_process import ADMIN_TOKEN, ServerProcess
from visitor import PASSWORD, csrf_in, first_administrator, person, submit

from waiting import eventually

pytestmark = pytest.mark.xdist_group("access")


@pytest.fixture(scope="module")
def server(shared_server: ServerProcess) -> Iterator[ServerProcess]:
    """A server whose administrator ada followed the link of the first start."""
    with first_administrator(shared_server, "ada@acme.example") as ada:
        assert ada.get("/settings/users").status_code == 200
        yield shared_server


def test_first_starts_link_works_once_and_is_not_printed_again(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(is_first_start=True)
    path = server.setup_link.removeprefix(server.url)
    with first_administrator(server, "ada@acme.example"), server.client(token="") as late:
        assert late.get(path).status_code == 410
    server.stop()
    server.start()
    assert server.setup_link == ""


def test_link_of_a_first_start_that_nobody_followed_is_replaced(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server()
    assert server.setup_link
    server.kill()
    server.start()
    with first_administrator(server, "ada@acme.example") as ada:
        assert ada.get("/").status_code == 200


def test_nobody_gets_in_without_signing_in(server: ServerProcess) -> None:
    with server.client(token="") as visitor:
        for path in ("/", "/services", "/traces", "/tenants", "/settings/keys"):
            answer = visitor.get(path)
            assert (answer.status_code, answer.headers["location"][:8]) == (303, "/sign-in"), path
        for path in ("/api/v1/services", "/api/v1/traces", "/api/v1/tenants", "/api/v1/doctor", "/api/v1/users"):
            assert visitor.get(path).status_code == 401, path
        for path in ("/-/healthy", "/-/ready", "/api/v1/monitoring/health", "/api/v1/monitoring/status"):
            assert visitor.get(path).status_code == 200, path


@pytest.mark.parametrize(
    ("role", "tenants", "doctor", "users"),
    [
        ("admin", [], 200, 200),
        ("operator", [], 200, 403),
        ("viewer", [], 200, 403),
        ("tenant_viewer", ["acme"], 403, 403),
    ],
)
def test_tokens_and_people_may_do_what_their_role_may(
    server: ServerProcess, role: str, tenants: list[str], doctor: int, users: int
) -> None:
    with server.client() as admin:
        made = admin.post("/api/v1/tokens", json={"name": role, "role": role, "tenants": tenants}).json()
    with server.client(made["secret"]) as program, person(server, f"{role}@acme.example", role, *tenants) as browser:
        for client in (program, browser):
            statuses = [client.get(f"/api/v1/{noun}").status_code for noun in ("services", "doctor", "users")]
            assert statuses == [200, doctor, users]
        with server.client() as admin:
            assert admin.delete(f"/api/v1/tokens/{made['token']['id']}").status_code == 200
        answer = program.get("/api/v1/services")
        assert (answer.status_code, "expired or revoked" in answer.text) == (401, True)


def test_form_of_another_site_is_refused(server: ServerProcess) -> None:
    with person(server, "eve@acme.example", "admin") as browser:
        page = browser.get("/settings/keys")
        for fields in ({}, {"csrf": "0" * 64}):
            assert browser.post("/settings/keys", data={"name": "stolen"} | fields).status_code == 403
        crossing = {"sec-fetch-site": "cross-site"}
        form = {"name": "stolen", "csrf": csrf_in(page)}
        assert browser.post("/settings/keys", data=form, headers=crossing).status_code == 403
        assert browser.delete("/api/v1/keys/any").status_code == 403
        assert "stolen" not in str(server.ask("/api/v1/keys"))
        assert browser.post("/settings/keys", data=form | {"name": "mine"}).status_code in (200, 303)
        assert "mine" in str(server.ask("/api/v1/keys"))


def test_guessing_a_password_is_slowed_down_for_that_account_alone(server: ServerProcess) -> None:
    with person(server, "victim@acme.example", "viewer"), person(server, "bystander@acme.example", "viewer"):
        pass
    with server.client(token="") as guesser:
        statuses = []
        for number in range(8):
            fields = {"email": "victim@acme.example", "password": f"guess number {number}"}
            answer = submit(guesser, "/sign-in", fields)
            statuses.append(answer.status_code)
        assert statuses[0] == 401
        assert statuses[-1] == 429
        assert int(answer.headers["retry-after"]) >= 1
        fields = {"email": "bystander@acme.example", "password": PASSWORD}
        assert submit(guesser, "/sign-in", fields).status_code == 303


def test_only_a_trusted_proxy_says_who_asks_and_how(
    server: ServerProcess, start_server: Callable[..., ServerProcess]
) -> None:
    behind = start_server(
        environ={"TOCSIN_SERVER_TRUSTED_PROXIES": "127.0.0.1", "TOCSIN_AUTH_ATTEMPTS_PER_MINUTE": "1"}
    )
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    with server.client(token="") as direct, behind.client(token="") as proxied:
        assert "Secure" not in direct.get("/sign-in", headers=forwarded).headers["set-cookie"]
        answer = proxied.get("/sign-in", headers=forwarded)
        assert "Secure" in answer.headers["set-cookie"]
        assert "max-age" in answer.headers["strict-transport-security"]
        guesses = [("203.0.113.9", 410), ("203.0.113.9", 429), ("203.0.113.10", 410)]
        for ip, expected in guesses:
            assert proxied.get("/setup/tcs_set_guess", headers={"X-Forwarded-For": ip}).status_code == expected


def test_local_token_is_the_owners_alone_and_only_looks(server: ServerProcess) -> None:
    token = server.data / "local-token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    with server.client(token.read_text()) as owner:
        assert owner.get("/api/v1/doctor").status_code == 200
        assert owner.get("/api/v1/users").status_code == 403


def test_doctor_answers_with_exit_codes(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server()
    asked = ["doctor", "--url", server.url]
    own = {"TOCSIN_ADMIN_TOKEN": ""}
    idle = server.command(*asked, "--data", str(server.data), environ=own)
    assert (idle.returncode, "nothing was sent in the last 15 minutes" in idle.stdout) == (1, True), idle.stdout
    with server.client(token="") as sender:
        assert sender.post("/v1/traces", content=export([span()]), headers=PROTOBUF).status_code == 200

    def well() -> bool:
        states = {check["name"]: check["state"] for check in server.ask("/api/v1/doctor")["checks"]}
        return {state for name, state in states.items() if name != "disk"} == {"ok"}

    eventually(well, "every check is well")
    done = server.command(*asked, "--data", str(server.data), "--json", environ=own)
    states = {check["name"]: check["state"] for check in json.loads(done.stdout)["checks"]}
    assert states.pop("disk") in ("ok", "warning")  # of the machine the tests run on
    assert set(states.values()) == {"ok"}
    assert done.returncode in (0, 1)
    strangers = server.command(*asked, "--data", "/nowhere", environ=own)
    assert strangers.returncode == 2
    assert "401: cannot tell who is asking" in strangers.stdout
    with_token = server.command(*asked, "--data", "/nowhere", environ={"TOCSIN_API_TOKEN": ADMIN_TOKEN})
    assert with_token.returncode == done.returncode
    server.stop()
    down = server.command(*asked)
    assert (down.returncode, "start it with tocsin serve" in down.stdout) == (2, True), down.stdout


def test_config_explain_names_each_value_and_its_origin(server: ServerProcess) -> None:
    wide = {"COLUMNS": "250", "TOCSIN_INGEST_MAX_EVENTS": "77"}
    shown = server.command("config", "explain", environ=wide)
    assert shown.returncode == 0, shown.stderr
    lines = {line.split()[0]: line for line in shown.stdout.splitlines()}
    assert "77" in lines["ingest.max_events"]
    assert "environment" in lines["ingest.max_events"]
    assert "default" in lines["server.port"]
    assert ADMIN_TOKEN not in shown.stdout


@pytest.mark.parametrize(
    ("environ", "toml", "advice"),
    [
        ({"TOCSIN_INGEST_MAX_EVENT": "7"}, "", "TOCSIN_INGEST_MAX_EVENTS"),
        ({}, "[ingest]\nmax_evnts = 7\n", "max_events"),
        ({"TOCSIN_INGEST_MAX_EVENTS": "many"}, "", "TOCSIN_INGEST_MAX_EVENTS"),
    ],
    ids=["environment", "file", "value"],
)
def test_unknown_setting_stops_the_start_with_the_nearest_name(
    server: ServerProcess, environ: dict[str, str], toml: str, advice: str
) -> None:
    file = server.data.parent / "odd.toml"
    file.write_text(toml)
    refused = server.command(
        "serve", "--config", str(file), "--data", str(server.data.parent / "unused"), environ=environ
    )
    assert refused.returncode == 2
    assert advice in refused.stderr
    assert "Traceback" not in refused.stderr


def test_second_server_on_the_same_folder_or_port_is_refused_in_one_line(server: ServerProcess) -> None:
    same_folder = server.command("serve", "--port", "0", "--grpc-port", "-1", "--data", str(server.data))
    port = server.url.rpartition(":")[2]
    unused = str(server.data.parent / "unused")
    same_port = server.command("serve", "--port", port, "--grpc-port", "-1", "--data", unused)
    same_grpc_port = server.command("serve", "--port", "0", "--grpc-port", str(server.grpc_port), "--data", unused)
    for refused, advice in (
        (same_folder, "is another tocsin serve using this data folder?"),
        (same_port, "choose another with --port"),
        (same_grpc_port, "choose another with --grpc-port"),
    ):
        assert (refused.returncode, advice in refused.stderr) == (2, True), refused.stderr
        assert "Traceback" not in refused.stderr
        assert "is ready on" not in refused.stdout


def test_lost_password_is_set_anew_with_a_link_from_the_machine(server: ServerProcess) -> None:
    with person(server, "lost@acme.example", "viewer"):
        pass
    made = server.command("users", "link", "lost@acme.example", "--data", str(server.data), "--url", server.url)
    assert made.returncode == 0, made.stderr
    path = made.stdout.strip().removeprefix(server.url)
    with server.client(token="") as browser:
        assert submit(browser, path, {"password": "another horse battery"}).status_code == 303
    with server.client(token="") as browser:
        fields = {"email": "lost@acme.example", "password": "another horse battery"}
        assert submit(browser, "/sign-in", fields).status_code == 303
    unknown = server.command("users", "link", "nobody@acme.example", "--data", str(server.data))
    assert (unknown.returncode, "nobody has that address" in unknown.stderr) == (2, True)
    administered = server.command("users", "link", "--data", str(server.data))
    assert (administered.returncode, "there is an administrator" in administered.stderr) == (2, True)


def test_nothing_secret_is_logged(server: ServerProcess) -> None:
    log = server.log()
    assert ADMIN_TOKEN not in log
    assert PASSWORD not in log
    assert "Traceback" not in log
