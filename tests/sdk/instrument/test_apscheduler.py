"""APScheduler: runs, failures and misfires are those that its own events tell."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import tocsin
from tocsin.sdk.agent import agent_for
from tocsin.sdk.schedules import schedules
from tocsin.sdk.settings import Settings
from tocsin.testing import capture_spans
from waiting import PATIENCE_SECONDS, eventually

pytest.importorskip("apscheduler")

from apscheduler import events
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler

ACME = {"X-Tenant-ID": "acme"}
TOLD = {
    events.EVENT_JOB_EXECUTED: "success",
    events.EVENT_JOB_ERROR: "failure",
    events.EVENT_JOB_MISSED: "missed",
    events.EVENT_JOB_MAX_INSTANCES: "missed",
}


@pytest.fixture(autouse=True)
def _fresh_schedules() -> None:
    schedules.forget()


class Told:
    """What a scheduler says of its jobs."""

    def __init__(self, scheduler: Any) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        scheduler.add_listener(self._note, sum(TOLD))

    def _note(self, event: Any) -> None:
        self.outcomes[event.job_id, TOLD[event.code]] += 1


def counted(agent: Any) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for key, number in agent.increases.collect().sums.numbers.items():
        labels = dict(key.labels)
        if key.name in ("job_runs_total", "job_missed_total"):
            found[labels["job_name"], labels.get("outcome", "missed")] += int(number)
    return found


def refuse() -> None:
    raise LookupError("no ledger")


def test_numbers_are_those_of_its_events() -> None:
    agent = agent_for(Settings())
    scheduler = BackgroundScheduler(timezone=UTC)
    told = Told(scheduler)
    scheduler.add_job(lambda: None, "interval", seconds=0.05, id="quick")
    scheduler.add_job(refuse, "interval", seconds=0.05, id="refused")
    late = datetime.now(UTC) - timedelta(hours=1)
    scheduler.add_job(lambda: None, "date", run_date=late, id="late", misfire_grace_time=1)
    with capture_spans() as captured:
        scheduler.start()
        eventually(lambda: told.outcomes["refused", "failure"] > 2 and told.outcomes["late", "missed"], "both are told")
        scheduler.shutdown()
        failed = [span for span in captured.spans if span.name == "refused"]
    assert counted(agent) == told.outcomes
    assert len(failed) == told.outcomes["refused", "failure"]
    assert {span.status for span in failed} == {"error"}
    assert "in refuse" in failed[0].events[0].attributes["exception.stacktrace"]


def test_coroutines_run_watched_in_the_event_loop() -> None:
    agent = agent_for(Settings())

    async def work() -> None:
        tocsin.set_tenant("globex")
        with tocsin.span("inner"):
            await asyncio.sleep(0)

    async def main() -> Counter[tuple[str, str]]:
        scheduler = AsyncIOScheduler(timezone=UTC)
        told = Told(scheduler)
        scheduler.add_job(work, "interval", seconds=0.05, id="sweep")
        scheduler.start()
        while not told.outcomes:  # noqa: ASYNC110  its events come by callback, in this very loop
            await asyncio.sleep(0.01)
        scheduler.shutdown()
        return told.outcomes

    with capture_spans() as captured:
        outcomes = asyncio.run(main())
        run = next(span for span in captured.spans if span.name == "sweep")
        inner = next(span for span in captured.spans if span.name == "inner")
    assert counted(agent) == outcomes
    assert (run.tenant, run.parent_id, inner.parent_id) == ("globex", "", run.span_id)


def test_a_job_added_by_a_request_continues_its_trace() -> None:
    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.start()
    done = threading.Event()
    app = FastAPI()
    tocsin.instrument(app, tenant="header:X-Tenant-ID")

    @app.post("/later")
    def later() -> None:
        scheduler.add_job(done.set, id="remind")

    with capture_spans() as captured:
        TestClient(app).post("/later", headers=ACME)
        assert done.wait(PATIENCE_SECONDS)
        # The scheduler forgets the job after it has run it, and breaks when shut down in between.
        eventually(lambda: not scheduler.get_jobs(), "no job is left")
        scheduler.shutdown()
        request, run = captured.find("POST /later"), captured.find("remind")
    assert (run.trace_id, run.tenant) == (request.trace_id, "acme")
    assert run.parent_id == captured.find("queue remind").span_id


def test_jobs_in_other_processes_are_counted_when_they_come_back() -> None:
    agent = agent_for(Settings())
    scheduler = BackgroundScheduler(timezone=UTC, executors={"default": ProcessPoolExecutor(1)})
    told = Told(scheduler)
    scheduler.add_job(refuse, id="refused", misfire_grace_time=60)
    scheduler.add_job(time.time, id="clock", misfire_grace_time=60)
    with capture_spans() as captured:
        scheduler.start()
        eventually(lambda: sum(told.outcomes.values()) == 2, "both are told")
        scheduler.shutdown()
        assert {span.name for span in captured.spans} == {"refused", "clock"}
    assert counted(agent) == told.outcomes == {("refused", "failure"): 1, ("clock", "success"): 1}


def test_every_schedule_has_a_heartbeat_until_it_is_removed() -> None:
    agent_for(Settings())
    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.start(paused=True)
    scheduler.add_job(refuse, "cron", hour=3, id="nightly")
    assert beats() == {("nightly", "cron[hour='3']"): 86_400}
    scheduler.remove_job("nightly")
    assert beats() == {("nightly", "cron[hour='3']"): 0}
    scheduler.shutdown()


def beats() -> dict[tuple[str, str], float]:
    figures = [figure for figure in schedules.figures() if figure.name == "job_expected_interval_seconds"]
    return {(figure.attributes["job_name"], figure.attributes["schedule"]): figure.value for figure in figures}


def test_a_job_that_is_still_running_has_missed_its_time() -> None:
    agent = agent_for(Settings())
    scheduler = BackgroundScheduler(timezone=UTC)
    go_on = threading.Event()
    scheduler.add_job(go_on.wait, "interval", args=(10,), seconds=0.05, id="slow")
    skipped: list[Any] = []
    scheduler.add_listener(skipped.append, events.EVENT_JOB_MAX_INSTANCES)
    scheduler.start()
    eventually(lambda: len(skipped) >= 2, "two are skipped")
    go_on.set()
    scheduler.shutdown()
    assert counted(agent)["slow", "missed"] == len(skipped)
