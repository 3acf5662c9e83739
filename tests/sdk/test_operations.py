"""Critical operations: counted exactly by how they end, whatever is sampled, and traced when they fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, HTTPException
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from starlette.testclient import TestClient

import tocsin
from tocsin.sdk.agents import current_agent
from tocsin.sdk.critical_routes import CriticalError, CriticalRoutes, declared
from tocsin.sdk.increases import Increases
from tocsin.testing import capture_spans

ACME, GLOBEX = {"X-Tenant-ID": "acme"}, {"X-Tenant-ID": "globex"}


@pytest.fixture(autouse=True)
def _nothing_declared() -> Iterator[None]:
    declared.clear()
    yield
    declared.clear()


def shop(**settings: object) -> FastAPI:
    app = FastAPI()
    tocsin.instrument(app, tenant="header:X-Tenant-ID", **settings)

    @app.post("/api/v1/auth/login")
    async def login(word: str) -> dict[str, str]:
        if word == "broken":
            raise RuntimeError("identity provider is down")
        if word != "right":
            raise HTTPException(401)
        return {}

    @app.delete("/users/{user_id}")
    async def delete_user(user_id: int) -> None:
        pass

    @app.post("/forms")
    async def fill(outcome: str) -> None:
        async with tocsin.operation("form_automation", pages=3) as run:
            if outcome == "silent":
                run.fail("no_answer")
            elif outcome == "raised":
                raise KeyError("field")
            elif outcome == "odd":
                raise HTTPException(422)
        assert run.outcome != "rejected"

    return app


def outcomes(captured: object) -> set[tuple[str, str, str | None, str | None, int]]:
    found = captured.operations  # type: ignore[attr-defined]
    return {(one.operation, one.outcome, one.reason, one.tenant, one.count) for one in found}


def test_usual_routes_are_known_and_a_wrong_password_is_no_failure() -> None:
    client = TestClient(shop(sample_ratio=0.0, sample_minimum_per_second=0), raise_server_exceptions=False)
    with capture_spans() as captured:
        for word in ("right", "right", "wrong", "broken"):
            client.post(f"/api/v1/auth/login?word={word}", headers=ACME)
        client.delete("/users/7", headers=GLOBEX)
    assert outcomes(captured) == {
        ("login", "success", None, "acme", 2),
        ("login", "rejected", "401", "acme", 1),
        ("login", "failure", "RuntimeError", "acme", 1),
        ("user_delete", "success", None, "globex", 1),
    }
    assert [span.attributes["tocsin.operation"] for span in captured.spans] == ["login"]


def test_defaults_can_be_left_out_and_routes_named() -> None:
    app = shop(critical={"sign_on": ["POST /api/v1/auth/login"]}, critical_defaults=False)
    with capture_spans() as captured:
        TestClient(app).post("/api/v1/auth/login?word=right")
        TestClient(app).delete("/users/7")
    assert outcomes(captured) == {("sign_on", "success", None, None, 1)}


def test_a_name_with_routes_of_its_own_loses_the_shipped_ones() -> None:
    routes = CriticalRoutes("login=POST /api/session")
    assert routes.name_of("POST", "/auth/login") == ""
    assert routes.name_of("POST", "/api/session") == "login"


@pytest.mark.parametrize(
    ("method", "route", "name"),
    [
        ("GET", "/auth0/callback", "login"),
        ("POST", "/v2/users", "user_create"),
        ("PATCH", "/users/{user_id}", "user_update"),
        ("GET", "/users/{user_id}", ""),
        ("POST", "/api/v1/auth/switch", "org_switch"),
        ("GET", "/api/v1/admin/flags", "admin_panel"),
        ("GET", "/api/flags", "flag_evaluation"),
        ("POST", "/relogin", ""),
        ("GET", "/administrators", ""),
        ("GET", "unmatched", ""),
    ],
)
def test_shipped_routes(method: str, route: str, name: str) -> None:
    assert CriticalRoutes("").name_of(method, route) == name


@pytest.mark.parametrize("text", ["login", "login=auth/login", "Login=POST /login", "=POST /login", "a b=GET /"])
def test_a_route_that_cannot_be_read_stops_the_start(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot (read the critical route|name an operation)"):
        tocsin.Settings.load(critical=text)


def test_a_block_counts_once_with_its_tenant_and_leaves_its_failing_trace() -> None:
    app = shop(sample_ratio=0.0, sample_minimum_per_second=0)
    client = TestClient(app, raise_server_exceptions=False)
    with capture_spans() as captured:
        for outcome in ("fine", "silent", "raised", "odd"):
            client.post(f"/forms?outcome={outcome}", headers=ACME)
    assert outcomes(captured) == {
        ("form_automation", "success", None, "acme", 1),
        ("form_automation", "failure", "no_answer", "acme", 1),
        ("form_automation", "failure", "KeyError", "acme", 1),
        ("form_automation", "rejected", "422", "acme", 1),
    }
    kept = [span for span in captured.spans if span.name == "form_automation"]
    assert [span.attributes["tocsin.operation.reason"] for span in kept] == ["no_answer", "KeyError"]
    assert {span.status for span in kept} == {"error"}
    assert kept[0].attributes["pages"] == 3
    # The request itself succeeded, and is there all the same.
    assert [span.status for span in captured.spans if span.kind == "server"] == ["unset", "error"]


def test_decorator_takes_functions_and_coroutine_functions() -> None:
    @tocsin.critical("org_switch")
    def switch(org: str) -> str:
        return org

    @tocsin.critical("work_order_sync", tenant="globex")
    async def sync() -> str | None:
        await asyncio.sleep(0)
        return tocsin.current_tenant()

    async def twice() -> list[str | None]:
        return list(await asyncio.gather(sync(), sync()))

    with capture_spans() as captured:
        assert switch("acme") == "acme"
        assert asyncio.run(twice()) == ["globex", "globex"]
    assert outcomes(captured) == {
        ("org_switch", "success", None, None, 1),
        ("work_order_sync", "success", None, "globex", 2),
    }
    assert captured.find("org_switch").parent_id == ""


def test_declared_operation_is_not_counted_by_its_route_too() -> None:
    app = FastAPI()
    tocsin.instrument(app)

    @app.post("/login")
    @tocsin.critical("login")
    async def login() -> None:
        pass

    with capture_spans() as captured:
        TestClient(app).post("/login")
    assert outcomes(captured) == {("login", "success", None, None, 1)}


def test_cancelled_work_is_no_failure() -> None:
    @tocsin.critical("form_automation")
    async def endless() -> None:
        await asyncio.sleep(60)

    async def cancel() -> None:
        task = asyncio.create_task(endless())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with capture_spans() as captured:
        asyncio.run(cancel())
    assert outcomes(captured) == {("form_automation", "rejected", "cancelled", None, 1)}


def test_threads_lose_no_run() -> None:
    tocsin.Settings.load()
    with capture_spans() as captured:

        def work() -> None:
            for _ in range(300):
                with tocsin.operation("org_switch", tenant="acme"):
                    pass

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes(captured) == {("org_switch", "success", None, "acme", 1200)}


def test_reasons_are_bounded() -> None:
    with capture_spans() as captured:
        for number in range(60):
            with tocsin.operation("order_import") as run:
                run.fail(f"order {number}")
        reasons = {one.reason: one.count for one in captured.operations}
    assert len(reasons) == 51
    assert reasons["other"] == 10


def test_numbers_leave_as_increases_and_show_at_metrics() -> None:
    app = shop()
    app.include_router(tocsin.metrics_router)
    client = TestClient(app)
    with capture_spans():
        client.post("/api/v1/auth/login?word=right", headers=ACME)
        agent = current_agent()
        assert agent is not None
        text = client.get("/metrics").text
        assert 'operation_outcomes_total{operation="login",outcome="success",tenant="acme"} 1' in text
        assert 'operation_duration_seconds_count{operation="login",tenant="acme"} 1' in text
        encoded = agent._encode_metrics()
        assert encoded is not None
        assert 'outcome="success",tenant="acme"} 1' in client.get("/metrics").text
    sent = ExportMetricsServiceRequest.FromString(encoded[0]).resource_metrics[0].scope_metrics[0].metrics
    found = {metric.name: metric for metric in sent}
    counted, timed = found["operation_outcomes_total"].sum, found["operation_duration_seconds"].exponential_histogram
    assert (counted.aggregation_temporality, counted.is_monotonic, counted.data_points[0].as_int) == (1, True, 1)
    assert (timed.aggregation_temporality, timed.data_points[0].count) == (1, 1)
    labels = {pair.key: pair.value.string_value for pair in counted.data_points[0].attributes}
    assert labels == {"operation": "login", "outcome": "success", "tocsin.tenant": "acme"}


def test_a_name_that_is_none_is_refused_where_it_is_written() -> None:
    with pytest.raises(CriticalError, match="org_switch"):
        tocsin.critical("Org Switch")


def test_labels_that_should_not_be_ones_stay_bounded_and_nothing_is_lost() -> None:
    table = Increases(limit=5000)
    for number in range(8000):
        table.count("feature_flag_evaluations_total", (("variant", str(number)),), f"tenant {number}")
    found = table.collect().sums.numbers
    assert sum(found.values()) == 8000
    assert len(found) == 6001
    assert table.folded == 3000
