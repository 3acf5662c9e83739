"""Celery: tasks from the request that queued them to their end in a worker, beat's schedules, queues on Redis.

It tells by signals, which are its documented interface; what travels with a task are headers of its message.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.agents import active_agent
from tocsin.sdk.guard import guarded
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._isolation_jobs import arguments_of
from tocsin.sdk.instrument._jobs import Queue, QueueWatch, own_redis
from tocsin.sdk.jobs import (
    CORRELATION,
    CROSSING,
    FAILURE,
    QUEUED,
    REQUEST,
    RETRY,
    REVOKED,
    ROW_TENANT,
    SUCCESS,
    TENANT,
    USER,
    JobName,
    JobRun,
    note_ended,
    queued,
)
from tocsin.sdk.schedules import schedules
from tocsin.sdk.settings import Settings

SYSTEM = "celery"
# Name of the schedule and seconds to its next run.
SCHEDULE = "tocsin-schedule"
_CARRIED = (
    "traceparent", "tracestate", TENANT, ROW_TENANT, CROSSING, QUEUED, REQUEST, CORRELATION, USER, SCHEDULE,
)  # fmt: skip
_OUTCOMES = {"SUCCESS": SUCCESS, "RETRY": RETRY, "FAILURE": FAILURE, "REVOKED": REVOKED, "REJECTED": REVOKED}
# kombu keeps a queue of Redis in a list for each priority.
_PRIORITY = "\x06\x16"
_FLUSH_SECONDS = 2.0

# The schedule for which beat is sending a task.
_due: ContextVar[str] = ContextVar("tocsin_beat", default="")


class Instrument(_contract.Instrument):
    """Tasks as spans and numbers, heartbeats of beat's entries, queues with depth and age."""

    modules = ("celery.app.base",)
    contrib = "opentelemetry.instrumentation.celery"

    def __init__(self) -> None:
        super().__init__()
        self._running: dict[str, JobRun] = {}
        self._errors: dict[str, BaseException] = {}
        self._watch: QueueWatch | None = None
        self._receivers: dict[str, Callable[..., None]] = {
            "before_task_publish": _carry,
            "task_prerun": self._begin,
            "task_failure": self._note_failure,
            "task_retry": self._note_retry,
            "task_postrun": self._end,
            "task_revoked": self._note_revoked,
            "worker_ready": self._start_watch,
            "worker_process_shutdown": _flush,
            "worker_shutdown": _flush,
            "beat_init": self._watch_beat,
            "beat_embedded_init": self._watch_beat,
        }

    def switch_on(self, settings: Settings) -> None:
        from celery import signals

        for name, receiver in self._receivers.items():
            getattr(signals, name).connect(receiver, weak=False, dispatch_uid=f"tocsin.{name}")

    def switch_off(self) -> None:
        from celery import signals

        super().switch_off()
        for name in self._receivers:
            getattr(signals, name).disconnect(dispatch_uid=f"tocsin.{name}")
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def gauges(self) -> list[_contract.Gauge]:
        return self._watch.gauges() if self._watch is not None else []

    # -- in the worker

    @guarded(None)
    def _begin(self, task_id: str = "", task: Any = None, args: Any = (), kwargs: Any = None, **_: Any) -> None:
        entered_ns, request = perf_counter_ns(), task.request
        carried = _carried_by(request) or {}
        schedule, interval = str(carried.get(SCHEDULE) or "").rpartition("|")[::2]
        run = JobRun(
            JobName(task.name, _queue_of(request), SYSTEM), carried, message_id=task_id,
            attempt=(request.retries or 0) + 1, schedule=schedule, interval=_seconds(interval),
            is_detached=not request.is_eager, payload=_arguments(task, args, kwargs), entered_ns=entered_ns,
        )  # fmt: skip
        self._running[task_id] = run
        run.begin()

    @guarded(None)
    def _note_failure(
        self, sender: Any = None, task_id: str = "", exception: Any = None, einfo: Any = None, **_: Any
    ) -> None:
        if task_id in self._running:
            self._errors[task_id] = _raised(exception, einfo)
        else:
            # In the worker's main process: the process that ran it was lost or killed for its time limit.
            run = JobRun(
                JobName(getattr(sender, "name", str(sender)), "", SYSTEM), message_id=task_id, is_detached=True
            )
            run.begin()
            run.end(FAILURE, error_text=f"{type(exception).__name__}: {exception}")

    @guarded(None)
    def _note_retry(self, request: Any = None, reason: Any = None, einfo: Any = None, **_: Any) -> None:
        cause = getattr(reason, "exc", None)
        if isinstance(cause, BaseException):
            self._errors[request.id] = cause

    @guarded(None)
    def _end(self, task_id: str = "", task: Any = None, state: str | None = None, **_: Any) -> None:
        run, error = self._running.pop(task_id, None), self._errors.pop(task_id, None)
        if run is not None:
            # A task that is ignored has done what it was to do.
            run.end(_OUTCOMES.get(state or "", SUCCESS), error)

    @guarded(None)
    def _note_revoked(self, sender: Any = None, request: Any = None, **_: Any) -> None:
        told = getattr(request, "request_dict", None) or getattr(request, "__dict__", {})
        queue = (getattr(request, "delivery_info", None) or {}).get("routing_key") or ""
        note_ended(JobName(getattr(sender, "name", str(sender)), queue, SYSTEM), REVOKED, str(told.get(TENANT) or ""))

    @guarded(None)
    def _start_watch(self, sender: Any = None, **_: Any) -> None:
        app = sender.app
        if self._watch is not None or active_agent() is None or not _is_redis(app):
            return
        names = [queue.name for queue in app.amqp.queues.consume_from.values()]
        steps = app.conf.broker_transport_options.get("priority_steps", (0, 3, 6, 9))
        with app.connection_for_read() as connection:
            channel = connection.default_channel
            client, prefix = own_redis(channel.client), getattr(channel, "global_keyprefix", "") or ""
        self._watch = QueueWatch(SYSTEM, lambda: {name: _look(client, prefix + name, steps) for name in names})

    # -- in beat

    @guarded(None)
    def _watch_beat(self, sender: Any = None, **_: Any) -> None:
        from celery.beat import Scheduler

        self.patches.wrap(Scheduler, "apply_async", self._watch_entry)
        for entry in sender.scheduler.schedule.values():
            if not entry.task.startswith("celery."):
                schedules.declare(entry.task, entry.name, SYSTEM, _interval(entry.schedule))

    def _watch_entry(self, original: Callable[..., Any]) -> Callable[..., Any]:
        told = guarded("")(_told)

        def apply_async(self: Any, entry: Any, *args: Any, **kwargs: Any) -> Any:
            token = _due.set(told(entry))
            try:
                return original(self, entry, *args, **kwargs)
            finally:
                _due.reset(token)

        return apply_async


@guarded(None)
def _carry(
    sender: Any = None, headers: Any = None, routing_key: str = "", declare: Any = None, body: Any = None, **_: Any
) -> None:
    if not isinstance(headers, dict) or not sender:
        return
    queue = declare[0].name if declare else routing_key
    eta = headers.get("eta")
    due = datetime.fromisoformat(eta).timestamp() if isinstance(eta, str) else 0.0
    carried = queued(JobName(str(sender), queue or "", SYSTEM), str(headers.get("id") or ""), due, _payload(body))
    if carried and _due.get():
        carried[SCHEDULE] = _due.get()
    headers.update(carried)


def _payload(body: Any) -> dict[str, Any] | None:
    """The arguments by name in a message: (args, kwargs, …) as it is sent today."""
    kwargs = body[1] if isinstance(body, list | tuple) and len(body) > 1 else None
    return kwargs if isinstance(kwargs, dict) else None


@guarded(None)
def _arguments(task: Any, args: Any, kwargs: Any) -> Any:
    return arguments_of(task.run, args or (), kwargs or {})


@guarded(None)
def _flush(**_: Any) -> None:
    agent = active_agent()
    if agent is not None:
        agent.exporter.flush(_FLUSH_SECONDS)


def _carried_by(request: Any) -> dict[str, Any]:
    """Some versions keep the headers of a message apart, some among the rest of the request."""
    apart = getattr(request, "headers", None) or {}
    found = {name: apart.get(name) or request.get(name) for name in _CARRIED}
    return {name: value for name, value in found.items() if value}


def _queue_of(request: Any) -> str:
    return str((request.delivery_info or {}).get("routing_key") or "")


def _raised(exception: Any, einfo: Any) -> BaseException:
    """The exception itself: what cannot be pickled is replaced by a text of it, whose cause it still is."""
    found = getattr(einfo, "exception", None)
    found = getattr(found, "exc", found)
    return found if isinstance(found, BaseException) and found.__traceback__ is not None else exception


def _is_redis(app: Any) -> bool:
    url = app.conf.broker_read_url or app.conf.broker_url or ""
    first = url[0] if isinstance(url, list | tuple) else str(url)
    return first.startswith(("redis://", "rediss://", "redis+socket://"))


def _look(client: Any, name: str, steps: Any) -> Queue:
    depth, oldest = 0, None
    for step in steps:
        key = f"{name}{_PRIORITY}{step}" if step else name
        depth += client.llen(key)
        at = _queued_at(client.lindex(key, -1))
        oldest = at if oldest is None or (at is not None and at < oldest) else oldest
    return Queue(depth, oldest)


def _queued_at(message: bytes | None) -> float | None:
    if not message:
        return None
    try:
        return float(json.loads(message)["headers"][QUEUED])
    except (ValueError, KeyError, TypeError):
        return None  # queued by somebody who is not watched


def _told(entry: Any) -> str:
    return f"{entry.name}|{_interval(entry.schedule):.3f}"


@guarded(0.0)
def _interval(schedule: Any) -> float:
    """Seconds from now to when it is due after that."""
    period = getattr(schedule, "run_every", None)
    if period is not None and type(schedule).__name__ == "schedule":
        return float(period.total_seconds())
    now = schedule.now() if hasattr(schedule, "now") else datetime.now(UTC)
    return float(max(0.0, schedule.remaining_estimate(now).total_seconds()))


def _seconds(text: str) -> float:
    try:
        return float(text or 0.0)
    except ValueError:
        return 0.0
