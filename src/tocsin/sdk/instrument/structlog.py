"""structlog: events with their fields as they were said, before processors make text of them.

Two processors of ours stand around those of the app: the first sees the event, the last sees that it was not dropped.
Nothing is wrapped that runs while something is logged, so that whoever looks for the caller on the stack finds it.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType
from typing import Any

from tocsin.sdk.guard import guarded
from tocsin.sdk.instrument import _contract
from tocsin.sdk.logs import hook
from tocsin.sdk.logs.levels import severity_of
from tocsin.sdk.logs.line import LogLine
from tocsin.sdk.logs.recorder import LastSeen, Said, error_of, last_seen, plain
from tocsin.sdk.logs.whose import whose
from tocsin.sdk.settings import Settings

_LEVELS = {
    "critical": 50, "fatal": 50, "exception": 40, "error": 40, "err": 40, "failure": 40, "warning": 30, "warn": 30,
    "info": 20, "msg": 20, "debug": 10,
}  # fmt: skip
_NOT_FIELDS = frozenset(
    {"event", "exc_info", "stack_info", "stack", "level", "timestamp", "logger", "_record", "_from_structlog"}
)
_begun: LastSeen = LastSeen()


class Instrument(_contract.Instrument):
    """What is logged through structlog, whichever logger it wraps."""

    modules = ("structlog",)

    def switch_on(self, settings: Settings) -> None:
        from structlog import _base

        self.patches.wrap(_base.BoundLoggerBase, "__init__", _surrounded)


class Around:
    """The app's processors between two of ours. It stays the app's list, which its tests may change."""

    def __init__(self, processors: Iterable[Any]) -> None:
        self.inner = processors

    def __iter__(self) -> Iterator[Any]:
        yield begin
        yield from self.inner
        yield end

    def __repr__(self) -> str:
        return repr(self.inner)

    def __eq__(self, other: object) -> bool:
        return bool(self.inner == (other.inner if isinstance(other, Around) else other))

    __hash__ = None  # type: ignore[assignment]  # as lists

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _surrounded(original: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, logger: Any, processors: Any, context: Any) -> None:
        original(self, logger, processors if isinstance(processors, Around) else Around(processors), context)

    return __init__


def begin(_logger: Any, _method: str, event_dict: Any) -> Any:
    """Notes the event as it was said."""
    _begun.said = None
    if hook.sends or hook.writes():
        _note(event_dict)
    return event_dict


def end(logger: Any, method: str, result: Any) -> Any:
    """It was not dropped: what was noted is sent now, or with the record of `logging` that it becomes."""
    said, _begun.said = _begun.said, None
    if said is not None:
        _finish(logger, method, result, said)
    return result


@guarded(None)
def _note(event_dict: Mapping[str, Any]) -> None:
    from structlog import contextvars

    fields = {**contextvars.get_contextvars(), **event_dict}
    _begun.said = Said(str(fields.get("event", "")), fields, None)


@guarded(None)
def _finish(logger: Any, method: str, result: Any, said: Said) -> None:
    error = error_of(said.fields.get("exc_info"), method == "exception")
    fields = {str(name): plain(value) for name, value in said.fields.items() if name not in _NOT_FIELDS}
    if isinstance(logger, logging.Logger):
        last_seen.said = Said(said.body, fields, _message_of(result))
        return
    level = _LEVELS.get(method, 20)
    caller = _caller()
    if caller is not None and caller.f_globals.get("__name__", "").startswith("tocsin."):
        return  # a server of ours in the same process
    site = ("", 0, "", "")
    if caller is not None:
        site = (caller.f_code.co_filename, caller.f_lineno, caller.f_code.co_name, "")
    name = str(said.fields.get("logger") or getattr(logger, "name", None) or "structlog")
    line = LogLine(
        time.time_ns(), name, severity_of(level), logging.getLevelName(level), said.body, site, whose(), fields
    )
    hook.observe_line(line, level, error)


def _caller() -> FrameType | None:
    """Where structlog was called; its asynchronous methods log from another thread and keep it."""
    from structlog import contextvars

    kept = getattr(contextvars, "_ASYNC_CALLING_STACK", None)
    frame: FrameType | None = kept.get(None) if kept is not None else None
    frame = frame or sys._getframe(3)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(("structlog", __name__)):
        frame = frame.f_back
    return frame


def _message_of(result: Any) -> Any:
    """What `logging` will be given as the message of this event."""
    if isinstance(result, tuple):
        return result[0][0] if result and result[0] else None
    if isinstance(result, dict):
        return result.get("msg", result.get("event"))
    return result
