"""`anchored` and `smoothed` range selectors: windows that know the samples beyond their edges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tocsin.query.promql.errors import EvaluationError
from tocsin.query.promql.matrix import Mask
from tocsin.query.promql.rates import resets_between
from tocsin.query.promql.source import Times, Values
from tocsin.query.promql.windows import Index, Windows


def from_anchor(windows: Windows) -> Windows:
    """From the last sample at or before the start of each window, or else its first; none behind: no window."""
    starts = np.broadcast_to(windows.ends - windows.range_ms, windows.first.shape)
    first = _last_at_or_before(windows, starts)
    last = windows.behind - 1
    is_there = (windows.counts > 0) & (_times(windows, last) > starts)
    return replace(windows, first=np.where(is_there, first, windows.behind))


def _times(windows: Windows, places: Index) -> Times:
    if not len(windows.times):
        return np.zeros(places.shape, dtype=np.int64)
    return windows.times[np.clip(places, 0, len(windows.times) - 1)]


def _last_at_or_before(windows: Windows, edges: Times) -> Index:
    """Per window, its last sample that is not behind the edge, or its first sample."""
    place = windows.first.copy()
    if not windows.first.size:
        return place
    for row in range(len(windows.labels)):
        low, high = int(windows.first[row].min()), int(windows.behind[row].max())
        mine = windows.times[low:high]
        found = mine.searchsorted(edges[row], side="right") + low - 1
        place[row] = np.clip(found, windows.first[row], np.maximum(windows.behind[row] - 1, windows.first[row]))
    return place


_USERS = {
    "anchored": ("changes", "delta", "increase", "rate", "resets"),
    "smoothed": ("delta", "increase", "rate"),
}


def check_use(extension: str, function: str) -> None:
    """Raises EvaluationError where a function has no meaning on extended windows."""
    if extension and function not in _USERS[extension]:
        allowed = ", ".join(_USERS[extension])
        raise EvaluationError(f"{extension} modifier can only be used with: {allowed} - not with {function}")


def rate(windows: Windows, *, is_counter: bool, is_rate: bool) -> tuple[Values, Mask]:
    """The change between both edges of each window: of the samples next to them, or interpolated at them."""
    starts = np.broadcast_to(windows.ends - windows.range_ms, windows.first.shape)
    ends = np.broadcast_to(windows.ends, windows.first.shape)
    first = _last_at_or_before(windows, starts)
    last = windows.behind - 1
    if windows.extension == "smoothed":
        at = _last_at_or_before(windows, ends)
        reaches_end = _times(windows, at) >= ends
        last = np.where(reaches_end, at, np.minimum(at + 1, windows.behind - 1))
        last = np.where(_times(windows, windows.first) > ends, windows.first, last)
    present = (windows.counts > 0) & (_times(windows, last) > starts)
    values = np.full(windows.first.shape, np.nan)
    if not present.any():
        return values, present
    first, last, start, end = first[present], last[present], starts[present], ends[present]
    smooth = windows.extension == "smoothed"
    left = _left(windows, first, start, smooth=smooth, is_counter=is_counter)
    right = _right(windows, first, last, end, smooth=smooth, is_counter=is_counter)
    change = right - left
    if is_counter:
        change = change + _resets(windows, first, last, start, end, left, right)
    values[present] = change / (windows.range_ms / 1000) if is_rate else change
    return values, present


def _left(windows: Windows, first: Index, start: Times, *, smooth: bool, is_counter: bool) -> Values:
    values = windows.values[first]
    if smooth:
        after = np.minimum(first + 1, len(windows.values) - 1)
        values = np.where(windows.times[first] < start, _between(windows, first, after, start, is_counter), values)
    return values


def _right(windows: Windows, first: Index, last: Index, end: Times, *, smooth: bool, is_counter: bool) -> Values:
    values = windows.values[last]
    if smooth:
        cut = (windows.times[last] > end) & (last > first)
        before = np.maximum(last - 1, 0)
        values = np.where(cut, _between(windows, before, last, end, is_counter), values)
    return values


def _between(windows: Windows, before: Index, after: Index, at: Times, is_counter: bool) -> Values:
    """On the line between two samples; a counter that fell in between began at 0."""
    low, high = windows.values[before], windows.values[after]
    if is_counter:
        low = np.where(high < low, 0.0, low)
    span = windows.times[after] - windows.times[before]
    return np.asarray(low + (high - low) * (at - windows.times[before]) / np.where(span == 0, 1, span))


def _resets(
    windows: Windows, first: Index, last: Index, start: Times, end: Times, left: Values, right: Values
) -> Values:
    """What the counter had reached before each fall between both edges."""
    inner_first = np.where(windows.times[first] <= start, first + 1, first)
    inner_last = np.where(windows.times[last] >= end, last - 1, last)
    has_inner = inner_first <= inner_last
    safe_first = np.where(has_inner, inner_first, 0)
    safe_last = np.where(has_inner, inner_last, 0)
    inner = np.where(has_inner, resets_between(windows.values, safe_first, safe_last), 0.0)
    entering = np.where(has_inner & (windows.values[safe_first] < left), left, 0.0)
    before_end = np.where(has_inner, windows.values[safe_last], left)
    return inner + entering + np.where(right < before_end, before_end, 0.0)
