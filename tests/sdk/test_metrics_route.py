"""The app's own /metrics: the names Prometheus users expect, right with several workers, also recycled ones."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from math import floor, log2
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import tocsin
from tocsin.sdk.agent import close_agent
from tocsin.sdk.agents import current_agent
from tocsin.sdk.exposition import Family, render
from tocsin.sdk.router import create_metrics_router
from tocsin.sdk.totals import BOUNDS, bucket_of
from tocsin.sdk.workers import WorkerTotals, group_name
from waiting import PATIENCE_SECONDS, eventually, is_listening


def value(text: str, sample: str) -> float:
    """The value of a sample, by its beginning as it stands in the text."""
    found = [line for line in text.splitlines() if line.startswith(sample)]
    assert len(found) == 1, f"{sample}: {found}"
    return float(found[0].rpartition(" ")[2])


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(create_metrics_router())

    @app.get("/orders/{order_id}")
    def order(order_id: int) -> dict[str, int]:
        return {"order": order_id} if order_id else 1 // order_id  # type: ignore[return-value]

    tocsin.instrument(
        app, service="shop", tenant="header:X-Tenant-ID", endpoint="http://127.0.0.1:9", metrics_tenants=2
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
    agent = current_agent()
    assert agent is not None
    close_agent(agent, 0.1)


def test_requests_are_counted_by_route_status_and_tenant(client: TestClient) -> None:
    for tenant in ("acme", "acme", "globex"):
        client.get("/orders/7", headers={"X-Tenant-ID": tenant})
    client.get("/orders/0", headers={"X-Tenant-ID": "acme"})
    text = client.get("/metrics").text
    orders = 'method="GET",route="/orders/{order_id}"'
    assert value(text, f'http_requests_total{{{orders},status="200",tenant="acme"}}') == 2
    assert value(text, f'http_requests_total{{{orders},status="200",tenant="globex"}}') == 1
    assert value(text, f'http_errors_total{{error_type="ZeroDivisionError",{orders},tenant="acme"}}') == 1
    assert value(text, f'http_request_duration_seconds_bucket{{le="+Inf",{orders},status="200"}}') == 3
    size = 3 * len('{"order":7}') + len("Internal Server Error")
    assert value(text, f"http_response_size_bytes_sum{{{orders}}}") == size
    assert value(text, "http_requests_active") == 1  # the one that asks


def test_tenants_past_the_bound_are_other(client: TestClient) -> None:
    for tenant in ("acme", "globex", "initech", "umbrella"):
        client.get("/orders/7", headers={"X-Tenant-ID": tenant})
    text = client.get("/metrics").text
    assert value(text, 'http_requests_total{method="GET",route="/orders/{order_id}",status="200",tenant="other"}') == 2
    assert "initech" not in text


def test_numbers_survive_the_collections_of_the_exporter(client: TestClient) -> None:
    agent = current_agent()
    assert agent is not None
    for _ in range(3):
        client.get("/orders/7")
        agent.collect_red()
    text = client.get("/metrics").text
    assert value(text, 'http_requests_total{method="GET",route="/orders/{order_id}",status="200"}') == 3


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed; run scripts/debian-packages")
def test_promtool_finds_nothing_to_complain_about(client: TestClient) -> None:
    client.get("/orders/7", headers={"X-Tenant-ID": 'a"b\\c'})
    client.get("/orders/0")
    text = client.get("/metrics").text
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_scrapers_that_ask_for_openmetrics_get_it(client: TestClient) -> None:
    client.get("/orders/7")
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "# TYPE http_requests counter" in answer.text
    assert answer.text.endswith("# EOF\n")


def test_the_health_route_of_the_classic_stack_answers(client: TestClient) -> None:
    assert client.get("/api/health").json() == {"status": "healthy"}


def test_an_exponential_bucket_falls_where_its_seconds_fall() -> None:
    assert [bucket_of(floor(log2(bound * 0.98) * 64)) for bound in BOUNDS] == list(range(len(BOUNDS)))
    assert bucket_of(floor(log2(11) * 64)) == len(BOUNDS)


def test_labels_are_escaped_and_empty_families_left_out() -> None:
    family = Family("odd", "gauge", "with \\ and\nmore")
    family.add(float("inf"), path='a"b\\c\nd')
    assert render([family, Family("none", "gauge", "nothing")], openmetrics=False) == (
        '# HELP odd with \\\\ and\\nmore\n# TYPE odd gauge\nodd{path="a\\"b\\\\c\\nd"} +Inf\n'
    )


def test_a_worker_that_is_gone_stays_counted_but_its_gauges_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead: set[int] = set()
    shared = WorkerTotals("shop", "1", alive=lambda pid: pid not in dead)
    counter, active = Family("jobs_total", "counter", "jobs"), Family("jobs_active", "gauge", "now")
    counter.add(5)
    active.add(2)
    shared.publish("worker-1", [counter, active])
    assert {f.name: f.samples for f in shared.others("me")} == {
        "jobs_total": {("", ()): 5.0},
        "jobs_active": {("", ()): 2.0},
    }
    dead.add(os.getpid())
    for _ in range(2):  # the second time from the row it was folded into
        found = {f.name: f.samples for f in shared.others("me")}
        assert found == {"jobs_total": {("", ()): 5.0}, "jobs_active": {}}


def test_a_process_by_itself_shares_nothing() -> None:
    assert group_name() == ""


APP = """
import os, tocsin
from fastapi import FastAPI
app = FastAPI()
tocsin.instrument(app, service="workers", endpoint="http://127.0.0.1:9")
app.include_router(tocsin.metrics_router)
@app.get("/pid")
def pid(): return os.getpid()
"""


def requests_in(families: list[Family]) -> float:
    """The requests for a process number among what workers share."""
    (found,) = [family for family in families if family.name == "http_requests_total"]
    return sum(value for (_, labels), value in found.samples.items() if ("route", "/pid") in labels)


def ask(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_SECONDS) as answer:
        return str(answer.read().decode())


def test_any_worker_answers_for_all_also_after_one_was_killed(
    tmp_path: Path, free_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "shop.py").write_text(textwrap.dedent(APP))
    command = [sys.executable, "-m", "uvicorn", "shop:app", "--workers", "2", "--port", str(free_tcp_port)]
    environ = {"PATH": "/usr/bin", "TMPDIR": str(tmp_path), "TOCSIN_WORKER_GROUP": "both"}
    with subprocess.Popen(command, cwd=tmp_path, env=environ) as server:
        try:
            eventually(lambda: is_listening(free_tcp_port), "the server listens")
            pids: dict[str, int] = {ask(free_tcp_port, "/pid"): 0}
            asked = 1

            def both_have_served() -> bool:
                nonlocal asked
                pids[ask(free_tcp_port, "/pid")] = 0
                asked += 1
                return len(pids) == 2

            eventually(both_have_served, "both have served")

            def counted() -> float:
                return sum(
                    float(line.rpartition(" ")[2])
                    for line in ask(free_tcp_port, "/metrics").splitlines()
                    if re.match(r'http_requests_total\{.*route="/pid"', line)
                )

            eventually(lambda: counted() == asked, "every request is counted")
            # A worker shares its counts once a second; what it had not shared yet dies with it.
            shared = WorkerTotals("workers", "both")
            eventually(lambda: requests_in(shared.others("nobody")) == asked, "every request is shared")
            os.kill(int(next(iter(pids))), signal.SIGKILL)

            def workers() -> float:
                try:
                    return value(ask(free_tcp_port, "/metrics"), "tocsin_workers")
                except OSError:
                    return 0  # the killed one had taken the connection

            eventually(workers, "there are two workers again", is_it=lambda count: count == 2)
            for _ in range(5):
                assert counted() == asked
        finally:
            server.terminate()
