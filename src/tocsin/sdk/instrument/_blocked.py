"""Calls that kept the event loop, added up by line, and told as events: the first of a line, and then now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from tocsin.sdk.instrument._loop import Blocked
from tocsin.sdk.records import WARN

EVENT = "tocsin.runtime.blocked"
# A line that keeps blocking is told once in this time, with how often it did.
_AGAIN_SECONDS = 10.0
_LINES = 50
OTHER = "other"

Emit = Callable[[str, str, dict[str, Any], int, str], None]


class BlockedLines:
    """What each line has cost the loop so far; called by the export thread."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.seconds: dict[str, float] = {}
        # By line: when it was told last, and how often and long it has blocked since.
        self._told: dict[str, tuple[float, int, float]] = {}

    def take(self, found: Iterable[Blocked]) -> None:
        now = time.monotonic()
        for each in found:
            line = str(each.line)
            if line not in self.seconds and len(self.seconds) >= _LINES:
                line = OTHER
            self.seconds[line] = self.seconds.get(line, 0.0) + each.seconds
            told_at, times, seconds = self._told.get(line, (-_AGAIN_SECONDS, 0, 0.0))
            times, seconds = times + 1, seconds + each.seconds
            if now - told_at < _AGAIN_SECONDS:
                self._told[line] = (told_at, times, seconds)
                continue
            self._told[line] = (now, 0, 0.0)
            self._tell(each, line, times, seconds)

    def _tell(self, each: Blocked, line: str, times: int, seconds: float) -> None:
        attributes = {
            "tocsin.blocked.line": line,
            "tocsin.blocked.source": each.source,
            "tocsin.blocked_ms": round(each.seconds * 1e3, 1),
            "tocsin.blocked.times": times,
            "tocsin.blocked.seconds": round(seconds, 4),
            "code.stacktrace": each.stack,
            "http.request.method": each.method,
            "http.route": each.route,
        }
        body = f"the event loop stood still for {each.seconds * 1e3:.0f} ms: {each.source or line} in {line}"
        self._emit(EVENT, body, {name: value for name, value in attributes.items() if value != ""}, WARN, each.tenant)
