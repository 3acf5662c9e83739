"""arq with real workers: every number is what arq itself has counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import tocsin
from sdk.instrument.workers import facts, jobs, run_to_end, worker
from sdk.receiver import Receiver
from tocsin.testing import capture_spans
from waiting import eventually

arq = pytest.importorskip("arq")
redis = pytest.importorskip("redis")

# With redis-py from 6 on, on which arq runs but does not say so.
pytestmark = pytest.mark.filterwarnings("ignore:Call to '__init__' function with deprecated usage:DeprecationWarning")

ACME, GLOBEX = {"X-Tenant-ID": "acme"}, {"X-Tenant-ID": "globex"}
TASKS = """
import asyncio, os
from arq import Retry, cron, func
from arq.connections import RedisSettings
import tocsin

async def invoice(ctx, number):
    with tocsin.span("render"):
        return number

async def broken(ctx):
    raise LookupError("no ledger")

async def flaky(ctx):
    if ctx["job_try"] < 3:
        raise Retry(defer=0.05)
    tocsin.set_tenant("globex")

async def slow(ctx):
    await asyncio.sleep(30)

async def sweep(ctx):
    pass

class Worker:
    functions = [invoice, broken, flaky, func(slow, timeout=0.3)]
    redis_settings = RedisSettings(port=int(os.environ["REDIS_PORT"]))
    poll_delay = 0.05

# arq looks at a class without those it derives from.
class Narrow:
    functions, redis_settings, poll_delay = Worker.functions, Worker.redis_settings, 0.05
    max_jobs = 1

class Clock:
    redis_settings, poll_delay = Worker.redis_settings, 0.05
    cron_jobs = [cron(sweep, second=set(range(60)))]
"""


@pytest.fixture
def server(redis_port: int, tmp_path: Path) -> Iterator[Any]:
    client = redis.Redis(port=redis_port)
    client.flushall()
    (tmp_path / "tasks.py").write_text(TASKS)
    yield client
    client.close()


def shop(redis_port: int) -> TestClient:
    app = FastAPI()
    tocsin.instrument(app, tenant="header:X-Tenant-ID")

    @app.post("/queue/{name}")
    async def put(name: str) -> str:
        pool = await arq.create_pool(arq.connections.RedisSettings(port=redis_port))
        job = await pool.enqueue_job(name, *((7,) if name == "invoice" else ()))
        await pool.aclose()
        return str(job.job_id)

    return TestClient(app)


def results_of(redis_port: int) -> list[Any]:
    """What arq keeps of the jobs that have ended."""

    async def read() -> list[Any]:
        pool = await arq.create_pool(arq.connections.RedisSettings(port=redis_port))
        found = await pool.all_job_results()
        await pool.aclose()
        return list(found)

    return asyncio.run(read())


BURST = ["tocsin.watch", "arq", "--burst", "tasks.Worker"]


def test_a_job_continues_the_trace_and_the_tenant_of_the_request_that_queued_it(
    server: Any, redis_port: int, tmp_path: Path, receiver: Receiver
) -> None:
    client = shop(redis_port)
    with capture_spans() as captured:
        client.post("/queue/invoice", headers=ACME)
        producer = captured.find("queue invoice")
        client.post("/queue/flaky", headers=ACME)
    run_to_end(BURST, tmp_path, receiver, REDIS_PORT=str(redis_port))
    [invoice] = [span for span in jobs(receiver) if span.name == "invoice"]
    assert (invoice.trace_id.hex(), invoice.parent_span_id.hex()) == (producer.trace_id, producer.span_id)
    assert facts(invoice)["tocsin.tenant"] == "acme"
    inner = next(span for span in receiver.spans() if span.name == "render")
    assert inner.parent_span_id == invoice.span_id
    flaky = sorted(
        (span for span in jobs(receiver) if span.name == "flaky"), key=lambda span: span.start_time_unix_nano
    )
    told = [(facts(span)["tocsin.job.outcome"], facts(span)["tocsin.tenant"]) for span in flaky]
    assert told == [("retry", "acme"), ("retry", "acme"), ("success", "globex")]
    assert [facts(span)["tocsin.job.attempt"] for span in flaky] == [1, 2, 3]


def test_numbers_are_those_of_arq_itself(server: Any, redis_port: int, tmp_path: Path, receiver: Receiver) -> None:
    client = shop(redis_port)
    for _ in range(4):
        client.post("/queue/invoice", headers=ACME)
    for name in ("broken", "broken", "slow", "unheard"):
        client.post(f"/queue/{name}", headers=GLOBEX)
    client.post("/queue/flaky", headers=ACME)
    run_to_end(BURST, tmp_path, receiver, REDIS_PORT=str(redis_port))
    results = results_of(redis_port)
    complete, failed = sum(one.success for one in results), sum(not one.success for one in results)
    retried = sum(one.job_try - 1 for one in results)
    runs = receiver.tally("job_runs_total", "outcome")
    assert (runs[("success",)], runs[("failure",)], runs[("retry",)]) == (complete, failed, retried) == (5, 4, 2)
    by = receiver.tally("job_runs_total", "job_name", "outcome", "tocsin.tenant")
    assert by["slow", "failure", "globex"] == by["unheard", "failure", "globex"] == 1
    slow = next(span for span in jobs(receiver) if span.name == "slow")
    assert slow.status.message == "it ran out of time"
    broken = next(span for span in jobs(receiver) if span.name == "broken")
    assert "in broken" in facts(broken.events[0])["exception.stacktrace"]


def test_cron_jobs_have_a_heartbeat(server: Any, redis_port: int, tmp_path: Path, receiver: Receiver) -> None:
    with worker(["tocsin.watch", "arq", "tasks.Clock"], tmp_path, receiver, REDIS_PORT=str(redis_port)):
        ran = eventually(lambda: receiver.points("job_last_run_timestamp_seconds"), "a heartbeat arrives")
    assert facts(ran[-1])["job_name"] == "cron:sweep"
    assert abs(ran[-1].as_double - time.time()) < 20
    intervals = [point.as_double for point in receiver.points("job_expected_interval_seconds")]
    assert 0 < max(intervals) <= 2.0  # arq puts cron jobs into the queue a second ahead


def test_a_waiting_queue_has_depth_and_age(server: Any, redis_port: int, tmp_path: Path, receiver: Receiver) -> None:
    client = shop(redis_port)
    for _ in range(60):
        client.post("/queue/slow", headers=ACME)
    with worker(["tocsin.watch", "arq", "tasks.Narrow"], tmp_path, receiver, REDIS_PORT=str(redis_port)):
        depths = eventually(
            lambda: [point for point in receiver.points("job_queue_depth") if point.as_int], "the depth is told"
        )
        assert facts(depths[0]) == {"queue": "arq:queue", "system": "arq"}
        eventually(lambda: [p for p in receiver.points("job_oldest_age_seconds") if p.as_double > 0], "the age is told")


def test_a_worker_that_is_not_watched_runs_watched_jobs(
    server: Any, redis_port: int, tmp_path: Path, receiver: Receiver
) -> None:
    shop(redis_port).post("/queue/invoice", headers=ACME)
    run_to_end(BURST[1:], tmp_path, receiver, REDIS_PORT=str(redis_port))
    assert [one.success for one in results_of(redis_port)] == [True]
    assert receiver.requests == []


def test_a_job_that_exists_is_not_counted_twice(server: Any, redis_port: int) -> None:
    shop(redis_port)

    async def put() -> list[Any]:
        pool = await arq.create_pool(arq.connections.RedisSettings(port=redis_port))
        found = [await pool.enqueue_job("invoice", 1, _job_id="one") for _ in range(2)]
        await pool.aclose()
        return found

    from tocsin.sdk.agents import all_agents

    first, second = asyncio.run(put())
    assert first is not None
    assert second is None
    [agent] = all_agents()
    [count] = agent.increases.collect().sums.numbers.values()
    assert count == 1
