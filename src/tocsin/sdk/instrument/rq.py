"""RQ: jobs from the request that queued them to their end in the worker, also when the work-horse is killed.

The work-horse is a process for one job and leaves by `os._exit`: it hands its trace and its numbers to the worker it
was forked from, which answers for it. A job carries its context in `job.meta["tocsin"]`.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import IO, Any

from tocsin.sdk.agents import active_agent
from tocsin.sdk.export import Payload
from tocsin.sdk.guard import guarded, outcome
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._isolation_jobs import arguments_of
from tocsin.sdk.instrument._jobs import Queue, QueueWatch, own_redis
from tocsin.sdk.jobs import FAILURE, RETRY, REVOKED, SUCCESS, JobName, JobRun, queued
from tocsin.sdk.measures import measures
from tocsin.sdk.schedules import schedules
from tocsin.sdk.settings import Settings

SYSTEM = "rq"
META = "tocsin"


class Horse:
    """What a work-horse finds of its worker: where to leave its numbers, and in whose name to send."""

    def __init__(self, report: IO[bytes], instance_id: str) -> None:
        self.report, self.instance_id, self.pid = report, instance_id, os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether this process is the work-horse."""
        return os.getpid() != self.pid


class Instrument(_contract.Instrument):
    """Jobs as spans and numbers, queues with depth and age."""

    modules = ("rq.worker",)

    def switch_on(self, settings: Settings) -> None:
        from rq.job import Job

        # Not `import rq.worker`: rq itself, which is being imported, does not know it yet.
        workers = import_module("rq.worker")
        self.patches.wrap(Job, "create", self._carry)
        self.patches.wrap(Job, "perform", self._watch_perform)
        self.patches.wrap(workers.Worker, "execute_job", self._watch_horse)
        self.patches.wrap(workers.Worker, "perform_job", self._report)
        self.patches.wrap(getattr(workers, "BaseWorker", workers.Worker), "work", self._watch_queues)

    def __init__(self) -> None:
        super().__init__()
        self._horse: Horse | None = None
        self._watch: QueueWatch | None = None

    def switch_off(self) -> None:
        super().switch_off()
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def gauges(self) -> list[_contract.Gauge]:
        return self._watch.gauges() if self._watch is not None else []

    # -- where jobs are queued

    def _carry(self, original: Any) -> Any:
        unbound = original.__func__

        def create(cls: Any, *args: Any, **kwargs: Any) -> Any:
            job = unbound(cls, *args, **kwargs)
            _note_queued(job)
            return job

        return classmethod(create)

    # -- where they run

    def _watch_perform(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def perform(self: Any) -> Any:
            run = _run_of(self)
            if run is None:
                return original(self)
            run.begin()
            try:
                answer = original(self)
            except BaseException as error:
                run.end(RETRY if _retries_left(self) else FAILURE, error)
                raise
            run.end(_outcome_of(self, answer))
            return answer

        return perform

    def _watch_horse(self, original: Callable[..., Any]) -> Callable[..., Any]:
        prepare, settle = self._prepare, self._settle

        def execute_job(self: Any, job: Any, queue: Any) -> Any:
            began = time.time()
            horse = prepare(self)
            try:
                return original(self, job, queue)
            finally:
                if horse is not None and not horse.is_here:
                    settle(job, horse, began)

        return execute_job

    @guarded(None)
    def _prepare(self, worker: Any) -> Horse | None:
        agent = active_agent()
        # Others have no work-horse, or one that is no fork and sends by itself.
        if agent is None or type(worker).execute_job is not _forking() or _spawns(worker):
            return None
        report = tempfile.TemporaryFile()  # noqa: SIM115  closed in _settle
        self._horse = Horse(report, agent.instance_id)
        return self._horse

    @guarded(None)
    def _settle(self, job: Any, horse: Horse, began: float) -> None:
        """In the worker, after the work-horse has ended: takes over what it has counted."""
        self._horse = None
        agent = active_agent()
        horse.report.seek(0)
        said = horse.report.read()
        horse.report.close()
        if agent is None:
            return
        if said:
            report = json.loads(said)
            agent.increases.add_packed(report["increases"])
            measures.add_packed(report["measures"])
            schedules.add(report["schedules"])
            unsent = [Payload(signal, b64decode(body), items) for signal, body, items in report["unsent"]]
            agent.exporter.take_over(unsent)
        else:
            _note_killed(job, began)
        if agent.exporter.is_idle:
            agent.exporter.wake()

    def _report(self, original: Callable[..., Any]) -> Callable[..., Any]:
        instrument = self

        def perform_job(self: Any, *args: Any, **kwargs: Any) -> Any:
            horse = instrument._horse
            if horse is None or not horse.is_here:
                try:
                    return original(self, *args, **kwargs)
                finally:
                    _flush_spawned(self)
            _join(horse)
            try:
                return original(self, *args, **kwargs)
            finally:
                _hand_over(horse)

        return perform_job

    def _watch_queues(self, original: Callable[..., Any]) -> Callable[..., Any]:
        start = guarded(None)(self._start_watch)

        def work(self: Any, *args: Any, **kwargs: Any) -> Any:
            start(self)
            return original(self, *args, **kwargs)

        return work

    def _start_watch(self, worker: Any) -> None:
        if self._watch is None and active_agent() is not None:
            client, names = own_redis(worker.connection), {queue.name: queue.key for queue in worker.queues}
            prefix = type(worker).job_class.redis_job_namespace_prefix if hasattr(worker, "job_class") else "rq:job:"
            self._watch = QueueWatch(SYSTEM, lambda: _look(client, names, prefix))


def _look(client: Any, names: Mapping[str, str], prefix: str) -> dict[str, Queue]:
    found = {}
    for name, key in names.items():
        depth, first = client.llen(key), client.lindex(key, 0)
        queued_at = None
        if first is not None:
            said = client.hget(prefix + (first.decode() if isinstance(first, bytes) else first), "enqueued_at")
            queued_at = _moment(said.decode() if isinstance(said, bytes) else said)
        found[name] = Queue(int(depth), queued_at)
    return found


def _moment(text: str | None) -> float | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@guarded(None)
def _note_queued(job: Any) -> None:
    if job.origin:
        headers = queued(_name(job), job.id, payload=_arguments(job))
        if headers:
            job.meta[META] = headers


@guarded(None)
def _run_of(job: Any) -> JobRun | None:
    enqueued = job.enqueued_at
    due = (_moment(enqueued.isoformat()) or 0.0) if enqueued is not None else 0.0
    headers = job.meta.get(META)
    return JobRun(
        _name(job),
        headers,
        message_id=job.id,
        due=due,
        attempt=_attempt(job),
        is_detached=True,
        payload=_arguments(job),
    )


def _arguments(job: Any) -> Any:
    """By name; None when they cannot be read, which RQ itself will say."""
    found = outcome(lambda: arguments_of(job.func, job.args, job.kwargs))
    return None if isinstance(found, Exception) else found


def _name(job: Any) -> JobName:
    name = job.func_name or "unknown"
    return JobName(name, job.origin or "", SYSTEM)


def _attempt(job: Any) -> int:
    return int(getattr(job, "number_of_retries", None) or 0) + 1


def _retries_left(job: Any) -> bool:
    return bool(getattr(job, "retries_left", 0))


@guarded(SUCCESS)
def _outcome_of(job: Any, answer: Any) -> str:
    """A job that returns `Retry` asks to be run again, as long as it may."""
    if type(answer).__name__ != "Retry" or not type(answer).__module__.startswith("rq"):
        return SUCCESS
    return FAILURE if (getattr(job, "number_of_retries", None) or 0) >= answer.max else RETRY


def _forking() -> Any:
    return import_module("rq.worker").Worker.execute_job


def _spawns(worker: Any) -> bool:
    return any(kind.__name__ == "SpawnWorker" for kind in type(worker).__mro__)


@guarded(None)
def _join(horse: Horse) -> None:
    agent = active_agent()
    if agent is not None:
        agent.answer_through(horse.instance_id, horse.pid)


@guarded(None)
def _hand_over(horse: Horse) -> None:
    """In the work-horse: its trace and its numbers go to the worker, which has time to send them."""
    agent = active_agent()
    if agent is None:
        return
    unsent = agent.exporter.hand_over(agent.settings.exit_flush_seconds)
    report = {
        "increases": agent.increases.packed(),
        "measures": measures.packed(),
        "schedules": schedules.packed(),
        "unsent": [[payload.signal, b64encode(payload.body).decode(), payload.items] for payload in unsent],
    }
    horse.report.write(json.dumps(report).encode())
    horse.report.flush()


@guarded(None)
def _flush_spawned(worker: Any) -> None:
    agent = active_agent()
    if agent is not None and getattr(worker, "_is_horse", False):
        agent.exporter.flush(agent.settings.exit_flush_seconds)


def _note_killed(job: Any, began: float) -> None:
    """A work-horse that left no word was killed: by the system, a time limit, or somebody who stopped the job."""
    run = _run_of(job)
    if run is None:
        return
    run.begin(began)
    # What RQ has made of it meanwhile.
    status = str(getattr(job.get_status(refresh=False), "value", ""))
    if status == "stopped":
        run.end(REVOKED)
    else:
        text = "the work-horse was killed before the job had ended"
        run.end(RETRY if status in ("queued", "scheduled") else FAILURE, error_text=text)
