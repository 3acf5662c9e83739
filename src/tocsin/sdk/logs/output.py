"""Where lines go besides the server: handlers of ours that the app has asked for with `tocsin.logs`.

They hang on the one place that every record passes, not on the root logger: so loggers that do not propagate, as
uvicorn's, are in the files, too, and neither `basicConfig` nor `dictConfig` of the app takes them away.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import Any

from tocsin.sdk.logs.whose import Whose

# The attribute of a record under which a formatter of ours finds whose it is; there only while our handlers run.
WHOSE = "_tocsin_whose"

_handlers: tuple[logging.Handler, ...] = ()
_lock = threading.Lock()
# Lines that could not be written, by what they were to be written to; told as other drops are.
lost: Counter[str] = Counter()


def handlers() -> tuple[logging.Handler, ...]:
    return _handlers


def add(handler: logging.Handler) -> None:
    """From now on each record of the process goes there, from the handler's level on."""
    global _handlers
    with _lock:
        _handlers = (*_handlers, handler)


def remove(handler: logging.Handler) -> None:
    """Takes a handler out and closes it."""
    global _handlers
    with _lock:
        _handlers = tuple(one for one in _handlers if one is not handler)
    handler.close()


def write(record: logging.LogRecord, whose: Whose | None) -> None:
    """Shows a record to each of them."""
    if whose is not None:
        record.__dict__[WHOSE] = whose
    try:
        for handler in _handlers:
            if record.levelno >= handler.level:
                handler.handle(record)
    finally:
        record.__dict__.pop(WHOSE, None)


class QuietHandler(logging.Handler):
    """A handler that counts what it cannot write, instead of printing a traceback for each."""

    kind = "output"

    def handleError(self, record: logging.LogRecord) -> None:
        lost[self.kind] += 1


class StreamOutput(QuietHandler):
    """Lines to a stream that is looked up anew each time, as tests and servers replace `sys.stdout`."""

    kind = "stdout"

    def __init__(self, stream_of: Any, level: int) -> None:
        super().__init__(level)
        self._stream_of = stream_of

    def emit(self, record: logging.LogRecord) -> None:
        try:
            stream = self._stream_of()
            stream.write(self.format(record) + "\n")
            stream.flush()
        except Exception:  # noqa: BLE001  what logging's own handlers do: a line costs itself only
            self.handleError(record)
