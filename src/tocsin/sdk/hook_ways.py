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

from tocsin.sdk.calls import Calls, Kind, Operation, current_span, note
from tocsin.sdk.guard import guarded_hook
from tocsin.sdk.spans import INTERNAL, RecordingSpan

# Calls each way at first, then at each look; the last of them count.
_FIRST, _LATER, _KEPT = 100, 20, 200
_SLEPT_FIRST, _SLEPT_LATER, _SLEPT_KEPT = 64, 16, 128
_LOOK_SECONDS = 5.0
# How many times as long as on its quick way a hook is at most on its way after a wait: nothing of it is in the caches.
_COLD = 6.0
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
    """With a hook as of drivers and clients: whatever arguments, a look at who calls, and a note of the call."""

    def __init__(self) -> None:
        kind = Kind("", "", "", "", "", "", "")
        self._operations = {"run": Operation(kind, "run", {}, {}, {})}
        self._root = RecordingSpan(None, "", INTERNAL, b"", b"", b"", 0)  # type: ignore[arg-type]  # nobody keeps it
        self._root.calls = Calls()
        self.noted_ns = 0
        self._note = guarded_hook(self._noted)

    def run(self, *args: Any, **options: Any) -> Any:
        if str(sys._getframe(1).f_globals.get("__name__", "")) in _NOBODY:
            return _Library.run(self, *args, **options)
        began_ns = perf_counter_ns()
        try:
            given = _Library.run(self, *args, **options)
        except BaseException as error:
            self._note(args, began_ns, error)
            raise
        self._note(args, began_ns, None)
        return given

    def _noted(self, _args: Any, began_ns: int, _error: BaseException | None) -> None:
        ended_ns = perf_counter_ns()
        current_span()
        note(self._operations["run"], began_ns, ended_ns, self._root, amount=1)
        self.noted_ns = perf_counter_ns() - ended_ns

    def forget(self) -> None:
        """Lets go of what was noted."""
        for group in self._root.calls.groups.values() if self._root.calls is not None else ():
            group.clear()


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
                self._called(library)

    def seconds(self) -> float:
        bare, hooked = (median(tuple(times)) for times in self._took)
        return max(0.0, hooked - bare) * 1e-9

    def _called(self, library: _Library) -> None:
        """After each call."""


class InsideWay(Way):
    """How many times as long a hook takes as its inside, which a clock in it sees.

    A machine that is busy makes the one longer as well as the other: how many times it is hardly depends on it.
    """

    def __init__(self, hooked: _HookedDriver, before: Callable[[], Any], first: int, later: int, kept: int) -> None:
        super().__init__(hooked, before, first, later, kept)
        self._inside: deque[int] = deque(maxlen=kept)

    def look(self) -> None:
        super().look()
        for library in self._libraries:
            if isinstance(library, _HookedDriver):
                library.forget()

    def ratio(self) -> float:
        inside = median(tuple(self._inside)) * 1e-9
        return max(1.0, self.seconds() / inside) if inside else 1.0

    def _called(self, library: _Library) -> None:
        if isinstance(library, _HookedDriver):
            self._inside.append(library.noted_ns)


class Ways:
    """Both kinds of way; looked at again when the last look is some seconds old, by whoever asks."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Between two calls a library does other things: a hook never runs as warm as in a loop of its own.
        self._quick = Way(_Hooked(), lambda: json.loads(json.dumps(_SOMETHING)), _FIRST, _LATER, _KEPT)
        # While it sleeps others have the processor and its caches.
        self._waited = InsideWay(_HookedDriver(), lambda: time.sleep(2e-5), _SLEPT_FIRST, _SLEPT_LATER, _SLEPT_KEPT)
        self._looked_at: dict[Way, float] = {}

    def quick_seconds(self) -> float:
        """Of a call that did not wait."""
        self._look(self._quick)
        return self._quick.seconds()

    def waited_seconds(self, inside_seconds: float) -> float:
        """Of a driver's call that went to sleep, in whose hook a clock has seen so much.

        A longer hook has no longer way than a short one, so there is a most.
        """
        self._look(self._waited)
        quick = self.quick_seconds()
        return max(quick, min((self._waited.ratio() - 1) * inside_seconds, _COLD * quick))

    def _look(self, way: Way) -> None:
        now = self._clock()
        if now - self._looked_at.get(way, -_LOOK_SECONDS) >= _LOOK_SECONDS:
            self._looked_at[way] = now
            way.look()


ways = Ways()
