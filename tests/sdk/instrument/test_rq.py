"""RQ with real workers: every number is what RQ's own registries say, also when a work-horse is killed."""

from __future__ import annotations

import sys
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

rq = pytest.importorskip("rq")
redis = pytest.importorskip("redis")

ACME, GLOBEX = {"X-Tenant-ID": "acme"}, {"X-Tenant-ID": "globex"}
TASKS = """
import os, signal, time
import tocsin

def invoice(number):
    tocsin.count("invoices_total")
    with tocsin.span("render"):
        return number

def broken():
    raise LookupError("no ledger")

def other():
    tocsin.set_tenant("globex")

def killed():
    os.kill(os.getpid(), signal.SIGKILL)

def slow():
    time.sleep(30)
"""


@pytest.fixture
def queue(redis_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    connection = redis.Redis(port=redis_port)
    connection.flushall()
    (tmp_path / "tasks.py").write_text(TASKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield rq.Queue("mail", connection=connection)
    connection.close()
    sys.modules.pop("tasks", None)


def shop(queue: Any) -> TestClient:
    app = FastAPI()
    tocsin.instrument(app, tenant="header:X-Tenant-ID")

    @app.post("/queue/{name}")
    def put(name: str, retries: int = 0) -> str:
        args = (7,) if name == "invoice" else ()
        retry = rq.Retry(max=retries) if retries else None
        job = queue.enqueue(f"tasks.{name}", *args, retry=retry, job_timeout=60)
        return str(job.id)

    return TestClient(app)


def burst(port: int) -> list[str]:
    return ["tocsin.watch", "rq", "worker", "--burst", "-u", f"redis://127.0.0.1:{port}", "mail"]


def test_a_job_continues_the_trace_and_the_tenant_of_the_request_that_queued_it(
    queue: Any, redis_port: int, tmp_path: Path, receiver: Receiver
) -> None:
    client = shop(queue)
    with capture_spans() as captured:
        client.post("/queue/invoice", headers={**ACME, "X-Request-ID": "r-1"})
        client.post("/queue/other", headers=ACME)
        producer = captured.find("queue tasks.invoice")
    run_to_end(burst(redis_port), tmp_path, receiver)
    found = {span.name: span for span in jobs(receiver)}
    assert producer.kind == "producer"
    assert producer.parent == "POST /queue/{name}"
    invoice = found["tasks.invoice"]
    assert (invoice.trace_id.hex(), invoice.parent_span_id.hex()) == (producer.trace_id, producer.span_id)
    told = facts(invoice)
    assert (told["tocsin.tenant"], told["tocsin.request.id"]) == ("acme", "r-1")
    assert (told["messaging.system"], told["messaging.destination.name"]) == ("rq", "mail")
    assert facts(found["tasks.other"])["tocsin.tenant"] == "globex"
    inner = next(span for span in receiver.spans() if span.name == "render")
    assert inner.parent_span_id == invoice.span_id


def test_numbers_are_those_of_rqs_registries(queue: Any, redis_port: int, tmp_path: Path, receiver: Receiver) -> None:
    client = shop(queue)
    for _ in range(5):
        client.post("/queue/invoice", headers=ACME)
    for name in ("broken", "broken", "killed"):
        client.post(f"/queue/{name}", headers=GLOBEX)
    client.post("/queue/broken?retries=2", headers=ACME)
    run_to_end(burst(redis_port), tmp_path, receiver)
    runs = receiver.tally("job_runs_total", "outcome")
    assert runs[("success",)] == queue.finished_job_registry.count == 5
    assert runs[("failure",)] == queue.failed_job_registry.count == 4
    assert runs[("retry",)] == receiver.tally("job_retries_total")[()] == 2
    by = receiver.tally("job_runs_total", "job_name", "outcome", "tocsin.tenant")
    assert by["tasks.killed", "failure", "globex"] == 1
    assert by["tasks.broken", "retry", "acme"] == 2
    assert (
        sum(receiver.tally("job_duration_seconds").values()) == sum(receiver.tally("job_queue_seconds").values()) == 11
    )
    failed = [span for span in jobs(receiver) if span.status.code == 2]
    assert len(failed) == 6
    [error] = {event.name for span in failed for event in span.events}
    assert error == "exception"
    killed = next(span for span in failed if span.name == "tasks.killed")
    assert killed.status.message == "the work-horse was killed before the job had ended"


def test_work_horses_leave_no_series_of_their_own(
    queue: Any, redis_port: int, tmp_path: Path, receiver: Receiver
) -> None:
    client = shop(queue)
    for _ in range(3):
        client.post("/queue/invoice", headers=ACME)
    run_to_end(burst(redis_port), tmp_path, receiver)
    assert len({resource["service.instance.id"] for resource in receiver.resources()}) == 1
    assert max(point.as_double or point.as_int for point in receiver.points("invoices_total")) == 3


def test_a_stopped_job_is_revoked(queue: Any, redis_port: int, tmp_path: Path, receiver: Receiver) -> None:
    from rq.command import send_stop_job_command

    job = queue.enqueue("tasks.slow")
    with worker(burst(redis_port), tmp_path, receiver):
        eventually(lambda: job.get_status() == "started", "the job runs")
        send_stop_job_command(queue.connection, job.id)
        eventually(lambda: receiver.tally("job_runs_total", "outcome"), "its end is counted")
    assert receiver.tally("job_runs_total", "outcome") == {("revoked",): 1}


def test_a_waiting_queue_has_depth_and_age(queue: Any, redis_port: int, tmp_path: Path, receiver: Receiver) -> None:
    from rq.command import send_stop_job_command

    slow = queue.enqueue("tasks.slow")
    for _ in range(3):
        queue.enqueue("tasks.invoice", 1)
    with worker(burst(redis_port), tmp_path, receiver):
        depths = eventually(
            lambda: [point for point in receiver.points("job_queue_depth") if point.as_int == 3], "the depth is told"
        )
        assert facts(depths[0]) == {"queue": "mail", "system": "rq"}
        eventually(lambda: [p for p in receiver.points("job_oldest_age_seconds") if p.as_double > 0], "the age is told")
        queue.empty()
        send_stop_job_command(queue.connection, slow.id)  # the worker would wait for its end


def test_a_worker_that_is_not_watched_runs_watched_jobs(
    queue: Any, redis_port: int, tmp_path: Path, receiver: Receiver
) -> None:
    shop(queue).post("/queue/invoice", headers=ACME)
    run_to_end(["rq.cli", *burst(redis_port)[2:]], tmp_path, receiver)
    assert queue.finished_job_registry.count == 1
    assert receiver.requests == []
