"""First start, one-time links, the settings' forms, the REST routes, and the headers on all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from access_site import PASSWORD, Site, csrf_in, open_site, sign_in, token_of
from fastapi.testclient import TestClient

from tocsin.model.access import Role
from tocsin.model.control import SYSTEM
from tocsin.storage.control import ControlStore
from tocsin.web.pages.audit import told

ADA, TOM = "ada@acme.example", "tom@acme.example"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = open_site(tmp_path)
    yield opened
    opened.control.close()


@pytest.fixture
def admin(site: Site) -> TestClient:
    return site.signed_in(ADA)


def post(browser: TestClient, path: str, **form: str):  # type: ignore[no-untyped-def]
    return browser.post(path, data=form | token_of(browser))


def id_of(site: Site, email: str) -> str:
    return next(user.id for user in site.control.users.all() if user.email == email)


def shown_secret(page: str) -> str:
    found = re.search(r"(?:http://[^\s<\"]+/)?tcs_(?:set|key|api)_[\w-]{43}", page)
    assert found, page
    return found[0]


def test_first_start_makes_the_administrator_by_link(site: Site, tmp_path: Path) -> None:
    site.app.state.tocsin.control = fresh = ControlStore.open(f"sqlite:///{tmp_path}/fresh.db")
    link = fresh.setup.first_admin_link()
    assert link
    browser = site.visitor()
    page = browser.get(f"/setup/{link.secret}")
    assert "Create the first administrator" in page.text
    form = {"email": "grace@acme.example", "name": "Grace", "csrf": csrf_in(page)}
    short = browser.post(f"/setup/{link.secret}", data=form | {"password": "short"})
    assert short.status_code == 422
    assert "use 12 or more" in short.text
    assert 'value="grace@acme.example"' in short.text
    done = browser.post(f"/setup/{link.secret}", data=form | {"password": PASSWORD})
    assert (done.status_code, done.headers["location"]) == (303, "/")
    assert browser.get("/api/v1/users").json()["users"][0]["role"] == "admin"
    again = site.visitor().get(f"/setup/{link.secret}")
    assert again.status_code == 410
    assert "used already" in again.text
    assert "<form" not in again.text
    fresh.close()


def test_setup_form_needs_its_csrf_token(site: Site, admin: TestClient) -> None:
    secret = shown_secret(post(admin, f"/settings/users/{id_of(site, ADA)}/link").text).rpartition("/")[2]
    answer = site.visitor().post(f"/setup/{secret}", data={"password": PASSWORD})
    assert answer.status_code == 403
    assert site.control.setup.look_up(secret)


def test_new_user_sets_a_password_by_link_once(site: Site, admin: TestClient) -> None:
    made = post(admin, "/settings/users", email="zoe@globex.example", role="tenant_viewer", tenants="globex, acme")
    assert made.status_code == 200
    url = shown_secret(made.text)
    assert url.startswith("http://testserver/setup/tcs_set_")
    browser = site.visitor()
    assert sign_in(browser, "zoe@globex.example", "").status_code == 401
    csrf = csrf_in(browser.get(url))
    assert browser.post(url, data={"password": PASSWORD, "csrf": csrf}).status_code == 303
    assert browser.get("/api/v1/services").json()["name"] == "zoe@globex.example"
    assert site.visitor().get(url).status_code == 410


def test_expired_link_says_so(site: Site, admin: TestClient) -> None:
    url = shown_secret(post(admin, f"/settings/users/{id_of(site, ADA)}/link").text)
    site.clock.turn(86_400)
    page = site.visitor().get(url)
    assert (page.status_code, "expired" in page.text) == (410, True)


def test_last_admin_cannot_be_disabled_or_demoted(site: Site, admin: TestClient) -> None:
    user_id = id_of(site, ADA)
    for answer in (
        post(admin, f"/settings/users/{user_id}/disable"),
        post(admin, f"/settings/users/{user_id}", role="viewer"),
        site.automation().patch(f"/api/v1/users/{user_id}", json={"is_disabled": True}),
        site.automation().patch(f"/api/v1/users/{user_id}", json={"role": "viewer"}),
    ):
        assert answer.status_code == 409
        assert "nobody else has it" in answer.json()["detail"]
    assert admin.get("/api/v1/users").status_code == 200


def test_users_are_changed_disabled_and_enabled_by_form(site: Site, admin: TestClient) -> None:
    user_id = id_of(site, "vera@acme.example")
    changed = post(admin, f"/settings/users/{user_id}", role="tenant_viewer", tenants="acme,globex", name="Vera V")
    assert (changed.status_code, changed.headers["location"]) == (303, "/settings/users")
    user = site.control.users.get(user_id)
    assert (user.role, user.tenants, user.name) == (Role.TENANT_VIEWER, {"acme", "globex"}, "Vera V")
    assert post(admin, f"/settings/users/{user_id}/disable").status_code == 303
    assert site.control.users.get(user_id).is_disabled
    assert post(admin, f"/settings/users/{user_id}/enable").status_code == 303
    assert not site.control.users.get(user_id).is_disabled


def test_key_is_shown_once_and_revoked_by_form(site: Site, admin: TestClient) -> None:
    page = post(admin, "/settings/keys", name="acme <app>", environment="production", spans_per_second="100")
    assert "Ingest key acme &lt;app&gt;" in page.text
    assert page.headers["cache-control"] == "no-store"
    (key,) = site.control.keys.all()
    assert key.spans_per_second == 100
    assert shown_secret(page.text) not in admin.get("/api/v1/keys").text
    assert post(admin, f"/settings/keys/{key.id}/revoke").headers["location"] == "/settings/keys"
    assert site.control.keys.live() == {}
    assert post(admin, "/settings/keys", name="x", spans_per_second="many").status_code == 422


def test_token_is_made_and_revoked_by_form(site: Site, admin: TestClient) -> None:
    secret = shown_secret(post(admin, "/settings/tokens", name="ci", role="operator").text)
    assert site.automation(secret).post("/api/v1/silences").status_code == 200
    (token,) = site.control.tokens.all()
    assert post(admin, f"/settings/tokens/{token.id}/revoke").status_code == 303
    assert site.automation(secret).post("/api/v1/silences").status_code == 401


def test_rest_manages_users(site: Site) -> None:
    client = site.automation()
    made = client.post("/api/v1/users", json={"email": "zoe@globex.example", "role": "viewer"})
    assert made.status_code == 201
    assert "/setup/tcs_set_" in made.json()["setup_url"]
    user_id = made.json()["user"]["id"]
    twice = client.post("/api/v1/users", json={"email": "ZOE@globex.example", "role": "viewer"})
    assert twice.status_code == 409
    changed = client.patch(f"/api/v1/users/{user_id}", json={"role": "tenant_viewer", "tenants": ["globex"]})
    assert changed.json()["tenants"] == ["globex"]
    assert client.patch(f"/api/v1/users/{user_id}", json={"is_disabled": True}).json()["is_disabled"] is True
    assert client.get(f"/api/v1/users/{user_id}").json()["is_disabled"] is True
    assert client.post(f"/api/v1/users/{user_id}/password-link").status_code == 422
    assert client.get("/api/v1/users/usr_none").status_code == 404


def test_rest_manages_keys_and_tokens(site: Site) -> None:
    client = site.automation()
    for noun, body in (("keys", {"name": "acme"}), ("tokens", {"name": "acme", "role": "viewer"})):
        made = client.post(f"/api/v1/{noun}", json=body)
        assert made.status_code == 201
        item = made.json()[noun.removesuffix("s")]
        assert made.json()["secret"] not in client.get(f"/api/v1/{noun}").text
        assert client.delete(f"/api/v1/{noun}/{item['id']}").json()["revoked_at"] is not None
        assert client.delete(f"/api/v1/{noun}/none").status_code == 404
        assert client.post(f"/api/v1/{noun}", json=body | {"name": " "}).status_code == 422
    naive = {"name": "x", "role": "viewer", "expires_at": "2030-01-01T00:00:00"}
    assert client.post("/api/v1/tokens", json=naive).status_code == 422


def test_rest_reads_the_audit_log_by_page(site: Site) -> None:
    client = site.automation()
    for number in range(3):
        client.post("/api/v1/keys", json={"name": f"key {number}"})
    page = client.get("/api/v1/audit", params={"limit": 2, "action": "key.create"}).json()
    assert [entry["detail"]["name"] for entry in page["entries"]] == ["key 2", "key 1"]
    rest = {"limit": 2, "action": "key.create", "before_id": page["next_before_id"]}
    last = client.get("/api/v1/audit", params=rest).json()
    assert ([entry["detail"]["name"] for entry in last["entries"]], last["next_before_id"]) == (["key 0"], None)


def test_openapi_describes_access_with_its_answers(site: Site) -> None:
    paths = site.visitor().get("/api/openapi.json").json()["paths"]
    assert set(paths["/api/v1/users"]["post"]["responses"]) >= {"201", "401", "403", "409", "422"}
    assert "/settings/users" not in paths
    for path in (path for path in paths if path.startswith(("/api/v1/users", "/api/v1/keys", "/api/v1/audit"))):
        for method, operation in paths[path].items():
            assert "$ref" in str(operation["responses"]), (method, path)
            assert operation["security"], (method, path)


def test_every_answer_carries_security_headers(site: Site, admin: TestClient) -> None:
    for path in ("/sign-in", "/api/v1/users", "/nothing", "/setup/none"):
        headers = admin.get(path).headers
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    assert "strict-transport-security" in site.visitor("https://testserver").get("/sign-in").headers


def test_pages_have_no_inline_script_or_style(site: Site, admin: TestClient) -> None:
    pages = [site.visitor().get("/sign-in").text, post(admin, "/settings/keys", name="acme").text]
    pages += [site.visitor().get("/setup/none").text]
    for page in pages:
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page)


@pytest.mark.parametrize("path", ["/sign-in", "/setup/none", "/settings/keys", "/api/v1/keys"])
def test_huge_body_is_refused_before_anybody_is_asked(site: Site, path: str) -> None:
    body = b"email=" + b"x" * 1_100_000
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert site.visitor().post(path, content=body, headers=form).status_code == 413


def test_mounted_server_keeps_its_paths_and_cookies_below_the_mount(site: Site) -> None:
    from fastapi import FastAPI

    product = FastAPI()
    product.mount("/monitoring", site.app)
    browser = TestClient(product, follow_redirects=False)
    sent_away = browser.get("/monitoring/services")
    assert sent_away.headers["location"] == "/monitoring/sign-in?next=/monitoring/services"
    page = browser.get(sent_away.headers["location"])
    form = {"email": ADA, "password": PASSWORD, "next": "/monitoring/services", "csrf": csrf_in(page)}
    done = browser.post("/monitoring/sign-in", data=form)
    assert done.headers["location"] == "/monitoring/services"
    assert "Path=/monitoring" in done.headers["set-cookie"]
    assert browser.get("/monitoring/api/v1/services").json()["name"] == ADA
    assert TestClient(product).get("/monitoring/api/v1/services").status_code == 401


def test_audit_says_what_changed_in_words(site: Site) -> None:
    tom = next(user for user in site.control.users.all() if user.email == TOM)
    site.control.users.change(SYSTEM, tom.id, name="Tom", role=Role.TENANT_VIEWER, tenants=["globex", "acme"])
    site.control.users.change(SYSTEM, tom.id, name="Tom", role=Role.VIEWER, tenants=[])
    entries = site.control.audit.entries(action="user.change")
    assert [told(entry) for entry in entries] == [
        [("role", "tenant viewer → viewer"), ("tenants", "acme and globex → none")],
        [("name", f"{TOM} → Tom"), ("tenants", "acme → acme and globex")],
    ]
    created = site.control.audit.entries(action="user.create")
    assert [("email", TOM), ("role", "tenant viewer"), ("tenants", "acme")] in [told(entry) for entry in created]
