"""What the demo logs is in the store with the trace of its request, whoever logged it: handlers, threads, jobs."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from demo.tenants import PASSWORD, user_email
from product_process import ProductProcess
from server_process import ServerProcess, read_store

from waiting import eventually

pytestmark = pytest.mark.xdist_group("app logs")

SECRET = "hunter2-never-stored"
LOGS = """
SELECT scope_name, body, severity_text, tenant, hex(trace_id) AS trace, hex(span_id) AS span, toJSONString(attributes)
FROM logs ORDER BY time FORMAT JSONCompact
"""


class Line:
    """One row of the table `logs`."""

    def __init__(self, row: list[Any]) -> None:
        self.logger, self.body, self.level, self.tenant, self.trace, self.span = row[:6]
        self.attributes: dict[str, str] = json.loads(row[6]) if isinstance(row[6], str) else row[6]


def sign_in(client: httpx2.Client, tenant: str) -> str:
    answer = client.post("/api/v1/auth/login", json={"email": user_email(tenant, 1), "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["token"]
    return token


def use(client: httpx2.Client, tenant: str) -> None:
    """What somebody does: a sync and an async handler, an upload with its thread, an export with its background job."""
    headers = {"authorization": f"Bearer {sign_in(client, tenant)}", "x-request-id": f"req-{tenant}"}
    client.headers.update(headers)
    project = client.get("/api/v1/projects").json()[0]["id"]
    report = client.get(f"/api/v1/projects/{project}").json()["reports"][0]["id"]
    client.post(f"/api/v1/projects/{project}/reports/{report}/exports")
    client.post(f"/api/v1/projects/{project}/attachments", files={"file": ("a.txt", b"hello")})
    invoice = client.get("/api/v1/invoices").json()[0]["id"]
    client.post(f"/api/v1/invoices/{invoice}/render")
    del client.headers["authorization"]
    client.post("/api/v1/auth/login", json={"email": user_email(tenant, 1), "password": SECRET})


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Line], dict[str, str]]:
    """The rows of `logs` after both tenants have worked, and the routes of the traces by their id."""
    folder = tmp_path_factory.mktemp("logs")
    server = ServerProcess(folder)
    server.start()
    arguments = ["product", "--port", "0", "--data", str(folder / "product"), "--latency", "0"]
    product = ProductProcess(arguments, {"TOCSIN_ENDPOINT": server.url}, folder / "product.log")
    product.wait_until_up()
    try:
        for tenant in ("acme", "globex"):
            with product.client(tenant) as client:
                use(client, tenant)
        logged = folder / "product" / "exports"
        eventually(lambda: len(list(logged.glob("statement-*.csv"))) > 1, "the statements are written")
    finally:
        product.stop()
        server.drained()
        server.stop()
    spans = (
        "SELECT hex(trace_id), any(attributes['http.route']) FROM spans WHERE attributes['http.route'] != '' GROUP BY 1"
    )
    rows, traces = read_store(server.data, LOGS, spans)
    return [Line(row) for row in rows], {row[0]: row[1] for row in traces}


def find(lines: list[Line], tenant: str, event: str) -> Line:
    found = [line for line in lines if line.attributes.get("event") == event and line.tenant == tenant]
    assert found, f"no {event} of {tenant} among {sorted({line.attributes.get('event', '') for line in lines})}"
    return found[0]


@pytest.mark.parametrize("tenant", ["acme", "globex"])
@pytest.mark.parametrize(
    ("event", "route"),
    [
        ("sign_in.succeeded", "/api/v1/auth/login"),  # a plain function in the threadpool
        ("invoice.rendered", "/api/v1/invoices/{invoice_id}/render"),  # a coroutine function; the renderer is away
        ("attachment.scanned", "/api/v1/projects/{project_id}/attachments"),  # a thread of its own
        ("export.ready", "/api/v1/projects/{project_id}/reports/{report_id}/exports"),  # a background task
    ],
)
def test_a_line_opens_the_trace_of_its_request(
    stored: tuple[list[Line], dict[str, str]], tenant: str, event: str, route: str
) -> None:
    lines, traces = stored
    line = find(lines, tenant, "invoice.failed" if event == "invoice.rendered" else event)
    assert traces[line.trace] == route
    assert int(line.span, 16)


@pytest.mark.parametrize("tenant", ["acme", "globex"])
def test_a_job_s_line_has_its_own_trace_and_tenant(stored: tuple[list[Line], dict[str, str]], tenant: str) -> None:
    lines, traces = stored
    line = find(lines, tenant, "statement.written")
    assert int(line.trace, 16)
    assert line.trace not in traces


def test_lines_say_who_asked(stored: tuple[list[Line], dict[str, str]]) -> None:
    lines, _ = stored
    line = find(lines, "acme", "export.queued")
    assert line.attributes["request.id"] == "req-acme"
    assert line.attributes["enduser.id"].isdigit()
    assert line.attributes["code.function.name"] == "queue_export"
    assert (line.level, line.logger) == ("INFO", "tallyroom.exports")


def test_failed_sign_ins_are_told_without_the_password(stored: tuple[list[Line], dict[str, str]]) -> None:
    lines, _ = stored
    failed = [line for line in lines if line.attributes.get("event") == "sign_in.failed"]
    assert len(failed) == 2
    assert not any(SECRET in line.body or SECRET in str(line.attributes) for line in lines)


def test_each_request_has_a_line(stored: tuple[list[Line], dict[str, str]]) -> None:
    lines, traces = stored
    told = {line.trace for line in lines if line.logger == "tallyroom.access"}
    assert set(traces) - told <= {trace for trace, route in traces.items() if route == "/health"}
