"""Watches the memory of this process for a leak, and asks what grows when there is one."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from tocsin.sdk.guard import guarded, guarded_step
from tocsin.sdk.instrument import _census
from tocsin.sdk.instrument._census import Census, Growth
from tocsin.sdk.leak import NO_LEAK, Floor, Verdict, windows
from tocsin.sdk.records import WARN

log = logging.getLogger("tocsin")

EVENT = "tocsin.runtime.leak"
# A leak is told once an hour while it lasts, and a heap looked through at most so often.
_AGAIN_SECONDS = 3600.0
# Part of the window between the two looks at the heap.
_BETWEEN = 0.25
_LEAST_BETWEEN_SECONDS = 5.0
# What grew by less than this part of the leak in that time is not its cause.
_WORTH_NAMING = 0.02
# It is over when memory grows by less than this part of what it did.
_OVER = 0.25
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096

Emit = Callable[[str, str, dict[str, Any], int], None]


class ResidentMemory:
    """Bytes of memory held, read in a microsecond and a half: also from inside of the garbage collector."""

    def __init__(self) -> None:
        try:
            self._file = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._file = -1  # no Linux

    def read(self) -> int:
        """0 where it cannot be told."""
        return int(os.pread(self._file, 128, 0).split()[1]) * _PAGE_BYTES if self._file >= 0 else 0

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class LeakWatch:
    """Takes the floor of memory and gives the verdict; `tick` is called every few seconds by the export thread."""

    def __init__(
        self,
        window_seconds: float,
        emit: Emit,
        memory: ResidentMemory | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emit = emit
        self._clock = clock
        self._window_seconds = window_seconds
        self._floor = Floor(windows(window_seconds))
        self._memory = memory or ResidentMemory()
        # What full collections left, noted inside of the collector.
        self._after_collection: deque[tuple[float, int]] = deque(maxlen=256)
        self.verdict: Verdict = NO_LEAK
        self.growing: list[Growth] = []
        self._first: Census | None = None
        self._first_at = 0.0
        self._next_look = 0.0
        self._told_at = -_AGAIN_SECONDS
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        self._memory.close()

    def note_collection(self) -> None:
        """A full collection has just ended: what is left is the floor."""
        self._after_collection.append((self._clock(), self._memory.read()))

    def resident_bytes(self) -> int:
        return self._memory.read()

    def floor_bytes(self) -> int:
        return round(self._floor.lowest)

    def tick(self) -> None:
        now = self._clock()
        while self._after_collection:
            self._floor.add(*self._after_collection.popleft())
        held = self._memory.read()
        if held and self._floor.add(now, held):
            self._review()
        if self.verdict.is_leak:
            self._look(now)

    def _review(self) -> None:
        found = self._floor.verdict()
        if found.is_leak:
            self.verdict = found
        elif self.verdict.is_leak and self._floor.slope() < _OVER * self.verdict.bytes_per_hour:
            self.verdict, self._first, self.growing = NO_LEAK, None, []

    def _look(self, now: float) -> None:
        """Two looks at the heap, some time apart, each in a thread of its own; then the event."""
        is_busy = self._thread is not None and self._thread.is_alive()
        if is_busy or now < self._next_look or now - self._told_at < _AGAIN_SECONDS:
            return
        self._next_look = now + max(self._window_seconds * _BETWEEN, _LEAST_BETWEEN_SECONDS)
        step = self._begin if self._first is None else self._finish
        self._thread = threading.Thread(target=step, name="tocsin-census", daemon=True)
        self._thread.start()

    @guarded_step
    def _begin(self) -> None:
        self._first_at = self._clock()
        self._first = _census.take()

    @guarded_step
    def _finish(self) -> None:
        first, self._first = self._first, None
        self._told_at = self._clock()
        if first is None:
            return
        note = ""
        if first.held_seconds > _census.HOLD_SECONDS:
            note = (
                f"the heap has {first.objects} objects and listing them stops the process for "
                f"{first.held_seconds * 1e3:.0f} ms, so it was not looked through a second time"
            )
        else:
            rate = self.verdict.bytes_per_hour / 3600
            least = _WORTH_NAMING * rate * (self._clock() - self._first_at)
            found = _census.growth(first, _census.take())
            self.growing = [each for each in found if each.bytes >= least]
            note = "" if self.growing else "nothing that Python's garbage collector knows of grew that much"
        self._tell(note)

    @guarded(None)
    def _tell(self, note: str) -> None:
        verdict, growing = self.verdict, self.growing
        names = " and ".join(each.name for each in growing[:2])
        body = f"memory grows by {verdict.bytes_per_hour / 1e6:.0f} MB an hour" + (f": {names} grow" if names else "")
        attributes = {
            "tocsin.leak.bytes_per_hour": round(verdict.bytes_per_hour),
            "tocsin.leak.growth_bytes": round(verdict.growth_bytes),
            "tocsin.leak.window_seconds": round(verdict.window_seconds),
            "tocsin.leak.growing": [each.name for each in growing],
            "tocsin.leak.growing_number": [each.number for each in growing],
            "tocsin.leak.growing_bytes": [each.bytes for each in growing],
            "process.pid": os.getpid(),
            "process.memory.usage": self._memory.read(),
        }
        if note:
            attributes["tocsin.leak.note"] = note
        log.warning("%s", body)
        self._emit(EVENT, body, attributes, WARN)
