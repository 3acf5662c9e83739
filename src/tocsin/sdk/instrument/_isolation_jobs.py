"""Arguments of background jobs that name a tenant: held against the tenant whose work queues or runs the job."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tocsin.sdk.guard import guarded
from tocsin.sdk.instrument import is_chosen
from tocsin.sdk.instrument._isolation_named import Place, hold
from tocsin.sdk.isolation import configure, crossing_reason, declared
from tocsin.sdk.isolation_findings import JOBS

if TYPE_CHECKING:
    from tocsin.sdk.jobs import JobName
    from tocsin.sdk.settings import Settings

QUEUED, RUN = "queued", "run"
# Jobs and arguments that are told apart; further ones are not looked at.
_PLACES = 2000


class _Payloads:
    """What this process knows of jobs' arguments."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], Place] = {}
        self._version = -1
        self._settings: Settings | None = None
        self._is_on = False

    def is_on(self, settings: Settings) -> bool:
        if settings is not self._settings:
            configure(settings)
            self._settings = settings
            self._is_on = settings.isolation_ratio > 0 and is_chosen("isolation", settings.instruments)
        return self._is_on

    def place(self, job: str, argument: str) -> Place | None:
        if declared.version != self._version:
            self._version = declared.version
            self._places.clear()
        found = self._places.get((job, argument))
        if found is None and len(self._places) < _PLACES:
            is_meant = declared.now.is_explicit or argument in declared.now.job_arguments
            found = self._places[job, argument] = Place(job, argument, is_declared=is_meant, is_certain=is_meant)
        return found


_payloads = _Payloads()


@guarded(None)
def hold_payload(how: str, job: JobName, arguments: Mapping[str, Any], settings: Settings, reason: str = "") -> None:
    """how: QUEUED or RUN. reason: why whoever queued it might cross tenants, '' if he might not."""
    if not _payloads.is_on(settings):
        return
    now = declared.now
    for name, value in arguments.items():
        argument = str(name).lower()
        if (argument in now.columns or argument in now.job_arguments) and _may_be_name(value):
            place = _payloads.place(job.name, argument)
            if place is None:
                continue
            token = crossing_reason.set(reason or crossing_reason.get())
            try:
                hold(JOBS, how, place, value, f"{job.system} {job.name}({argument})", settings.isolation_ratio)
            finally:
                crossing_reason.reset(token)


def arguments_of(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """All arguments by name, as far as the function tells how those without are called."""
    if not args:
        return kwargs
    names = _names_of(function)
    return {**dict(zip(names, args, strict=False)), **kwargs}


def _names_of(function: Callable[..., Any]) -> Sequence[str]:
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    if code is None:
        return ()
    names: Sequence[str] = code.co_varnames[: code.co_argcount]
    return names[1:] if inspect.ismethod(function) else names


def _may_be_name(value: Any) -> bool:
    return isinstance(value, str | int | uuid.UUID) and not isinstance(value, bool) and value != ""
