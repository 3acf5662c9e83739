"""The SDK's own cost, measured in the running product, and what is left out when it grows past the budget."""

from __future__ import annotations

import logging
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
        # (seconds, times that a library was entered) of the last requests.
        self._costs: dict[str, deque[tuple[float, int]]] = {}
        self._changed_at = clock()
        self.level = 0

    def add(self, instrument: str, seconds: float, hooks: int = 0) -> None:
        """Notes what one request (of jobs, one run) cost here; hooks: calls whose own way is not in it."""
        costs = self._costs.get(instrument)
        if costs is None:
            costs = self._costs[instrument] = deque(maxlen=_KEPT)
        costs.append((seconds, hooks))

    def costs(self) -> dict[str, float]:
        """Seconds per request of each instrument that has been measured; of `jobs`, per run."""
        return {
            name: median([seconds + (hooks * way_seconds() if hooks else 0.0) for seconds, hooks in tuple(costs)])
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


@cache
def way_seconds() -> float:
    """The way into a hook of ours and out of it, which no clock inside sees; measured once, without anything noted."""

    class Library:
        def run(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
            pass

    @guarded_hook
    def noted(*_: Any) -> None:
        perf_counter_ns()

    def run(self: Any, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> Any:
        began_ns = perf_counter_ns()
        try:
            given = original(self, cursor, statement, parameters, context)
        except BaseException as error:
            noted(self, cursor, statement, parameters, context, began_ns, error)
            raise
        noted(self, cursor, statement, parameters, context, began_ns, None)
        return given

    original = Library.run
    bare = _least_seconds(Library())
    Library.run = run  # type: ignore[method-assign]
    return max(0.0, _least_seconds(Library()) - bare)


def _least_seconds(library: Any) -> float:
    """A call, at the best of some rounds: a shared machine only ever adds to it."""
    best = 1.0
    for _ in range(8):
        began_ns = perf_counter_ns()
        for _ in range(100):
            library.run(None, None, None, None)
        best = min(best, (perf_counter_ns() - began_ns) * 1e-11)
    return best
