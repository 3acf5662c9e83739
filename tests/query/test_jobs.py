"""Jobs as the SDK counts them come out of the store with the same numbers, tenant by tenant."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otlp import NOW_NS, SECOND_NS, span, trace_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query import job_schedules, jobs
from tocsin.query.filters import Filter
from tocsin.query.job_schedules import ScheduleRow
from tocsin.query.jobs import Hurt, JobKey
from tocsin.query.promql.engine import instant
from tocsin.query.series import StoreSource
from tocsin.sdk.agent import Agent, agent_for, close_agent
from tocsin.sdk.export import exports_paused
from tocsin.sdk.jobs import FAILURE, QUEUED, RETRY, SUCCESS, TENANT, JobName, JobRun, note_missed, queued
from tocsin.sdk.schedules import schedules
from tocsin.sdk.settings import Settings
from tocsin.sdk.transport import Response
from tocsin.storage.telemetry.store import TelemetryStore

ACME = Scope(frozenset({"acme"}))
NIGHTLY, MAIL = JobName("nightly", "", "own"), JobName("mail", "urgent", "rq")


@pytest.fixture
def agent() -> Iterator[Agent]:
    schedules.forget()
    agent = agent_for(Settings(service="worker", transport=lambda signal, body: Response(200)))
    with exports_paused():
        yield agent
        close_agent(agent, 0.0)
    schedules.forget()


def run(job: JobName, outcome: str, tenant: str, seconds: float = 0.0, waited: float = 0.0) -> None:
    now = time.time()
    one = JobRun(job, {TENANT: tenant, QUEUED: str(now - seconds - waited)}, schedule="every 10m", interval=600)
    one.begin(now - seconds)
    try:
        if outcome == FAILURE:
            raise LookupError("no ledger")
    except LookupError as error:
        one.end(outcome, error)
    else:
        one.end(outcome)


def send(agent: Agent, put: Any) -> Filter:
    """Stores what the SDK would have sent; gives the last hour."""
    body = agent._encode_metrics()
    assert body is not None
    put(ExportMetricsServiceRequest.FromString(body[0]))
    spans = list(agent.exporter.queue)
    agent.exporter.queue.clear()
    if spans:
        put(ExportTraceServiceRequest.FromString(agent._encode_spans(spans)))
    now_ns = time.time_ns()
    return Filter(Window(now_ns - 3600 * 10**9, now_ns + 60 * 10**9))


def test_runs_outcomes_and_durations_are_those_counted(store: TelemetryStore, put: Any, agent: Agent) -> None:
    for _ in range(9):
        run(NIGHTLY, SUCCESS, "acme", seconds=2.0, waited=1.0)
    run(NIGHTLY, FAILURE, "globex", seconds=8.0)
    run(MAIL, RETRY, "acme")
    queued(MAIL)
    filter = send(agent, put)
    nightly, mail = jobs.jobs(store, PLATFORM, filter)
    assert nightly.key == JobKey("worker", "nightly", "", "own")
    assert (nightly.runs, nightly.successes, nightly.failures, nightly.success_ratio) == (10, 9, 1, 0.9)
    assert nightly.p50_seconds == pytest.approx(2.0, rel=0.01)
    assert nightly.p95_seconds == pytest.approx(2.0, rel=0.01)
    assert nightly.total_seconds == pytest.approx(26.0, rel=0.01)
    assert nightly.queue_p95_seconds == pytest.approx(1.0, rel=0.01)
    assert (mail.key.queue, mail.retries, mail.enqueued, mail.success_ratio) == ("urgent", 1, 1, None)
    assert abs(nightly.last_ns - time.time_ns()) < 60e9


def test_a_job_says_whom_it_fails_for_and_how_often_in_a_row(store: TelemetryStore, put: Any, agent: Agent) -> None:
    run(NIGHTLY, FAILURE, "acme")
    send(agent, put)
    run(NIGHTLY, SUCCESS, "acme")
    send(agent, put)
    for _ in range(3):
        run(NIGHTLY, FAILURE, "acme")
        filter = send(agent, put)
    [row] = jobs.jobs(store, PLATFORM, filter)
    assert row.hurt == (Hurt("acme", 4, 3),)
    [tenant] = jobs.tenants(store, PLATFORM, filter, "nightly")
    assert (tenant.tenant, tenant.runs, tenant.failures) == ("acme", 5, 4)


def test_a_tenant_sees_its_own_runs_only(store: TelemetryStore, put: Any, agent: Agent) -> None:
    run(NIGHTLY, SUCCESS, "acme")
    run(NIGHTLY, FAILURE, "globex")
    run(MAIL, SUCCESS, "globex")
    filter = send(agent, put)
    [row] = jobs.jobs(store, ACME, filter)
    assert (row.runs, row.failures, row.hurt) == (1, 0, ())
    assert jobs.jobs(store, PLATFORM, replace(filter, tenant="acme")) == [row]
    assert [one.tenant for one in jobs.tenants(store, ACME, filter, "nightly")] == ["acme"]
    assert jobs.errors(store, ACME, filter, "nightly") == []
    assert job_schedules.schedules(store, ACME, filter) == []


def test_a_failure_is_an_error_with_its_line(store: TelemetryStore, put: Any, agent: Agent) -> None:
    run(NIGHTLY, FAILURE, "globex")
    filter = send(agent, put)
    [group] = jobs.errors(store, PLATFORM, filter, "nightly")
    assert (group.type, group.message, group.tenants) == ("LookupError", "no ledger", ["globex"])
    line = jobs.failing_line(store, PLATFORM, filter, "nightly")
    assert line.partition(":")[0].endswith("query/test_jobs.py")
    assert line.endswith(" in run")


def test_a_schedule_is_late_when_nothing_ran_in_its_time(store: TelemetryStore, put: Any, agent: Agent) -> None:
    run(NIGHTLY, SUCCESS, "")
    filter = send(agent, put)
    [row] = job_schedules.schedules(store, PLATFORM, filter)
    assert (row.service, row.name, row.schedule, row.interval_seconds) == ("worker", "nightly", "every 10m", 600)
    assert row.last_run is not None
    assert row.late_seconds(row.last_run + 600 + 179) == 0
    assert row.late_seconds(row.last_run + 600 + 181) == pytest.approx(181)


def test_a_schedule_that_never_ran_is_late_since_it_is_known() -> None:
    row = ScheduleRow("worker", "nightly", "own", "every 10m", 600, None, None, 1000.0)
    assert row.expected == 1600
    assert row.late_seconds(5000) == 3400
    assert replace(row, interval_seconds=0).late_seconds(5000) == 0


def test_misses_belong_to_the_job_that_ran(store: TelemetryStore, put: Any, agent: Agent) -> None:
    run(MAIL, SUCCESS, "acme")
    note_missed(MAIL, "still running")
    note_missed(JobName("never", "", "apscheduler"), "too late")
    filter = send(agent, put)
    found = {row.key.name: (row.key.queue, row.runs, row.missed) for row in jobs.jobs(store, PLATFORM, filter)}
    assert found == {"mail": ("urgent", 1, 1), "never": ("", 0, 1)}


def test_series_of_a_job_add_up_to_its_runs(store: TelemetryStore, put: Any, agent: Agent) -> None:
    for _ in range(6):
        run(NIGHTLY, SUCCESS, "acme", seconds=2.0)
    run(NIGHTLY, FAILURE, "globex")
    filter = send(agent, put)
    found = jobs.series(store, PLATFORM, filter, "nightly")
    counted = {name: sum(v or 0 for v in values) * found.step_seconds / 60 for name, values in found.runs.items()}
    assert counted == pytest.approx({"success": 6, "failure": 1, "retry": 0, "revoked": 0})
    assert [value for value in found.p50_seconds if value is not None] == [pytest.approx(2.0, rel=0.01)]
    assert len(found.times) == len(found.queue_p95_seconds)


def test_a_foreign_tracers_consumers_are_jobs_with_what_they_have(store: TelemetryStore, put: Any) -> None:
    attrs = {"messaging.system": "rabbitmq", "messaging.destination.name": "orders"}
    put(
        trace_request(
            [
                span("orders process", kind=5, attrs=attrs, seconds=2.0),
                span("orders process", kind=5, attrs=attrs, seconds=2.0, status=2),
                span("GET /", method="GET"),
            ]
        )
    )
    filter = Filter(Window(NOW_NS - 3600 * SECOND_NS, NOW_NS + 60 * SECOND_NS))
    [row] = jobs.jobs(store, PLATFORM, filter)
    assert (row.key.name, row.key.queue, row.key.system) == ("orders process", "orders", "rabbitmq")
    assert (row.runs, row.failures, row.is_exact, row.hurt) == (2, 1, False, (Hurt("acme", 1, 1),))
    assert row.p95_seconds == pytest.approx(2.0)
    assert [one.tenant for one in jobs.tenants(store, PLATFORM, filter, "orders process")] == ["acme"]


def test_the_first_failure_counts_in_an_increase(store: TelemetryStore, put: Any, agent: Agent) -> None:
    time.sleep(0.02)  # an interval has a length
    run(NIGHTLY, FAILURE, "acme")
    filter = send(agent, put)
    at_ms = filter.window.end_ns // 10**6 - 50_000
    found = instant(StoreSource(store, PLATFORM), "sum(increase(job_runs_total[5m]))", at_ms)
    [series] = found.data  # type: ignore[misc]
    assert series.values[-1] > 0
