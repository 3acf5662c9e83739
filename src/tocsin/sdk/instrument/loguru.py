"""loguru: a sink beside those of the app, with the fields that were bound and the exception as it was raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tocsin.sdk.guard import guarded
from tocsin.sdk.instrument import _contract
from tocsin.sdk.logs import hook
from tocsin.sdk.logs.levels import severity_of
from tocsin.sdk.logs.line import LogLine
from tocsin.sdk.logs.recorder import last_seen, plain
from tocsin.sdk.logs.whose import whose
from tocsin.sdk.settings import Settings


class Instrument(_contract.Instrument):
    """What is logged through loguru."""

    modules = ("loguru",)

    def __init__(self) -> None:
        super().__init__()
        self._sink = -1

    def switch_on(self, settings: Settings) -> None:
        from loguru import _handler, _logger, logger

        self._add(logger)
        # Apps begin with `logger.remove()`, which takes every sink out.
        self.patches.wrap(_logger.Logger, "remove", self._added_again)
        self.patches.wrap(_handler.Handler, "emit", _marked)
        hook.marks = True

    def switch_off(self) -> None:
        from loguru import logger

        super().switch_off()
        hook.marks = False
        if self._sink >= 0:
            try:
                logger.remove(self._sink)
            except ValueError:
                pass  # the app has taken it out itself
        self._sink = -1

    def _add(self, logger: Any) -> None:
        self._sink = logger.add(sink, level=0, format="{message}", catch=False, backtrace=False, diagnose=False)

    def _added_again(self, original: Callable[..., None]) -> Callable[..., None]:
        def remove(logger: Any, handler_id: int | None = None) -> None:
            original(logger, handler_id)
            if handler_id is None:
                self._add(logger)

        return remove


def _marked(original: Callable[..., None]) -> Callable[..., None]:
    """Sinks that hand records on to `logging` would have them sent twice."""

    def emit(self: Any, *args: Any, **kwargs: Any) -> None:
        last_seen.is_taken = True
        try:
            original(self, *args, **kwargs)
        finally:
            last_seen.is_taken = False

    return emit


@guarded(None)
def sink(message: Any) -> None:
    """Takes one message of loguru."""
    if last_seen.is_inside:
        return  # it came from `logging`, where it has been taken
    record = message.record
    level = record["level"]
    raised = record["exception"]
    line = LogLine(
        int(record["time"].timestamp() * 1e9),
        record["name"] or "",
        severity_of(level.no),
        level.name,
        record["message"],
        (record["file"].path, record["line"], record["function"], record["thread"].name),
        whose(),
        fields={str(name): plain(value) for name, value in record["extra"].items()} or None,
    )
    hook.observe_line(line, level.no, raised.value if raised is not None else None)
