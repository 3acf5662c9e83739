"""rate, increase, delta, irate and idelta over windows of floats."""

from __future__ import annotations

import numpy as np

from tocsin.query.promql.matrix import Mask
from tocsin.query.promql.source import Values
from tocsin.query.promql.summation import segment_sums
from tocsin.query.promql.windows import Index, Windows


def resets_between(values: Values, first: Index, last: Index) -> Values:
    """What counters had reached before each fall within [first, last]: the amount to add back."""
    falls = np.flatnonzero(values[1:] < values[:-1]) + 1
    if not len(falls):
        return np.zeros(len(first))
    left, right = falls.searchsorted(first, side="right"), falls.searchsorted(last, side="right")
    if (left == right).all():
        return np.zeros(len(first))
    return segment_sums(values[falls - 1], left, right)


def extrapolated(windows: Windows, *, is_counter: bool, is_rate: bool) -> tuple[Values, Mask]:
    """The change over each window, extended to its edges where samples come close to them.

    Close is within 1.1 of the mean distance between samples; else the series is taken to begin or end half a distance
    beyond its sample. A counter is not extended to below zero.
    """
    values = np.full(windows.first.shape, np.nan)
    present = windows.counts >= 2
    first, last = windows.first[present], windows.behind[present] - 1
    if not len(first):
        return values, present
    ends = np.broadcast_to(windows.ends, present.shape)[present]
    start_value = windows.values[first]
    change = windows.values[last] - start_value
    if is_counter:
        change = change + resets_between(windows.values, first, last)
    first_times, last_times = windows.times[first], windows.times[last]
    to_start = (first_times - (ends - windows.range_ms)) / 1000
    to_end = (ends - last_times) / 1000
    sampled = (last_times - first_times) / 1000
    values[present] = change * extrapolation(
        sampled, (last - first).astype(np.float64), to_start, to_end, start_value if is_counter else None, change
    )
    if is_rate:
        values /= windows.range_ms / 1000
    return values, present


def extrapolation(
    sampled: Values, gaps: Values, to_start: Values, to_end: Values, start_value: Values | None, change: Values
) -> Values:
    """The factor from what was sampled to the window; all in seconds, start_value only for counters."""
    mean_gap = sampled / gaps
    threshold = mean_gap * 1.1
    to_start = np.where(to_start >= threshold, mean_gap / 2, to_start)
    if start_value is not None:
        falls_to_zero = (change > 0) & (start_value >= 0)
        to_zero = np.where(falls_to_zero, sampled * (start_value / np.where(falls_to_zero, change, 1.0)), np.inf)
        to_start = np.minimum(to_start, to_zero)
    to_end = np.where(to_end >= threshold, mean_gap / 2, to_end)
    return np.asarray((sampled + to_start + to_end) / sampled)


def last_change(windows: Windows, *, is_rate: bool) -> tuple[Values, Mask]:
    """The change between the last two samples; per second, and aware of resets, for irate."""
    values = np.full(windows.first.shape, np.nan)
    present = windows.counts >= 2
    last = windows.behind[present] - 1
    after, before = windows.values[last], windows.values[last - 1]
    change = np.where(after < before, after, after - before) if is_rate else after - before
    if is_rate:
        change = change / ((windows.times[last] - windows.times[last - 1]) / 1000)
    values[present] = change
    return values, present
