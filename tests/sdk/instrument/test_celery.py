"""Celery with real workers: every number is what its tasks' own results say, also when a process is killed."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import tocsin
from sdk.instrument.workers import facts, jobs, worker
from sdk.receiver import Receiver
from tocsin.testing import capture_spans
from waiting import eventually

celery = pytest.importorskip("celery")
redis = pytest.importorskip("redis")

ACME, GLOBEX = {"X-Tenant-ID": "acme"}, {"X-Tenant-ID": "globex"}
TASKS = """
import os, signal, time
from celery import Celery
import tocsin

url = f"redis://127.0.0.1:{os.environ['REDIS_PORT']}/0"
app = Celery("shop", broker=url, backend=url)
app.conf.worker_hijack_root_logger = False
app.conf.broker_connection_retry_on_startup = True
app.conf.beat_schedule = {"sweep-often": {"task": "shop.sweep", "schedule": 0.5}}

@app.task(name="shop.invoice")
def invoice(number):
    with tocsin.span("render"):
        return number

@app.task(name="shop.broken")
def broken():
    raise LookupError("no ledger")

@app.task(name="shop.flaky", bind=True, max_retries=5)
def flaky(self):
    if self.request.retries < 2:
        # Celery queues the next attempt before it stores "RETRY" for this one: without a countdown the other process
        # may be through with it meanwhile, and its "SUCCESS" is overwritten for good.
        raise self.retry(exc=OSError("away"), countdown=1)
    tocsin.set_tenant("globex")

@app.task(name="shop.killed")
def killed():
    os.kill(os.getpid(), signal.SIGKILL)

@app.task(name="shop.nap")
def nap():
    time.sleep(1)

@app.task(name="shop.who")
def who():
    from tocsin.sdk.logs.whose import whose
    of = whose()
    return [of.tenant, of.user_id, *of.ids()]

@app.task(name="shop.sweep")
def sweep():
    pass
"""
WORKER = ["tocsin.watch", "celery", "-A", "shop_tasks", "worker", "--concurrency", "2", "--without-mingle"]


@pytest.fixture
def tasks(redis_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    client = redis.Redis(port=redis_port)
    client.flushall()
    client.close()
    (tmp_path / "shop_tasks.py").write_text(TASKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDIS_PORT", str(redis_port))
    module = import_module("shop_tasks")
    yield module
    module.app.close()
    sys.modules.pop("shop_tasks", None)


class Shop:
    """Queues tasks inside of requests and keeps their results."""

    def __init__(self, tasks: Any) -> None:
        app = FastAPI()
        tocsin.instrument(app, tenant="header:X-Tenant-ID")
        self.results: list[Any] = []

        @app.post("/queue/{name}")
        def put(name: str) -> None:
            tocsin.set_user("ada")
            args = (7,) if name == "invoice" else ()
            self.results.append(getattr(tasks, name).apply_async(args))

        self._client = TestClient(app)

    def queue(self, name: str, headers: dict[str, str]) -> None:
        assert self._client.post(f"/queue/{name}", headers=headers).status_code == 200

    def states(self) -> Counter[str]:
        """When all have ended."""
        ended = celery.states.READY_STATES
        states = eventually(lambda: [one.state for one in self.results], "all have ended", is_it=ended.issuperset)
        return Counter(states)


def test_a_task_continues_the_trace_and_the_tenant_of_the_request_that_queued_it(
    tasks: Any, tmp_path: Path, receiver: Receiver
) -> None:
    shop = Shop(tasks)
    with capture_spans() as captured:
        shop.queue("invoice", ACME)
        producer = captured.find("queue shop.invoice")
        shop.queue("flaky", ACME)
    with worker(WORKER, tmp_path, receiver):
        shop.states()
    [invoice] = [span for span in jobs(receiver) if span.name == "shop.invoice"]
    assert (invoice.trace_id.hex(), invoice.parent_span_id.hex()) == (producer.trace_id, producer.span_id)
    told = facts(invoice)
    assert (told["tocsin.tenant"], told["messaging.destination.name"]) == ("acme", "celery")
    inner = next(span for span in receiver.spans() if span.name == "render")
    assert inner.parent_span_id == invoice.span_id
    flaky = sorted((s for s in jobs(receiver) if s.name == "shop.flaky"), key=lambda span: span.start_time_unix_nano)
    outcomes = [(facts(span)["tocsin.job.outcome"], facts(span)["tocsin.tenant"]) for span in flaky]
    assert outcomes == [("retry", "acme"), ("retry", "acme"), ("success", "globex")]
    assert len({span.trace_id for span in flaky}) == 1


def test_a_task_knows_the_user_and_the_ids_of_the_request_that_queued_it(
    tasks: Any, tmp_path: Path, receiver: Receiver
) -> None:
    shop = Shop(tasks)
    shop.queue("who", {**ACME, "X-Request-ID": "request-7", "X-Correlation-ID": "course-7"})
    with worker(WORKER, tmp_path, receiver):
        assert shop.results[0].get(timeout=60) == ["acme", "ada", "request-7", "course-7"]


def test_numbers_are_those_of_the_results(tasks: Any, tmp_path: Path, receiver: Receiver) -> None:
    shop = Shop(tasks)
    for _ in range(6):
        shop.queue("invoice", ACME)
    for name in ("broken", "broken"):
        shop.queue(name, GLOBEX)
    shop.queue("flaky", ACME)
    with worker(WORKER, tmp_path, receiver):
        # What a process has counted in its last second dies with it when it is killed.
        eventually(lambda: sum(receiver.tally("job_runs_total").values()) == 11, "eleven runs are counted")
        shop.queue("killed", GLOBEX)
        states = shop.states()
        totals = eventually(
            lambda: next(iter((tasks.app.control.inspect(timeout=5).stats() or {}).values()), None),
            "the worker tells its totals",
        )["total"]
    assert states == {"SUCCESS": 7, "FAILURE": 3}
    runs = receiver.tally("job_runs_total", "outcome")
    assert runs == {("success",): 7, ("failure",): 3, ("retry",): 2}
    by = receiver.tally("job_runs_total", "job_name")
    assert {name: count for (name,), count in by.items()} == totals
    assert receiver.tally("job_retries_total", "job_name", "tocsin.tenant") == {("shop.flaky", "acme"): 2}
    assert sum(receiver.tally("job_queue_seconds").values()) >= 11
    broken = next(span for span in jobs(receiver) if span.name == "shop.broken")
    assert "in broken" in facts(broken.events[0])["exception.stacktrace"]
    killed = next(span for span in jobs(receiver) if span.name == "shop.killed")
    assert killed.status.message.startswith("WorkerLostError")


def test_a_revoked_task_is_counted_as_such(tasks: Any, tmp_path: Path, receiver: Receiver) -> None:
    shop = Shop(tasks)
    with worker(WORKER, tmp_path, receiver):
        eventually(lambda: tasks.app.control.ping(timeout=1), "the worker runs")
        # Before it is there: a busy worker would hear of it when the task has run.
        eventually(lambda: tasks.app.control.revoke("task-7", reply=True, timeout=2), "the worker knows")
        result = tasks.invoice.apply_async((1,), task_id="task-7")
        eventually(lambda: result.state == "REVOKED", "the task is revoked")
        eventually(lambda: receiver.tally("job_runs_total", "outcome"), "it is counted")
    assert shop.results == []
    assert receiver.tally("job_runs_total", "job_name", "outcome") == {("shop.invoice", "revoked"): 1}


def test_beats_entries_have_a_heartbeat(tasks: Any, tmp_path: Path, receiver: Receiver) -> None:
    folder = ["-B", "-s", str(tmp_path / "beat")]
    with worker([*WORKER, *folder], tmp_path, receiver):
        eventually(lambda: receiver.points("job_last_run_timestamp_seconds"), "a heartbeat arrives")
    ran = receiver.points("job_last_run_timestamp_seconds")[-1]
    assert facts(ran) == {"job_name": "shop.sweep", "schedule": "sweep-often", "system": "celery"}
    assert abs(ran.as_double - time.time()) < 30
    assert {point.as_double for point in receiver.points("job_expected_interval_seconds")} == {0.5}


def test_a_waiting_queue_has_depth_and_age(tasks: Any, tmp_path: Path, receiver: Receiver) -> None:
    shop = Shop(tasks)
    for _ in range(30):
        shop.queue("nap", ACME)
    with worker([*WORKER, "--prefetch-multiplier", "1"], tmp_path, receiver):
        deep = eventually(lambda: [p for p in receiver.points("job_queue_depth") if p.as_int > 10], "the depth is told")
        assert facts(deep[0]) == {"queue": "celery", "system": "celery"}
        eventually(
            lambda: [p for p in receiver.points("job_oldest_age_seconds") if p.as_double > 0.5], "the age is told"
        )
        tasks.app.control.purge()


def test_a_worker_that_is_not_watched_runs_watched_tasks(tasks: Any, tmp_path: Path, receiver: Receiver) -> None:
    shop = Shop(tasks)
    shop.queue("invoice", ACME)
    with worker(WORKER[1:], tmp_path, receiver):
        assert shop.states() == {"SUCCESS": 1}
    assert receiver.requests == []


def test_an_eager_task_hangs_below_its_request(tasks: Any) -> None:
    tasks.app.conf.task_always_eager = True
    shop = Shop(tasks)
    with capture_spans() as captured:
        shop.queue("invoice", ACME)
        task = captured.find("shop.invoice")
    assert (task.parent, task.tenant) == ("POST /queue/{name}", "acme")
