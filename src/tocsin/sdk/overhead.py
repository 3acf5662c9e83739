"""The SDK's own cost, measured in the running product, and what is left out when it grows past the budget."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from statistics import median

from tocsin.sdk.hook_ways import ways

log = logging.getLogger("tocsin")

# One request in 64 is measured: the clocks themselves would otherwise be a visible part of the cost.
MEASURE_EVERY = 64
_KEPT = 64
_FEWEST = 16
_CALM_SECONDS = 30.0
_STEP_SECONDS = 5.0
# After a hook the app's own code is slower than without it, because the hook has used its caches: by something between
# nothing (asyncpg) and 0.3 of the hook's own time (redis-py). After a wait less of the app's is left there to displace.
DISPLACED, DISPLACED_AFTER_WAIT = 0.2, 0.12
# Clients of HTTP write one header more, and their hooks run between more code of the library than others'.
_DISPLACED_BY = {"http": 0.35}

# Runs of background jobs, each by itself; and what queuing jobs costs a request.
JOBS, QUEUED_JOBS = "jobs", "queue"

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
            name: median([_with_ways(name, *cost) for cost in tuple(costs)])
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


def _with_ways(instrument: str, seconds: float, hooks: int, waits: int) -> float:
    """A request's cost in the hooks of one instrument, with what no clock inside of them sees."""
    if not hooks:
        return seconds
    quick = hooks - waits
    of_waits = waits * ways.waited_seconds(seconds / hooks) if waits else 0.0
    own = seconds + of_waits + (quick * ways.quick_seconds() if quick else 0.0)
    displaced = (quick * DISPLACED + waits * DISPLACED_AFTER_WAIT) / hooks
    return own * (1 + _DISPLACED_BY.get(instrument, displaced))
