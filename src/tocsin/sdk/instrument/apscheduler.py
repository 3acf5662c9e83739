"""APScheduler 3: every run as a job with its schedule, and the times at which a job was not run.

Executors take the function from the job they are given, so they are given one that runs it watched. Those that run
jobs in other processes need the job itself: there a run is counted when its result comes back.
"""

from __future__ import annotations

import copy
import inspect
import re
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tocsin.sdk.guard import guarded
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._isolation_jobs import arguments_of
from tocsin.sdk.jobs import FAILURE, SUCCESS, JobName, JobRun, note_missed, queued
from tocsin.sdk.schedules import schedules
from tocsin.sdk.settings import Settings

SYSTEM = "apscheduler"
# What APScheduler makes up when a job is given no id.
_MADE_UP = re.compile(r"[0-9a-f]{32}")
_CARRIED = 10_000


class WatchedJob:
    """A job for the executor alone, whose function is watched."""

    def __init__(self, job: Any, func: Callable[..., Any]) -> None:
        self._job = job
        self.func = func

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def __str__(self) -> str:
        return str(self._job)


class Instrument(_contract.Instrument):
    """Runs as spans and numbers, heartbeats of every trigger, misfires."""

    modules = ("apscheduler.schedulers.base",)

    def switch_on(self, settings: Settings) -> None:
        from apscheduler.executors.base import BaseExecutor
        from apscheduler.schedulers.base import BaseScheduler

        self._lock = threading.Lock()
        # What one-time jobs carry from the request that added them, by job.
        self._carried: dict[str, dict[str, str]] = {}
        # Runs in other processes: when they were handed over, by job.
        self._away: dict[str, JobRun] = {}
        self.patches.wrap(BaseExecutor, "submit_job", self._watch_submit)
        self.patches.wrap(BaseExecutor, "_run_job_success", self._watch_success)
        self.patches.wrap(BaseExecutor, "_run_job_error", self._watch_error)
        self.patches.wrap(BaseScheduler, "_real_add_job", self._watch_add)
        self.patches.wrap(BaseScheduler, "remove_job", self._watch_remove)

    def _watch_add(self, original: Callable[..., Any]) -> Callable[..., Any]:
        before, forget = guarded(None)(self._note_queued), self._carried.pop

        def _real_add_job(self: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
            before(job)  # once it is added it may run at once
            try:
                done = original(self, job, *args, **kwargs)
            except BaseException:
                forget(job.id, None)
                raise
            _declare(job)
            return done

        return _real_add_job

    def _note_queued(self, job: Any) -> None:
        if _is_once(job):
            headers = queued(_name(job), job.id, job.trigger.run_date.timestamp(), _arguments(job))
            with self._lock:
                if len(self._carried) < _CARRIED:
                    self._carried[job.id] = headers

    def _watch_remove(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def remove_job(self: Any, job_id: str, *args: Any, **kwargs: Any) -> Any:
            job = guarded(None)(self.get_job)(job_id)
            done = original(self, job_id, *args, **kwargs)
            if job is not None:
                _undeclare(job)
            return done

        return remove_job

    def _watch_submit(self, original: Callable[..., Any]) -> Callable[..., Any]:
        watched = self._watched

        def submit_job(self: Any, job: Any, run_times: list[datetime]) -> Any:
            try:
                return original(self, watched(self, job, run_times) or job, run_times)
            except Exception as error:
                if type(error).__name__ == "MaxInstancesReachedError":
                    note_missed(_name(job), "still running")
                raise

        return submit_job

    @guarded(None)
    def _watched(self, executor: Any, job: Any, run_times: list[datetime]) -> Any:
        run = self._prepared(job, run_times)
        if type(executor).__name__ == "ProcessPoolExecutor":
            self._away[job.id] = run()
            self._away[job.id].begin()
            self._away[job.id].leave()
            return None
        # Coroutine functions are told from others by looking at them.
        return WatchedJob(job, _async_call(job.func, run) if _is_async(job.func) else _call(job.func, run))

    def _prepared(self, job: Any, run_times: list[datetime]) -> Callable[[], JobRun]:
        with self._lock:
            headers = self._carried.pop(job.id, None) if _is_once(job) else None
        payload = _arguments(job)
        name, due = _name(job), [moment.timestamp() for moment in run_times]
        schedule = "" if _is_once(job) else str(job.trigger)
        following = None if _is_once(job) else job.trigger.get_next_fire_time(run_times[-1], run_times[-1])
        interval = following.timestamp() - run_times[-1].timestamp() if following is not None else 0.0

        def run() -> JobRun:
            now = time.time()
            at = max((moment for moment in due if moment <= now), default=due[0])
            return JobRun(
                name,
                headers,
                message_id=job.id,
                due=at,
                schedule=schedule,
                interval=interval,
                is_detached=True,
                payload=payload,
            )

        return run

    def _watch_success(self, original: Callable[..., Any]) -> Callable[..., Any]:
        ended = guarded(None)(self._note_events)

        def _run_job_success(self: Any, job_id: str, events: list[Any]) -> Any:
            ended(self, job_id, events)
            return original(self, job_id, events)

        return _run_job_success

    def _note_events(self, executor: Any, job_id: str, events: list[Any]) -> None:
        away = self._away.pop(job_id, None)
        for event in events:
            is_missed = not hasattr(event, "exception") or (event.exception is None and _is_missed(event))
            if is_missed:
                job = executor._scheduler.get_job(job_id)
                note_missed(_name(job) if job is not None else JobName(job_id, "", SYSTEM), "too late")
            elif away is not None:
                error = event.exception
                away.end(SUCCESS if error is None else FAILURE, error)

    def _watch_error(self, original: Callable[..., Any]) -> Callable[..., Any]:
        away = self._away

        def _run_job_error(self: Any, job_id: str, error: BaseException, *args: Any) -> Any:
            run = away.pop(job_id, None)
            if run is not None:
                run.end(FAILURE, error)
            return original(self, job_id, error, *args)

        return _run_job_error


@guarded(None)
def _arguments(job: Any) -> Any:
    return arguments_of(job.func, job.args, job.kwargs)


def _call(function: Callable[..., Any], run: Callable[[], JobRun]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with run():
            return function(*args, **kwargs)

    return call


def _async_call(function: Callable[..., Any], run: Callable[[], JobRun]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with run():
            return await function(*args, **kwargs)

    return call


def _is_async(function: Any) -> bool:
    while hasattr(function, "func"):  # a partial
        function = function.func
    return inspect.iscoroutinefunction(function)


def _is_missed(event: Any) -> bool:
    from apscheduler.events import EVENT_JOB_MISSED

    return bool(event.code == EVENT_JOB_MISSED)


def _is_once(job: Any) -> bool:
    return type(job.trigger).__name__ == "DateTrigger"


def _name(job: Any) -> JobName:
    name = job.id if not _MADE_UP.fullmatch(str(job.id)) else job.name
    return JobName(str(name), "", SYSTEM)


@guarded(None)
def _declare(job: Any) -> None:
    if _is_once(job):
        return
    trigger = copy.copy(job.trigger)
    first = job.next_run_time
    following = trigger.get_next_fire_time(first, first) if first is not None else None
    if following is not None:
        name = _name(job)
        schedules.declare(name.name, str(job.trigger), SYSTEM, (following - first).total_seconds())


@guarded(None)
def _undeclare(job: Any) -> None:
    schedules.declare(_name(job).name, str(job.trigger), SYSTEM, 0.0)
