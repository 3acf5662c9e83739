"""The SDK's own cost, measured in the running product, and what is left out when it grows past the budget."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from statistics import median

log = logging.getLogger("tocsin")

# One request in 64 is measured: the clocks themselves would otherwise be a visible part of the cost.
MEASURE_EVERY = 64
_KEPT = 64
_FEWEST = 16
_CALM_SECONDS = 30.0
_STEP_SECONDS = 5.0

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
        self._costs: dict[str, deque[float]] = {}
        self._changed_at = clock()
        self.level = 0

    def add(self, instrument: str, seconds: float) -> None:
        """Notes what one request cost in this instrument, in seconds."""
        costs = self._costs.get(instrument)
        if costs is None:
            costs = self._costs[instrument] = deque(maxlen=_KEPT)
        costs.append(seconds)

    def costs(self) -> dict[str, float]:
        """Seconds per request of each instrument that has been measured."""
        return {name: median(tuple(costs)) for name, costs in list(self._costs.items()) if costs}

    def review(self) -> bool:
        """Moves the level by one when cost and budget ask for it; True when it changed."""
        if not self._budget_seconds or not self._has_enough():
            return False
        total, waited = sum(self.costs().values()), self._clock() - self._changed_at
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
