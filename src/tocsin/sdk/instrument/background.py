"""Background tasks of Starlette and FastAPI: each is a job below the request that added it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tocsin.sdk.instrument import _contract
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
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            self.__dict__[_ADDED] = time.time()

        return __init__

    def _watch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def __call__(self: Any) -> None:
            job = JobName(name_of(self.func), "", SYSTEM)
            with JobRun(job, due=self.__dict__.get(_ADDED, 0.0)):
                await original(self)

        return __call__
