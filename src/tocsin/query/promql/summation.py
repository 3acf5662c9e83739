"""Sums that lose nothing to rounding: Neumaier's variant of Kahan's summation, on arrays.

Source: Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen", 1974.
"""

from __future__ import annotations

import math

import numpy as np

from tocsin.query.promql.source import Values


def kahan_add(added: Values, total: Values, compensation: Values) -> tuple[Values, Values]:
    """The new totals and what they lost; both are new arrays.

    What a sum loses comes from six additions (Knuth's TwoSum) rather than from a choice, which costs twice as much on
    arrays; it is the same number, because both are exact.
    """
    new = total + added
    seen = new - total
    lost = new - seen
    np.subtract(total, lost, out=lost)
    np.subtract(added, seen, out=seen)
    lost += seen
    lost += compensation
    if not np.isfinite(new).all():
        lost[np.isinf(new)] = 0.0
    return new, lost


def exact_sum(values: list[float]) -> float:
    """Rounded once; where it leaves the range of floats, as adding one after the other does."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # beyond the largest float on the way, or infinities of both signs
        return sum(values)


def segment_sums(values: Values, first: np.ndarray, behind: np.ndarray) -> Values:
    """values[first:behind].sum() of each segment; plain addition, 0 for an empty one."""
    if not len(first):
        return np.zeros(0)
    padded = np.append(values, 0.0)
    bounds = np.empty(2 * len(first), dtype=np.int64)
    bounds[::2], bounds[1::2] = first, behind
    return np.where(behind > first, np.add.reduceat(padded, bounds)[::2], 0.0)
