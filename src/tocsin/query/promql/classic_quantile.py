"""Quantiles and fractions of classic histograms, for many steps at once.

counts: (n buckets, n steps), cumulative, ascending by upper bound; a column is one histogram.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tocsin.query.promql.matrix import Mask
from tocsin.query.promql.source import Values

_TOLERANCE = 1e-12


@dataclass(slots=True)
class Repair:
    """Columns that had to be made monotonic, and between which buckets by how much at most."""

    forced: Mask
    least_bound: float = np.inf
    greatest_bound: float = -np.inf
    greatest_drop: float = 0.0


def monotonic(uppers: Values, counts: Values) -> tuple[Values, Repair]:
    """Without falls from bucket to bucket; differences of rounding are smoothed silently, real ones are noted."""
    fixed = counts.copy()
    repair = Repair(np.zeros(counts.shape[1], dtype=bool))
    before = fixed[0].copy()
    for index in range(1, len(fixed)):
        now = fixed[index]
        small = np.abs(now - before) <= _TOLERANCE * (np.abs(now) + np.abs(before))
        falls = ~small & (now < before)
        if falls.any():
            repair.forced |= falls
            repair.least_bound = min(repair.least_bound, float(uppers[index]))
            repair.greatest_bound = max(repair.greatest_bound, float(uppers[index]))
            repair.greatest_drop = max(repair.greatest_drop, float((before - now)[falls].max()))
        keep = small | falls
        fixed[index] = np.where(keep, before, now)
        before = np.where(keep, before, now)
    return fixed, repair


def bucket_quantiles(q: Values, uppers: Values, counts: Values) -> tuple[Values, Repair | None]:
    """The q-quantile of each column (q: one per column), linear within a bucket."""
    extreme = np.where(np.isnan(q), np.nan, np.where(q < 0, -np.inf, np.inf))
    regular = (q >= 0) & (q <= 1)
    if not np.isposinf(uppers[-1]):
        return np.where(regular, np.nan, extreme), None
    counts, repair = monotonic(uppers, counts)
    if len(counts) < 2:
        return np.where(regular, np.nan, extreme), None
    observations = counts[-1]
    rank = q * observations
    reached = counts[:-1] >= rank
    place = np.where(reached.any(axis=0), reached.argmax(axis=0), len(counts) - 1)
    columns = np.arange(counts.shape[1])
    inner = np.minimum(place, len(counts) - 2)
    end = uppers[inner]
    start = np.where(inner > 0, uppers[np.maximum(inner - 1, 0)], 0.0)
    below = np.where(inner > 0, counts[np.maximum(inner - 1, 0), columns], 0.0)
    inside = counts[inner, columns] - below
    values = start + (end - start) * ((rank - below) / inside)
    values = np.where((place == 0) & (uppers[0] <= 0), uppers[0], values)
    values = np.where(place == len(counts) - 1, uppers[-2], values)
    values = np.where(observations == 0, np.nan, values)
    repair.forced &= regular & (observations != 0)
    return np.where(regular, values, extreme), repair


def bucket_fractions(lower: Values, upper: Values, uppers: Values, counts: Values) -> Values:
    """The share of observations between two values (one pair per column)."""
    if not np.isposinf(uppers[-1]):
        return np.full(counts.shape[1], np.nan)
    counts, _ = monotonic(uppers, counts)
    observations = counts[-1]
    share = (_rank_of(upper, uppers, counts) - _rank_of(lower, uppers, counts)) / observations
    share = np.where(lower >= upper, 0.0, share)
    return np.where((observations == 0) | np.isnan(lower) | np.isnan(upper), np.nan, share)


def _rank_of(value: Values, uppers: Values, counts: Values) -> Values:
    """How many observations of each column are below a value."""
    rank = counts[-1].copy()
    found = np.zeros(len(value), dtype=bool)
    below = np.zeros(len(value))
    low = 0.0 if uppers[0] > 0 else -np.inf  # a first bucket above zero begins at zero
    for upper, count in zip(uppers, counts, strict=True):
        at_edge = ~found & (low >= value)
        rank = np.where(at_edge, below, rank)
        found = found | at_edge
        within = ~found & (low < value) & (value < upper)
        share = (value - low) / (upper - low) if np.isfinite(low) and np.isfinite(upper) else np.zeros(len(value))
        if np.isneginf(low):
            share = np.ones(len(value))
        rank = np.where(within, below + (count - below) * share, rank)
        found = found | within
        low, below = upper, count
    return np.asarray(np.minimum(rank, counts[-1]))
