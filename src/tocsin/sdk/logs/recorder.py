"""Takes the log records of a process and hands them to its agent: what they say now, never again to be changed."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.sdk.errors import CapturedError, capture
from tocsin.sdk.guard import outcome
from tocsin.sdk.logs.levels import severity_of
from tocsin.sdk.logs.line import LogLine, Site
from tocsin.sdk.logs.whose import NOBODY, Whose
from tocsin.sdk.records import ERROR, INFO
from tocsin.sdk.redaction.redactor import SLACK
from tocsin.sdk.spans import RecordingSpan

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent

# What every record has. Handlers and formatters add to it: a record may have passed one already.
STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
STANDARD_FIELDS = len(logging.makeLogRecord({}).__dict__)
# The SDK's own word about itself goes to the app's handlers only: what cannot be sent needs no sending.
_OWN = "tocsin"
SLOW = "tocsin.slow"
_MESSAGE_CHARACTERS = 64 * 1024
_ITEMS, _DEPTH = 200, 6
# A line of code that was kept back and has been quiet for so long will not tell of it itself.
_QUIET_SECONDS = 5.0
_PLAIN = frozenset({str, int, float, bool, type(None)})
_make = tuple.__new__

# Threads that are exporting right now: whatever the libraries they use log then must not be exported again.
exporting: set[int] = set()


class Said(NamedTuple):
    """An event with its fields, and the message of the record of `logging` that will stand for it."""

    body: str
    fields: dict[str, Any]
    message: Any


class LastSeen(threading.local):
    """What goes on in this thread while one library logs through another.

    is_taken: a library is handing on what has been taken already. is_inside: handlers of `logging` are at work. said:
    what the next record stands for.
    """

    is_taken = is_inside = False
    said: Said | None = None


last_seen = LastSeen()


def is_own(logger: str) -> bool:
    """Whether Tocsin speaks about itself; what it says of slow requests is about the app."""
    return logger.startswith(_OWN) and logger != SLOW and (logger == _OWN or logger[len(_OWN)] == ".")


def take(record: logging.LogRecord, agent: Agent, of: Whose) -> bool:
    """Notes a record of `logging`; False when its line of code has said enough."""
    said = last_seen.said
    if said is not None:
        last_seen.said = None
    error = record.exc_info[1] if record.exc_info else None
    site = record.pathname, record.lineno, record.funcName, record.threadName or ""
    left_out = _left_out(agent, site, error, record.created) if agent.settings.log_rate else 0
    if left_out < 0:
        return False
    is_said = said is not None and said.message is record.msg
    body, fields = (said.body, said.fields) if said is not None and is_said else _said_by(record)
    line = _make(
        LogLine,
        (
            int(record.created * 1e9),
            record.name,
            severity_of(record.levelno),
            record.levelname,
            body,
            site,
            of,
            fields,
            None if error is None else _captured(error, agent),
            record.stack_info or (record.exc_text or "" if error is None else ""),
            left_out,
        ),
    )
    if record.levelno >= logging.ERROR:
        _want_trace(of)
    agent.exporter.put_line(line)
    return True


def put_line(agent: Agent, line: LogLine, error: BaseException | None = None) -> bool:
    """The same for what did not come through `logging`."""
    left_out = _left_out(agent, line.site, error, line.time_ns * 1e-9) if agent.settings.log_rate else 0
    if left_out < 0:
        return False
    if line.severity >= ERROR:
        _want_trace(line.whose)
    if error is not None or left_out:
        line = line._replace(error=None if error is None else _captured(error, agent), left_out=left_out)
    agent.exporter.put_line(line)
    return True


def tell_left_out(agent: Agent) -> None:
    """Sends how many lines were kept back where none came after them that could have told."""
    now = time.time()
    for (path, number, _), count in agent.limiter.overdue(now, _QUIET_SECONDS):
        body = f"{count} more lines of this line of code were left out"
        site = path, number, "", ""
        line = LogLine(int(now * 1e9), "tocsin.limiter", INFO, "INFO", body, site, NOBODY, left_out=count)
        agent.exporter.put_line(line)


def _left_out(agent: Agent, site: Site, error: BaseException | None, now: float) -> int:
    """How many lines of this site the limiter kept back before this one; -1 when it keeps this one back, too."""
    left_out = agent.limiter.take((site[0], site[1], "" if error is None else type(error).__name__), now)
    if left_out < 0:
        agent.exporter.dropped["logs", "noise"] += 1
    return left_out


def _want_trace(of: Whose) -> None:
    """Who reads of an error wants to see what led to it."""
    work = of.work
    if isinstance(work, RecordingSpan) and not work.wanted and not work.is_done:
        work.wanted = "log"


def _said_by(record: logging.LogRecord) -> tuple[str, dict[str, Any] | None]:
    message = record.msg
    fields: dict[str, Any] | None = None
    if isinstance(message, Mapping) and not record.args:
        fields = {str(name): plain(value) for name, value in list(message.items())[:_ITEMS]}
        message = fields.pop("message", None) or fields.pop("event", None) or "{}"
        body = str(message)
    else:
        try:
            body = message if type(message) is str and not record.args else record.getMessage()
        except Exception:  # noqa: BLE001  it is the app's, whose own handlers report what cannot be formatted
            body = f"{message} {record.args!r}"
    if len(record.__dict__) > STANDARD_FIELDS:
        more = extras(record)
        if more:
            fields = {**fields, **more} if fields else more
    return body if len(body) <= _MESSAGE_CHARACTERS else body[:_MESSAGE_CHARACTERS], fields


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """What the app has put on a record: behind what every record is made with."""
    return {
        name: value if type(value) in _PLAIN else plain(value)
        for name, value in islice(record.__dict__.items(), STANDARD_FIELDS, None)
        if name not in STANDARD and name[0] != "_"
    }


def plain(value: Any, level: int = 0) -> Any:
    """A value as it is now: the app may go on changing what it holds."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if level < _DEPTH:
        if isinstance(value, Mapping):
            return {str(name): plain(item, level + 1) for name, item in list(value.items())[:_ITEMS]}
        if isinstance(value, list | tuple | set | frozenset):
            return [plain(item, level + 1) for item in list(value)[:_ITEMS]]
    for base in (bool, int, float):
        if isinstance(value, base):
            return base(value)
    text = outcome(lambda: str(value))
    return text[:_MESSAGE_CHARACTERS] if isinstance(text, str) else f"<{kind.__name__}>"


def error_of(exc_info: Any, is_handled: bool = False) -> BaseException | None:
    """The exception that an `exc_info` names, as `logging` and structlog take it; is_handled: that of here and now
    where none is named."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple) and len(exc_info) == 3:
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info or (is_handled and exc_info is None) else None


def _captured(error: BaseException, agent: Agent) -> CapturedError:
    return capture(error, agent.settings.attribute_characters + SLACK)
