"""Is one lot of requests worse than another, or is that chance? Pure functions over counts and duration buckets.

All tests are two-sided and condition on the pooled data, so they need no assumption about how durations are
distributed; what they do assume is that requests are independent of each other, which is nearly true. Sources: Fisher
(1922); Mann and Whitney (1947), with the correction for ties of Lehmann, "Nonparametrics" §1.4; Benjamini and
Hochberg (1995).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from tocsin.query.sketch import percentiles

ALPHA = 0.01
"""Share of endpoints without a difference that may be called different."""

LEAST_REQUESTS = 30
"""On each side; below it nothing is said."""

LEAST_SHIFT = 0.10
"""Of the median or p95, as a part of it; a smaller one is nobody's concern however certain."""

LEAST_ERROR_SHIFT = 0.005
"""Of the error ratio."""

TAIL = 0.95
_EXACT_SUPPORT = 5000


class Verdict(StrEnum):
    WORSE = "worse"
    BETTER = "better"
    SAME = "no difference shown"
    UNKNOWN = "too little data"


@dataclass(frozen=True, slots=True)
class Lot:
    """The requests of one side. buckets: exponential ones, as in `sketch.py`."""

    requests: int
    errors: int
    buckets: Mapping[int, int]

    @property
    def error_ratio(self) -> float:
        return self.errors / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Shift:
    """What became of one lot's durations: p50 and p95 of both, and the p-values of the middle and of the tail."""

    p50_before: float | None
    p50_after: float | None
    p95_before: float | None
    p95_after: float | None
    middle_p: float
    tail_p: float

    @property
    def p(self) -> float:
        """Of either, corrected for having looked twice."""
        return min(1.0, 2 * min(self.middle_p, self.tail_p))

    @property
    def ratio(self) -> float:
        """After to before, of whichever of median and p95 the more certain test speaks about; 1.0 is the same."""
        before, after = (
            (self.p50_before, self.p50_after) if self.middle_p < self.tail_p else (self.p95_before, self.p95_after)
        )
        return after / before if before and after else 1.0

    @property
    def largest_ratio(self) -> float:
        """Of median and p95 the one that moved most, of those the tests hold for certain."""
        ratios = [self.ratio]
        if self.p50_before and self.p50_after and 2 * self.middle_p < ALPHA:
            ratios.append(self.p50_after / self.p50_before)
        if self.p95_before and self.p95_after and 2 * self.tail_p < ALPHA:
            ratios.append(self.p95_after / self.p95_before)
        return max(ratios, key=lambda ratio: abs(math.log(ratio)))


def shift_of(before: Lot, after: Lot) -> Shift:
    """The two lots' durations against each other."""
    p50_before, p95_before = percentiles(before.buckets, (0.5, TAIL))
    p50_after, p95_after = percentiles(after.buckets, (0.5, TAIL))
    middle, tail = middle_p_value(before.buckets, after.buckets), tail_p_value(before.buckets, after.buckets)
    return Shift(p50_before, p50_after, p95_before, p95_after, middle, tail)


def error_p_value(before: Lot, after: Lot) -> float:
    """Fisher's exact test of failed against other requests."""
    return fisher(before.errors, before.requests, after.errors, after.requests)


def fisher(hits: int, of: int, other_hits: int, other_of: int) -> float:
    """How likely a split of all hits at least as unlikely as this one is by chance; 1.0 when a side is empty.

    Beyond what can be added up in no time the G-test, which is the same there.
    """
    total, all_hits = of + other_of, hits + other_hits
    if not of or not other_of or not all_hits or all_hits == total:
        return 1.0
    least, most = max(0, all_hits - other_of), min(all_hits, of)
    if most - least > _EXACT_SUPPORT:
        return _g_test(hits, of, other_hits, other_of)
    ways = np.arange(least, most + 1)
    logs = np.array([_log_choose(of, k) + _log_choose(other_of, all_hits - k) for k in ways.tolist()])
    logs -= _log_choose(total, all_hits)
    observed = logs[hits - least]
    # Splits as likely as this one count, whatever the last digits of their logarithms say.
    return min(1.0, float(np.exp(logs[logs <= observed + 1e-7]).sum()))


def middle_p_value(before: Mapping[int, int], after: Mapping[int, int]) -> float:
    """Mann-Whitney's test on buckets: whether a duration of one lot tends to be above one of the other."""
    mine, theirs = _aligned(before, after)
    n, m = int(mine.sum()), int(theirs.sum())
    if not n or not m:
        return 1.0
    ties = mine + theirs
    total = n + m
    ranks = np.cumsum(ties) - (ties - 1) / 2  # the mean rank of a bucket
    u = float((mine * ranks).sum()) - n * (n + 1) / 2
    tied = float((ties**3 - ties).sum()) / (total * (total - 1))
    variance = n * m / 12 * (total + 1 - tied)
    if variance <= 0:
        return 1.0
    distance = max(0.0, abs(u - n * m / 2) - 0.5)
    return math.erfc(distance / math.sqrt(2 * variance))


def tail_p_value(before: Mapping[int, int], after: Mapping[int, int]) -> float:
    """Fisher's test of how many of each lot lie above the p95 of both together: a slow few do not move the middle."""
    mine, theirs = _aligned(before, after)
    n, m = int(mine.sum()), int(theirs.sum())
    if not n or not m:
        return 1.0
    below = np.cumsum(mine + theirs) <= TAIL * (n + m)
    return fisher(int(mine[~below].sum()), n, int(theirs[~below].sum()), m)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number: below alpha, at most that share of what is called different is not."""
    count = len(p_values)
    corrected = [1.0] * count
    least = 1.0
    for rank, place in sorted(enumerate(sorted(range(count), key=lambda at: p_values[at]), 1), reverse=True):
        least = min(least, p_values[place] * count / rank)
        corrected[place] = least
    return corrected


def has_enough(before: Lot, after: Lot) -> bool:
    return min(before.requests, after.requests) >= LEAST_REQUESTS


def latency_verdict(shift: Shift, q: float, alpha: float = ALPHA) -> Verdict:
    """q: the corrected p-value."""
    ratio = shift.largest_ratio
    if q >= alpha or abs(math.log(ratio)) < math.log1p(LEAST_SHIFT):
        return Verdict.SAME
    return Verdict.WORSE if ratio > 1 else Verdict.BETTER


def error_verdict(before: Lot, after: Lot, q: float, alpha: float = ALPHA) -> Verdict:
    moved = after.error_ratio - before.error_ratio
    if q >= alpha or abs(moved) < LEAST_ERROR_SHIFT:
        return Verdict.SAME
    return Verdict.WORSE if moved > 0 else Verdict.BETTER


def _g_test(hits: int, of: int, other_hits: int, other_of: int) -> float:
    share = (hits + other_hits) / (of + other_of)
    g = 0.0
    for seen, expected in (
        (hits, of * share),
        (of - hits, of * (1 - share)),
        (other_hits, other_of * share),
        (other_of - other_hits, other_of * (1 - share)),
    ):
        g += 2 * seen * math.log(seen / expected) if seen else 0.0
    return math.erfc(math.sqrt(max(0.0, g) / 2))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _aligned(
    before: Mapping[int, int], after: Mapping[int, int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The counts of both by rising bucket, over the buckets that either has."""
    places = sorted({*before, *after})
    mine = np.array([before.get(place, 0) for place in places], dtype=np.float64)
    return mine, np.array([after.get(place, 0) for place in places], dtype=np.float64)
