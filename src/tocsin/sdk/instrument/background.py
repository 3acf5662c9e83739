"""Background tasks of Starlette and FastAPI: each is a job below the request that added it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from tocsin.sdk.agents import active_agent
from tocsin.sdk.guard import guarded
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._isolation_jobs import QUEUED, arguments_of, hold_payload
from tocsin.sdk.isolation import crossing_reason
from tocsin.sdk.jobs import JobName, JobRun, name_of
from tocsin.sdk.settings import Settings

SYSTEM = "background"
_ADDED = "_tocsin_added"


class Instrument(_contract.Instrument):
    """Background tasks as spans and numbers; requests without any pay nothing."""

    modules = ("starlette.background",)

    def switch_on(self, settings: Settings) -> None:
        from starlette.background import BackgroundTask

        self.patches.wrap(BackgroundTask, "__init__", self._note_added)
        self.patches.wrap(BackgroundTask, "__call__", self._watch)

    def _note_added(self, original: Callable[..., None]) -> Callable[..., None]:
        hold_added = guarded(None)(_hold_added)

        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            self.__dict__[_ADDED] = (time.time(), crossing_reason.get())
            hold_added(self)

        return __init__

    def _watch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def __call__(self: Any) -> None:
            added, reason = self.__dict__.get(_ADDED, (0.0, ""))
            with JobRun(_name(self), due=added, payload=_arguments(self), crossing=reason):
                await original(self)

        return __call__


def _hold_added(task: Any) -> None:
    # BackgroundTasks is one, too, and its own tasks have been looked at.
    if hasattr(task, "func"):
        arguments, agent = _arguments(task), active_agent()
        if arguments and agent is not None:
            hold_payload(QUEUED, _name(task), arguments, agent.settings)


def _name(task: Any) -> JobName:
    return JobName(name_of(task.func), "", SYSTEM)


@guarded(None)
def _arguments(task: Any) -> Mapping[str, Any]:
    return arguments_of(task.func, task.args, task.kwargs)
