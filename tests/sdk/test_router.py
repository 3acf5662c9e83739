from __future__ import annotations

import time

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import tocsin
from tocsin.sdk import agents
from tocsin.sdk.router import StatusPage, create_router


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    tocsin.instrument(app, service="shop", release="1.2", ingest_key="hush", endpoint="http://monitor.internal:4318")
    app.include_router(create_router())
    return TestClient(app)


def test_health_is_quick_and_says_nothing_secret(client: TestClient) -> None:
    client.get("/api/v1/monitoring/health")
    began = time.perf_counter()
    answer = client.get("/api/v1/monitoring/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})
    assert time.perf_counter() - began < 0.5


def test_health_is_503_only_when_the_app_says_so(client: TestClient) -> None:
    tocsin.set_health_check("database", lambda: False)
    try:
        answer = client.get("/api/v1/monitoring/health")
        assert (answer.status_code, answer.json()) == (503, {"status": "unhealthy", "failing": ["database"]})
    finally:
        tocsin.set_health_check("database", None)
    assert client.get("/api/v1/monitoring/health").status_code == 200


def test_status_tells_what_the_process_does(client: TestClient) -> None:
    client.get("/nowhere")
    status = client.get("/api/v1/monitoring/status").json()
    assert (status["service"], status["version"], status["status"]) == ("shop", "1.2", "healthy")
    assert (status["requests_total"], status["active_requests"], status["error_ratio"]) == (1, 1, 0.0)
    assert status["monitoring"]["state"] in ("ok", "retrying", "open")
    assert status["monitoring"]["shed"] == "nothing"
    assert "hush" not in str(status)
    assert "monitor.internal" not in str(status)


def test_status_is_answered_with_304_while_it_is_the_same(client: TestClient) -> None:
    etag = client.get("/api/v1/monitoring/status").headers["etag"]
    answer = client.get("/api/v1/monitoring/status", headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content) == (304, b"")


def test_status_is_computed_once_a_second(client: TestClient) -> None:
    now = [100.0]
    page = StatusPage(lambda: now[0])
    first = page.read(agents.current_agent())
    now[0] += 0.5
    assert page.read(agents.current_agent()) == first
    now[0] += 5
    assert page.read(agents.current_agent()) != first


def test_status_without_monitoring_says_that_it_is_off() -> None:
    assert b'"state": "off"' in StatusPage().read(None)[0]
