"""arq: jobs from the request that queued them to their end in the worker, its cron jobs, its queue.

A job carries its context beside what arq itself stores of it, where workers that are not watched do not look.
"""

from __future__ import annotations

import asyncio
import copy
import pickle
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from importlib import import_module
from typing import Any

from tocsin.sdk.agents import active_agent
from tocsin.sdk.guard import guarded
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._isolation_jobs import arguments_of
from tocsin.sdk.instrument._jobs import LOOK_SECONDS, Queue, queue_gauges
from tocsin.sdk.jobs import FAILURE, RETRY, REVOKED, SUCCESS, TENANT, JobName, JobRun, note_ended, queued
from tocsin.sdk.schedules import schedules
from tocsin.sdk.settings import Settings

SYSTEM = "arq"
FIELD = "tocsin"

# The queue that a job is being put into, and what a job that was read carries.
_queue: ContextVar[str | None] = ContextVar("tocsin_arq_queue", default=None)
_read: ContextVar[dict[str, str] | None] = ContextVar("tocsin_arq_read", default=None)


class Instrument(_contract.Instrument):
    """Jobs as spans and numbers, heartbeats of cron jobs, the queue's depth and age."""

    modules = ("arq.worker", "arq.connections")

    def switch_on(self, settings: Settings) -> None:
        # Not `import arq.worker`: arq itself, which is being imported, does not know it yet.
        connections, workers = import_module("arq.connections"), import_module("arq.worker")
        self._queues: dict[str, tuple[float, Queue]] = {}
        self.patches.wrap(connections.ArqRedis, "enqueue_job", self._watch_enqueue)
        self.patches.wrap(connections, "serialize_job", self._add_carried)
        self.patches.wrap(workers, "deserialize_job_raw", self._take_carried)
        self.patches.wrap(workers.Worker, "__init__", self._watch_functions)
        self.patches.wrap(workers.Worker, "finish_failed_job", self._watch_failed)
        self.patches.wrap(workers.Worker, "heart_beat", self._watch_queue)
        self.patches.wrap(workers.Worker, "close", self._flush)

    def gauges(self) -> list[_contract.Gauge]:
        now = time.monotonic()
        fresh = [(name, queue) for name, (at, queue) in self._queues.items() if now - at < 4 * LOOK_SECONDS]
        return [gauge for name, queue in fresh for gauge in queue_gauges(SYSTEM, name, queue)]

    # -- where jobs are queued

    def _watch_enqueue(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def enqueue_job(self: Any, function: str, *args: Any, **kwargs: Any) -> Any:
            token = _queue.set(kwargs.get("_queue_name") or getattr(self, "default_queue_name", ""))
            try:
                return await original(self, function, *args, **kwargs)
            finally:
                _queue.reset(token)

        return enqueue_job

    def _add_carried(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def serialize_job(function: str, *args: Any, serializer: Any = None, **kwargs: Any) -> Any:
            # Called once arq has seen that there is no such job yet.
            queue = _queue.get()
            payload = args[1] if len(args) > 1 and isinstance(args[1], dict) else None
            headers = queued(JobName(function, queue, SYSTEM), payload=payload) if queue is not None else {}
            if not headers:
                return original(function, *args, serializer=serializer, **kwargs)
            write = serializer or pickle.dumps

            def with_carried(data: dict[str, Any]) -> Any:
                return write({**data, FIELD: headers})

            return original(function, *args, serializer=with_carried, **kwargs)

        return serialize_job

    # -- where they run

    def _take_carried(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def deserialize_job_raw(raw: bytes, *, deserializer: Any = None) -> Any:
            read = deserializer or pickle.loads

            def and_take(data: bytes) -> Any:
                found = read(data)
                _read.set(found.get(FIELD) if isinstance(found, dict) else None)
                return found

            return original(raw, deserializer=and_take)

        return deserialize_job_raw

    def _watch_functions(self, original: Callable[..., None]) -> Callable[..., None]:
        watch = guarded(None)(_watch_function)

        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            for name, function in list(self.functions.items()):
                watch(self, name, function)

        return __init__

    def _watch_failed(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def finish_failed_job(self: Any, job_id: str, result_data: bytes | None) -> Any:
            _note_failed(self, result_data)
            return await original(self, job_id, result_data)

        return finish_failed_job

    def _watch_queue(self, original: Callable[..., Any]) -> Callable[..., Any]:
        queues = self._queues

        async def heart_beat(self: Any) -> Any:
            answer = await original(self)
            seen = queues.get(self.queue_name)
            if seen is None or time.monotonic() - seen[0] >= LOOK_SECONDS:
                queues[self.queue_name] = (time.monotonic(), await _look(self))
            return answer

        return heart_beat

    def _flush(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def close(self: Any) -> Any:
            answer = await original(self)
            await asyncio.to_thread(_flush_now)
            return answer

        return close


async def _look(worker: Any) -> Queue:
    """Those that are due; what was put off does not wait yet."""
    now_ms = time.time() * 1000
    depth = await worker.pool.zcount(worker.queue_name, "-inf", now_ms)
    first = await worker.pool.zrange(worker.queue_name, 0, 0, withscores=True)
    return Queue(int(depth), first[0][1] / 1000 if first and first[0][1] <= now_ms else None)


@guarded(None)
def _flush_now() -> None:
    agent = active_agent()
    if agent is not None:
        agent.exporter.flush(agent.settings.exit_flush_seconds)


def _watch_function(worker: Any, name: str, function: Any) -> None:
    work = function.coroutine
    if getattr(work, "is_tocsin", False):
        return
    is_cron = hasattr(function, "next_run")
    schedule = _schedule_text(function) if is_cron else ""
    arguments = guarded(None)(arguments_of)

    async def coroutine(ctx: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        due = max(ctx.get("score", 0) / 1000, ctx["enqueue_time"].timestamp())
        interval = 0.0
        if is_cron and function.next_run is not None:
            interval = max(0.0, function.next_run.timestamp() - time.time())
        run = JobRun(
            JobName(name, worker.queue_name, SYSTEM), _read.get(), message_id=ctx["job_id"], due=due,
            attempt=ctx["job_try"], schedule=schedule, interval=interval, is_detached=True,
            payload=arguments(work, (ctx, *args), kwargs),
        )  # fmt: skip
        run.begin()
        began = time.monotonic()
        try:
            answer = await work(ctx, *args, **kwargs)
        except BaseException as error:
            outcome = _outcome(worker, function, ctx["job_id"], error, time.monotonic() - began)
            is_plain = isinstance(error, asyncio.CancelledError) or type(error).__name__ in ("Retry", "RetryJob")
            text = "it ran out of time" if outcome == FAILURE and is_plain else ""
            run.end(outcome, None if is_plain else error, text)
            raise
        run.end(SUCCESS)
        return answer

    coroutine.is_tocsin = True  # type: ignore[attr-defined]  # found again by another worker of this process
    function.coroutine = coroutine
    if is_cron:
        _declare(name, schedule, function)


def _outcome(worker: Any, function: Any, job_id: str, error: BaseException, seconds: float) -> str:
    """As arq itself decides a moment later."""
    kind = type(error).__name__
    if worker.retry_jobs and kind in ("Retry", "RetryJob"):
        return RETRY
    if not isinstance(error, asyncio.CancelledError):
        return FAILURE
    limit = worker.job_timeout_s if function.timeout_s is None else function.timeout_s
    if job_id in worker.aborting_tasks:
        return REVOKED
    if limit is not None and seconds >= limit:
        return FAILURE
    return RETRY if worker.retry_jobs else FAILURE


@guarded(None)
def _note_failed(worker: Any, result_data: bytes | None) -> None:
    """Jobs that arq gives up before they begin: expired, unknown, aborted, tried too often."""
    if result_data is None:
        return
    from arq.jobs import deserialize_result

    found = deserialize_result(result_data, deserializer=worker.job_deserializer)
    is_aborted = isinstance(found.result, asyncio.CancelledError)
    headers = _read.get() or {}
    name = JobName(found.function, worker.queue_name, SYSTEM)
    note_ended(name, REVOKED if is_aborted else FAILURE, headers.get(TENANT, ""))


def _declare(name: str, schedule: str, cron: Any) -> None:
    first = copy.copy(cron)
    first.calculate_next(datetime.now())
    second = copy.copy(first)
    second.calculate_next(first.next_run)
    interval = (second.next_run - first.next_run).total_seconds()
    schedules.declare(name, schedule, SYSTEM, interval)


def _schedule_text(cron: Any) -> str:
    """What is not left open, such as `hour=3 minute=0`."""
    fields = ("month", "day", "weekday", "hour", "minute", "second")
    return " ".join(f"{field}={_plain(value)}" for field in fields if (value := getattr(cron, field, None)) is not None)


def _plain(value: Any) -> str:
    return ",".join(map(str, sorted(value))) if isinstance(value, set) else str(value)
