"""What the way into a hook of ours and out of it costs: the part of a hook that no clock inside of it sees.

Measured beside the product, now and then again: a machine that runs at half its speed for a minute does so in the
hooks, too, and one measurement at the start would be wrong from then on.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable
from statistics import median
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.guard import guarded_hook

# Calls each way at first, then at each look; the last of them count.
_FIRST, _LATER, _KEPT = 100, 20, 200
_SLEPT_FIRST, _SLEPT_LATER, _SLEPT_KEPT = 64, 8, 64
_LOOK_SECONDS = 5.0
_NOBODY = ("nobody",)
_SOMETHING = {"rows": [{"id": 7, "name": "customer 7"}, {"id": 8, "name": None}], "count": 2}


@guarded_hook
def _noted(*_: Any) -> None:
    perf_counter_ns()


class _Library:
    """What is called, as simple as it can be."""

    def run(self, cursor: Any, statement: Any, parameters: Any = None, context: Any = None) -> Any:
        pass


class _Hooked(_Library):
    """With a hook as of a library whose methods have known arguments, such as SQLAlchemy's dialects."""

    def run(self, cursor: Any, statement: Any, parameters: Any = None, context: Any = None) -> Any:
        began_ns = perf_counter_ns()
        try:
            given = _Library.run(self, cursor, statement, parameters, context)
        except BaseException as error:
            _noted(self, cursor, statement, parameters, context, began_ns, error)
            raise
        _noted(self, cursor, statement, parameters, context, began_ns, None)
        return given


class _HookedDriver(_Library):
    """With a hook as of drivers and clients: whatever arguments, and a look at who calls."""

    def run(self, *args: Any, **options: Any) -> Any:
        if str(sys._getframe(1).f_globals.get("__name__", "")) in _NOBODY:
            return _Library.run(self, *args, **options)
        began_ns = perf_counter_ns()
        try:
            given = _Library.run(self, *args, **options)
        except BaseException as error:
            _noted(self, args, began_ns, error)
            raise
        _noted(self, args, began_ns, None)
        return given


class Way:
    """The nanoseconds of the last calls, without and with a hook, each after something else was done."""

    def __init__(self, hooked: _Library, before: Callable[[], Any], first: int, later: int, kept: int) -> None:
        self._libraries = (_Library(), hooked)
        self._before, self._first, self._later = before, first, later
        self._took: tuple[deque[int], deque[int]] = (deque(maxlen=kept), deque(maxlen=kept))

    def look(self) -> None:
        for _ in range(self._later if self._took[0] else self._first):
            for library, times in zip(self._libraries, self._took, strict=True):
                self._before()
                began_ns = perf_counter_ns()
                library.run(None, None, None, context=None)
                times.append(perf_counter_ns() - began_ns)

    def seconds(self) -> float:
        bare, hooked = (median(tuple(times)) for times in self._took)
        return max(0.0, hooked - bare) * 1e-9


class Ways:
    """Both kinds of way; looked at again when the last look is some seconds old, by whoever asks."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Between two calls a library does other things: a hook never runs as warm as in a loop of its own.
        self._quick = Way(_Hooked(), lambda: json.loads(json.dumps(_SOMETHING)), _FIRST, _LATER, _KEPT)
        # While it sleeps others have the processor and its caches.
        self._waited = Way(_HookedDriver(), lambda: time.sleep(2e-5), _SLEPT_FIRST, _SLEPT_LATER, _SLEPT_KEPT)
        self._looked_at: dict[Way, float] = {}

    def quick_seconds(self) -> float:
        """Of a call that did not wait."""
        return self._seconds(self._quick)

    def waited_seconds(self) -> float:
        """Of a driver's call that went to sleep."""
        return max(self._seconds(self._quick), self._seconds(self._waited))

    def _seconds(self, way: Way) -> float:
        now = self._clock()
        if now - self._looked_at.get(way, -_LOOK_SECONDS) >= _LOOK_SECONDS:
            self._looked_at[way] = now
            way.look()
        return way.seconds()


ways = Ways()
