"""Since when there are more, or fewer, of something that is counted over time. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_STEPS = 3
"""So many steps must lie on each side of a change."""
LEAST_RATIO = 2.0
LEAST_EVIDENCE = 12.0
"""Log-likelihood by which two rates must explain the counts better than one. Chance reaches this once in some thousand
series of a hundred Poisson counts; lines come in bursts, for which the likelihood is divided by the bursts' spread."""


@dataclass(frozen=True, slots=True)
class Change:
    """place: the first step at the new rate. ratio: how many times the old rate the new one is; inf from nothing."""

    place: int
    ratio: float


def change_in(counts: Sequence[int]) -> Change | None:
    """The one step at which the rate changed most, None when it is the same all over.

    Counts are taken as Poisson with the spread they have inside each side. Source: the likelihood-ratio test for one
    change point.
    """
    steps, total = len(counts), sum(counts)
    if steps < 2 * LEAST_STEPS or not total:
        return None
    sums = [0]
    for count in counts:
        sums.append(sums[-1] + count)
    place = max(range(LEAST_STEPS, steps - LEAST_STEPS + 1), key=lambda at: _gain(sums, at))
    before, after = sums[place] / place, (total - sums[place]) / (steps - place)
    ratio = after / before if before else math.inf
    if 1 / LEAST_RATIO < ratio < LEAST_RATIO:
        return None
    if _gain(sums, place) / _spread(counts, place) < LEAST_EVIDENCE:
        return None
    return Change(place, ratio)


def _gain(sums: Sequence[int], place: int) -> float:
    """How much better two rates explain the counts than one, in natural logarithms."""
    steps, total = len(sums) - 1, sums[-1]
    left = sums[place]
    return _log_rate(left, place) + _log_rate(total - left, steps - place) - _log_rate(total, steps)


def _log_rate(count: int, steps: int) -> float:
    return count * math.log(count / steps) if count else 0.0


def _spread(counts: Sequence[int], place: int) -> float:
    """Variance over mean within the two sides, 1 for Poisson counts, more for bursts; never below 1."""
    squares = expected = 0.0
    for side in (counts[:place], counts[place:]):
        mean = sum(side) / len(side)
        squares += sum((count - mean) ** 2 for count in side)
        expected += mean * len(side)
    return max(1.0, squares / expected)
