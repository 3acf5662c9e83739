"""The SDK's own cost, measured in the running product, and what is left out when it grows past the budget."""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from statistics import median
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.guard import guarded_hook

log = logging.getLogger("tocsin")

# One request in 64 is measured: the clocks themselves would otherwise be a visible part of the cost.
MEASURE_EVERY = 64
_KEPT = 64
_FEWEST = 16
_CALM_SECONDS = 30.0
_STEP_SECONDS = 5.0
# Times that the way is gone after a wait.
_SLEPT = 64

JOBS = "jobs"

# What is left out at each level, dearest first.
LEVELS = (
    "nothing",
    "nine of ten sampled traces",
    "child spans",
    "all traces except failed and slow requests",
)


class OverheadMeter:
    """Keeps the last costs of each instrument in seconds and decides the shed level from the medians.

    Medians, because a thread switch inside a measurement says nothing about our cost.
    """

    def __init__(self, budget_us: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget_seconds = budget_us / 1e6
        self._clock = clock
        # (seconds, times that a library was entered, and of these those that waited) of the last requests.
        self._costs: dict[str, deque[tuple[float, int, int]]] = {}
        self._changed_at = clock()
        self.level = 0

    def add(self, instrument: str, seconds: float, hooks: int = 0, waits: int = 0) -> None:
        """Notes what one request (of jobs, one run) cost here; hooks: calls whose own way is not in it, waits: those of
        them that waited for somebody else, after which everything is slower."""
        costs = self._costs.get(instrument)
        if costs is None:
            costs = self._costs[instrument] = deque(maxlen=_KEPT)
        costs.append((seconds, hooks, waits))

    def costs(self) -> dict[str, float]:
        """Seconds per request of each instrument that has been measured; of `jobs`, per run."""
        return {
            name: median([seconds + _ways_seconds(hooks, waits) for seconds, hooks, waits in tuple(costs)])
            for name, costs in list(self._costs.items())
        }

    def review(self) -> bool:
        """Moves the level by one when cost and budget ask for it; True when it changed."""
        if not self._budget_seconds or not self._has_enough():
            return False
        total = sum(seconds for name, seconds in self.costs().items() if name != JOBS)
        waited = self._clock() - self._changed_at
        if total > self._budget_seconds and self.level < len(LEVELS) - 1 and waited >= _STEP_SECONDS:
            return self._move(1, total)
        if total < self._budget_seconds / 2 and self.level and waited >= _CALM_SECONDS:
            return self._move(-1, total)
        return False

    def _has_enough(self) -> bool:
        return any(len(costs) >= _FEWEST for costs in self._costs.values())

    def _move(self, step: int, total_seconds: float) -> bool:
        self.level += step
        self._changed_at = self._clock()
        self._costs.clear()
        log.warning(
            "monitoring costs %.0f µs a request, the budget is %.0f: now leaving out %s",
            total_seconds * 1e6,
            self._budget_seconds * 1e6,
            LEVELS[self.level],
        )
        return True


def _ways_seconds(hooks: int, waits: int) -> float:
    if not hooks:
        return 0.0
    return (hooks - waits) * way_seconds() + (waits * way_after_wait_seconds() if waits else 0.0)


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


_NOBODY = ("nobody",)


@cache
def way_seconds() -> float:
    """The way into a hook of ours and out of it, which no clock inside sees; measured once, without anything noted."""
    return max(0.0, _least_seconds(_Hooked()) - _least_seconds(_Library()))


def _least_seconds(library: _Library) -> float:
    """A call, at the best of some rounds: a shared machine only ever adds to it."""
    best = 1.0
    for _ in range(8):
        began_ns = perf_counter_ns()
        for _ in range(100):
            library.run(None, None, None, context=None)
        best = min(best, (perf_counter_ns() - began_ns) * 1e-11)
    return best


@cache
def way_after_wait_seconds() -> float:
    """The same for a driver whose call went to sleep: meanwhile others had the processor and its caches.

    Measured once, some milliseconds of which nearly all are slept.
    """
    took: tuple[list[int], list[int]] = ([], [])
    for _ in range(_SLEPT):
        for library, times in zip((_Library(), _HookedDriver()), took, strict=True):
            time.sleep(2e-5)
            began_ns = perf_counter_ns()
            library.run(None, None, None, context=None)
            times.append(perf_counter_ns() - began_ns)
    bare, hooked = took
    return max(way_seconds(), (median(hooked) - median(bare)) * 1e-9)
