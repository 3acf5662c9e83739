"""Background tasks and jobs of one's own: each run is a span below what caused it, and exact numbers."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.testclient import TestClient

import tocsin
from tocsin.sdk.agent import agent_for
from tocsin.sdk.cron import ScheduleError, parse_schedule
from tocsin.sdk.schedules import schedules
from tocsin.sdk.settings import Settings
from tocsin.testing import capture_spans

ACME, GLOBEX = {"X-Tenant-ID": "acme"}, {"X-Tenant-ID": "globex"}


@pytest.fixture(autouse=True)
def _fresh_schedules() -> None:
    schedules.forget()


def send_receipt(order: int) -> None:
    if order == 13:
        raise LookupError("no order 13")


async def warm_cache(order: int) -> None:
    await asyncio.sleep(0)


def shop(**settings: Any) -> TestClient:
    app = FastAPI()
    tocsin.instrument(app, tenant="header:X-Tenant-ID", **settings)
    app.include_router(tocsin.metrics_router)

    @app.post("/orders/{order}")
    def order(order: int, tasks: BackgroundTasks) -> int:
        tasks.add_task(warm_cache, order)
        tasks.add_task(send_receipt, order)
        return order

    @app.get("/plain")
    def plain() -> int:
        return 1

    return TestClient(app, raise_server_exceptions=False)


def samples(text: str, name: str) -> dict[str, float]:
    rows = [line for line in text.splitlines() if line.startswith(name)]
    return {row.rpartition(" ")[0]: float(row.rpartition(" ")[2]) for row in rows}


def test_each_background_task_is_a_job_below_its_request() -> None:
    client = shop()
    with capture_spans() as captured:
        client.post("/orders/7", headers=ACME)
    request = captured.find("POST /orders/{order}")
    for name in ("test_background.warm_cache", "test_background.send_receipt"):
        task = captured.find(name)
        assert (task.parent_id, task.trace_id, task.tenant) == (request.span_id, request.trace_id, "acme")
        assert (task.kind, task.status) == ("consumer", "unset")
        assert task.attributes["tocsin.job.outcome"] == "success"
        assert 0 <= task.attributes["tocsin.job.queue_seconds"] < 5


def test_a_failing_task_is_recorded_with_its_stack_and_its_trace_kept() -> None:
    client = shop(sample_ratio=0.0, sample_minimum_per_second=0)
    with capture_spans() as captured:
        client.post("/orders/7", headers=ACME)
        assert captured.spans == []
        client.post("/orders/13", headers=GLOBEX)
    failed = captured.find("test_background.send_receipt")
    assert (failed.status, failed.tenant, failed.attributes["tocsin.job.outcome"]) == ("error", "globex", "failure")
    [event] = [event for event in failed.events if event.name == "exception"]
    assert event.attributes["exception.message"] == "no order 13"
    assert "in send_receipt" in event.attributes["exception.stacktrace"]
    assert len(event.attributes["tocsin.error.fingerprint"]) == 16


def test_runs_are_counted_exactly_whatever_is_sampled() -> None:
    client = shop(sample_ratio=0.0, sample_minimum_per_second=0)
    for _ in range(3):
        client.post("/orders/7", headers=ACME)
    client.post("/orders/13", headers=GLOBEX)
    runs = samples(client.get("/metrics").text, "job_runs_total")
    name = 'job_name="test_background.send_receipt"'
    assert runs[f'job_runs_total{{{name},outcome="success",system="background",tenant="acme"}}'] == 3
    assert runs[f'job_runs_total{{{name},outcome="failure",system="background",tenant="globex"}}'] == 1
    assert sum(runs.values()) == 8
    shown = client.get("/metrics").text
    assert sum(samples(shown, "job_duration_seconds_count").values()) == 8
    assert sum(samples(shown, "job_queue_seconds_count").values()) == 8


def test_a_job_of_ones_own_takes_its_tenant_from_inside() -> None:
    agent = agent_for(Settings())

    @tocsin.job("import", queue="files")
    def run(fails: bool) -> None:
        thread = threading.Thread(target=tocsin.wrap(lambda: tocsin.set_tenant("acme")))
        thread.start()
        thread.join()
        with tocsin.span("inner"):
            pass
        if fails:
            raise ValueError("bad file")

    with capture_spans() as captured:
        run(False)
        with pytest.raises(ValueError, match="bad file"):
            run(True)
    jobs = [span for span in captured.spans if span.name == "import"]
    assert [(span.tenant, span.status, span.kind) for span in jobs] == [
        ("acme", "unset", "consumer"),
        ("acme", "error", "consumer"),
    ]
    inner = [span for span in captured.spans if span.name == "inner"]
    assert [span.parent_id for span in inner] == [job.span_id for job in jobs]
    added = agent.increases.collect().sums
    counted = {(dict(key.labels)["outcome"], key.tenant): n for key, n in added.numbers.items()}
    assert counted == {("success", "acme"): 1, ("failure", "acme"): 1}


def test_a_coroutine_and_a_block_are_jobs_too() -> None:
    agent_for(Settings())

    @tocsin.job("sweep", tenant="globex")
    async def sweep() -> str | None:
        await asyncio.sleep(0)
        return tocsin.current_tenant()

    with capture_spans() as captured:
        assert asyncio.run(sweep()) == "globex"
        with tocsin.job("block"):
            pass
    assert captured.find("sweep").tenant == "globex"
    assert captured.find("block").tenant is None
    assert tocsin.current_tenant() is None


def test_a_job_within_a_request_hangs_below_it() -> None:
    app = FastAPI()
    tocsin.instrument(app, tenant="header:X-Tenant-ID")

    @app.get("/run")
    def run() -> str | None:
        with tocsin.job("inline"):
            return tocsin.current_tenant()

    with capture_spans() as captured:
        assert TestClient(app).get("/run", headers=ACME).json() == "acme"
    assert captured.find("inline").parent_id == captured.find("GET /run").span_id
    assert captured.find("inline").tenant == "acme"


def test_a_schedule_is_known_before_its_job_has_run_and_a_run_is_its_heartbeat() -> None:
    agent = agent_for(Settings())

    @tocsin.job("nightly", schedule="every 10m")
    def nightly() -> None: ...

    before = {figure.name: figure.value for figure in agent.figures.all() if figure.name.startswith("job_")}
    assert before["job_expected_interval_seconds"] == 600
    assert "job_last_run_timestamp_seconds" not in before
    assert [figure for figure in agent.figures.all() if figure.name.startswith("job_")] == []
    nightly()
    after = {figure.name: figure for figure in agent.figures.all() if figure.name.startswith("job_")}
    assert after["job_last_run_timestamp_seconds"].attributes == {
        "job_name": "nightly",
        "schedule": "every 10m",
        "system": "own",
    }
    assert after["job_last_success_timestamp_seconds"].value >= after["job_last_run_timestamp_seconds"].value


def test_without_an_agent_a_job_is_just_run() -> None:
    assert tocsin.job("alone")(lambda: 7)() == 7


def test_requests_without_background_tasks_pay_nothing() -> None:
    client = shop()
    with capture_spans() as captured:
        client.get("/plain")
    assert [span.name for span in captured.spans] == ["GET /plain"]


@pytest.mark.parametrize(
    ("schedule", "moment", "due"),
    [
        ("0 3 * * *", "2026-11-21T02:59:30", "2026-11-21T03:00:00"),
        ("0 3 * * *", "2026-11-21T03:00:00", "2026-11-22T03:00:00"),
        ("*/15 * * * *", "2026-11-21T23:46:00", "2026-11-22T00:00:00"),
        ("30 9-17/4 * * mon-fri", "2026-11-21T12:00:00", "2026-11-23T09:30:00"),
        ("0 0 29 feb *", "2026-11-21T12:00:00", "2028-02-29T00:00:00"),
        ("0 0 13 * fri", "2026-11-21T12:00:00", "2026-11-27T00:00:00"),
        ("0 0 * * 7", "2026-11-21T12:00:00", "2026-11-22T00:00:00"),
        ("@hourly", "2026-11-21T12:00:00", "2026-11-21T13:00:00"),
        ("every 90s", "2026-11-21T12:00:00", "2026-11-21T12:01:30"),
    ],
)
def test_the_next_time_of_a_schedule(schedule: str, moment: str, due: str) -> None:
    from datetime import UTC, datetime

    at, expected = (datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() for text in (moment, due))
    assert parse_schedule(schedule, UTC).next_after(at) == expected


@pytest.mark.parametrize("schedule", ["whenever", "61 * * * *", "0 0 30 2 *x", 0, -5, "* * * *", "5-1 * * * *"])
def test_a_schedule_that_cannot_be_read_says_what_to_write(schedule: Any) -> None:
    with pytest.raises(ScheduleError, match=r"^cannot read .*; (write|mend)"):
        parse_schedule(schedule)


def test_a_day_that_never_comes_is_no_schedule() -> None:
    with pytest.raises(ScheduleError, match="its day never comes"):
        tocsin.job("never", schedule="0 0 30 2 *")
