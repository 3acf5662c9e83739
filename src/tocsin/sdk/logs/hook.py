"""Stands where every record of `logging` passes after its logger has let it through, and once only.

That is `Logger.callHandlers`. A handler at the root would miss loggers that do not propagate, and keep `basicConfig`
from working.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from tocsin.sdk.agents import first_agent
from tocsin.sdk.guard import note_fault
from tocsin.sdk.instrument._contract import Patches
from tocsin.sdk.logs import output
from tocsin.sdk.logs.line import LogLine
from tocsin.sdk.logs.recorder import STANDARD, exporting, is_own, last_seen, put_line, take
from tocsin.sdk.logs.whose import NOBODY, Whose, named, of_error, whose

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent

_patches = Patches()
# Whether lines go to the server.
sends = False
# Whether it is marked when handlers of `logging` are at work, for a library that may be one of them.
marks = False


def install() -> None:
    """More calls change nothing."""
    _patches.wrap(logging.Logger, "callHandlers", _observed)


def remove_if_idle() -> None:
    """Takes the hook out when nobody needs it any more."""
    if not sends and not output.handlers():
        _patches.undo()


def _observed(original: Callable[..., None]) -> Callable[..., None]:
    def callHandlers(self: logging.Logger, record: logging.LogRecord) -> None:
        is_written = False
        try:
            if not (is_own(record.name) or (exporting and record.thread in exporting) or last_seen.is_taken):
                is_written = observe(record)
        except Exception as error:  # noqa: BLE001  a guard of its own: a call less, every record
            note_fault("logging", error)
        # Without any handler of the app, `logging` itself prints warnings: not beside ours.
        if is_written and not self.hasHandlers():
            return
        if not marks:
            original(self, record)
            return
        last_seen.is_inside = True
        try:
            original(self, record)
        finally:
            last_seen.is_inside = False

    return callHandlers


def writes() -> bool:
    return bool(output.handlers())


def observe(record: logging.LogRecord) -> bool:
    """Sends a record and shows it to our handlers; True when there are some."""
    of = whose()
    if not of.trace_id:
        if "trace_id" in record.__dict__:
            of = named(record.__dict__["trace_id"], record.__dict__.get("tenant"))
        elif record.exc_info and (left := of_error(record.exc_info[1])) is not NOBODY:
            of = left
    agent = _agent_of(of)
    has_outputs = bool(output.handlers())
    is_sent = agent is not None and record.levelno >= agent.log_level and record.name not in agent.log_exclude
    if is_sent and agent is not None and not take(record, agent, of):
        return has_outputs
    if has_outputs:
        output.write(record, of)
    return has_outputs


def observe_line(line: LogLine, level: int, error: BaseException | None) -> None:
    """The same for what did not come through `logging`. line: with whose it is, `whose()`."""
    agent = _agent_of(line.whose)
    if agent is not None and level >= agent.log_level and not put_line(agent, line, error):
        return
    if output.handlers():
        output.write(_record_of(line, level, error), line.whose)


def _agent_of(of: Whose) -> Agent | None:
    """Who sends it: the request's agent, else the process's; None when nothing is sent."""
    if not sends:
        return None
    work = of.work
    agent: Agent | None = work.agent if work is not None else None
    if agent is None:
        agent = first_agent()
    return agent if agent is not None and agent.settings.enabled else None


def _record_of(line: LogLine, level: int, error: BaseException | None) -> logging.LogRecord:
    """What `logging` would have made of it."""
    path, number, function, _ = line.site
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.LogRecord(line.logger, level, path, number, line.body, (), exc_info, function)
    record.levelname = line.level
    record.created = line.time_ns / 1e9
    record.__dict__.update({name: value for name, value in (line.fields or {}).items() if name not in STANDARD})
    return record
