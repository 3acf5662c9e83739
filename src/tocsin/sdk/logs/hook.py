"""Stands where every record of `logging` passes after its logger has let it through, and once only.

That is `Logger.callHandlers`. A handler at the root would miss loggers that do not propagate, and keep `basicConfig`
from working.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from tocsin.sdk.guard import note_fault
from tocsin.sdk.instrument._contract import Patches
from tocsin.sdk.logs import output
from tocsin.sdk.logs.line import LogLine
from tocsin.sdk.logs.recorder import STANDARD, exporting, is_own, last_seen, put_line, take

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
    from tocsin.sdk.agent import current_agent

    def callHandlers(self: logging.Logger, record: logging.LogRecord) -> None:
        is_written = False
        try:
            if not (is_own(record.name) or (exporting and record.thread in exporting) or last_seen.is_taken):
                is_written = observe(record, current_agent())
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


def observe(record: logging.LogRecord, agent: Agent | None) -> bool:
    """Sends a record and shows it to our handlers; True when there are some."""
    whose = None
    if sends and agent is not None and record.levelno >= agent.log_level and agent.settings.enabled:
        line = take(record, agent)
        if line is None:
            return bool(output.handlers())
        whose = line.whose
    if not output.handlers():
        return False
    output.write(record, whose)
    return True


def observe_line(line: LogLine, level: int, error: BaseException | None) -> None:
    """The same for what did not come through `logging`."""
    from tocsin.sdk.agent import current_agent

    agent = current_agent()
    whose = None
    if sends and agent is not None and level >= agent.log_level and agent.settings.enabled:
        noted = put_line(agent, line, error)
        if noted is None:
            return
        whose = noted.whose
    if output.handlers():
        output.write(_record_of(line, level, error), whose)


def _record_of(line: LogLine, level: int, error: BaseException | None) -> logging.LogRecord:
    """What `logging` would have made of it."""
    site = line.site
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.LogRecord(line.logger, level, site.path, site.line, line.body, (), exc_info, site.function)
    record.levelname = line.level
    record.created = line.time_ns / 1e9
    record.__dict__.update({name: value for name, value in (line.fields or {}).items() if name not in STANDARD})
    return record
