"""`tocsin.job`: a job of your own making, watched like those of a queue; `tocsin.start`: a process without an app."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar, cast

from tocsin.sdk import coexist
from tocsin.sdk.agent import agent_for
from tocsin.sdk.agents import active_agent
from tocsin.sdk.cron import Schedule, parse_schedule
from tocsin.sdk.guard import guarded
from tocsin.sdk.instrument._isolation_jobs import arguments_of
from tocsin.sdk.jobs import TENANT, JobName, JobRun, wake
from tocsin.sdk.schedules import schedules
from tocsin.sdk.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

SYSTEM = "own"


def start(**arguments: Any) -> None:
    """Watches this process, which serves no app: a worker, a scheduler, a script. More calls change nothing.

    Keyword arguments are the settings of docs/sdk.md. Raises SettingsError or TenantError for settings that cannot be
    used.
    """
    settings = Settings.load(**arguments)
    if settings.enabled:
        agent = agent_for(settings)
        coexist.install_provider(agent.provider)
        wake(agent)


class job:
    """A job around a block or a function, coroutine functions included; what it raises is recorded and passes on.

    `@tocsin.job("nightly-invoices", schedule="0 3 * * *")` or `with tocsin.job("import", queue="files"):`. schedule
    says when it is due, as `every 15m`, seconds, a timedelta or cron's five fields in local time: a run that stays
    out is then noticed. tenant says for whom it works; `set_tenant` inside wins. Raises ScheduleError for a schedule
    that cannot be read.
    """

    def __init__(
        self, name: str, *, schedule: str | float | timedelta | None = None, queue: str = "", tenant: str = "",
        **attributes: Any,
    ) -> None:  # fmt: skip
        self._job = JobName(name, queue, SYSTEM)
        self._schedule: Schedule | None = parse_schedule(schedule) if schedule is not None else None
        self._tenant, self._attributes = tenant, attributes
        self._entered: list[JobRun] = []
        if self._schedule is not None:
            # Known from here on, so that a job which never runs is missed.
            _declare(self._job, self._schedule)

    def __enter__(self) -> JobRun:
        run = self._run()
        run.__enter__()
        self._entered.append(run)
        return run

    def __exit__(self, *exception: Any) -> None:
        self._entered.pop().__exit__(*exception)

    def __call__(self, function: F) -> F:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                with self._run(_arguments(function, args, kwargs)):
                    return await function(*args, **kwargs)

            return cast(F, call_async)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._run(_arguments(function, args, kwargs)):
                return function(*args, **kwargs)

        return cast(F, call)

    def _run(self, payload: Mapping[str, Any] | None = None) -> JobRun:
        schedule = self._schedule
        now = time.time()
        return JobRun(
            self._job,
            {TENANT: self._tenant} if self._tenant else None,
            schedule=schedule.text if schedule else "",
            interval=schedule.next_after(now) - now if schedule else 0.0,
            attributes=self._attributes,
            payload=payload,
        )


@guarded(None)
def _arguments(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
    return arguments_of(function, args, kwargs)


@guarded(None)
def _declare(name: JobName, schedule: Schedule) -> None:
    now = time.time()
    first = schedule.next_after(now)
    schedules.declare(name.name, schedule.text, name.system, schedule.next_after(first) - first)
    agent = active_agent()
    if agent is not None:
        wake(agent)
