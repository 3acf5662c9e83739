"""Operations out of what the SDK sends: exact, per tenant, within a scope, against last week."""

from __future__ import annotations

import time
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otlp import SECOND_NS
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query.filters import Filter
from tocsin.query.operations import operations, profile_of, series, tone_for
from tocsin.sdk.encode import resource
from tocsin.sdk.encode_metrics import MetricEncoder
from tocsin.sdk.increases import Increases
from tocsin.sdk.red import RedTable
from tocsin.storage.telemetry.store import TelemetryStore

SHOP = {"service.name": "shop", "deployment.environment.name": "production", "service.instance.id": "1"}


def run(
    increases: Increases, operation: str, outcome: str, tenant: str, number: int, seconds: float, reason: str = ""
) -> None:
    labels = (("operation", operation), ("outcome", outcome), *((("reason", reason),) if reason else ()))
    increases.count("operation_outcomes_total", labels, tenant, number)
    for _ in range(number):
        increases.time("operation_duration_seconds", (("operation", operation),), tenant, seconds)


def sent(increases: Increases, **more: str) -> ExportMetricsServiceRequest:
    encoder = MetricEncoder(resource({**SHOP, **more}), "1")
    body = encoder.encode_request(RedTable(10).collect(), [], [], time.time_ns(), None, increases.collect())
    return ExportMetricsServiceRequest.FromString(body)


def last_minutes() -> Filter:
    now = time.time_ns()
    return Filter(Window(now - 300 * SECOND_NS, now + 60 * SECOND_NS))


@pytest.fixture
def ran(store: TelemetryStore, put: Any) -> TelemetryStore:
    increases = Increases()
    run(increases, "login", "success", "acme", 90, 0.1)
    run(increases, "login", "failure", "acme", 10, 0.1, "ReadTimeout")
    run(increases, "login", "rejected", "acme", 50, 0.1, "401")
    run(increases, "login", "success", "globex", 300, 0.2)
    run(increases, "work_order_sync", "success", "globex", 97, 2.0)
    run(increases, "work_order_sync", "failure", "globex", 3, 2.0, "Conflict")
    put(sent(increases))
    run(increases, "login", "success", "globex", 1, 0.2)
    put(sent(increases, **{"service.instance.id": "2"}))
    return store


def test_every_run_of_every_process_is_counted_from_its_first(ran: TelemetryStore) -> None:
    # The one with the least success first.
    sync, login = operations(ran, PLATFORM, last_minutes())
    assert (login.operation, login.now.success, login.now.failure, login.now.rejected) == ("login", 391, 10, 50)
    assert login.now.success_ratio == pytest.approx(391 / 401)
    assert login.now.top_reasons == [("ReadTimeout", 10)]
    assert login.hurt == ["acme"]
    assert login.services == ["shop"]
    assert login.tenants["globex"].p95_seconds == pytest.approx(0.2, rel=0.01)
    assert sync.now.p50_seconds == pytest.approx(2.0, rel=0.01)
    assert login.week_before.runs == 0


def test_the_worst_comes_first(store: TelemetryStore, put: Any) -> None:
    increases = Increases()
    for operation, tenant, succeeded, failed in (
        ("login", "", 60, 40),
        ("org_switch", "acme", 80, 20),
        ("admin_panel", "acme", 100, 0),
        ("flag_evaluation", "acme", 9, 1),
        ("flag_evaluation", "globex", 2000, 0),
        ("user_create", "", 999, 1),
    ):
        run(increases, operation, "success", tenant, succeeded, 0.1)
        run(increases, operation, "failure", tenant, failed, 0.1, "Conflict")
    put(sent(increases))
    named = [row.operation for row in operations(store, PLATFORM, last_minutes())]
    assert named == ["login", "org_switch", "flag_evaluation", "user_create", "admin_panel"]


def test_bands_are_those_of_the_named_profiles(ran: TelemetryStore) -> None:
    sync, login = operations(ran, PLATFORM, last_minutes())
    assert (login.tone, sync.tone) == ("warn", "warn")
    assert tone_for("form_automation", 0.951) == "ok"
    assert tone_for("form_automation", 0.93) == "warn"
    assert tone_for("form_automation", 0.89) == "bad"
    assert tone_for("work_order_sync", 0.949) == "bad"
    assert (profile_of("login"), profile_of("invoice_run")) == ("authentication", "operation")
    assert tone_for("login", None) is None


def test_a_scope_and_a_chosen_tenant_see_their_own(ran: TelemetryStore) -> None:
    for scope, asked in (
        (Scope(frozenset({"acme"})), last_minutes()),
        (PLATFORM, Filter(last_minutes().window, tenant="acme")),
    ):
        (login,) = operations(ran, scope, asked)
        assert (login.now.runs, set(login.tenants)) == (150, {"acme"})
    assert operations(ran, PLATFORM, Filter(last_minutes().window, environment="staging")) == []
    assert [row.operation for row in operations(ran, PLATFORM, last_minutes(), "work_order_sync")] == [
        "work_order_sync"
    ]


def test_series_add_up_to_the_totals(ran: TelemetryStore) -> None:
    found = series(ran, PLATFORM, last_minutes(), "login")
    assert sum(found.run_rate) * found.step_seconds == pytest.approx(451)
    assert sum(found.failure_rate) * found.step_seconds == pytest.approx(10)
    known = [value for value in found.p95_seconds if value is not None]
    assert known == pytest.approx([0.2] * len(known), rel=0.01)
    assert len(found.times) == len(found.success_ratio)
