"""What is made of the float samples of each window: sums, means, extremes, spread, trends.

Every function takes windows and gives values and presence, (n series, n steps). Where the order of operations decides
over the last digits, all windows are walked sample by sample side by side.
"""

from __future__ import annotations

import numpy as np

from tocsin.query.promql.matrix import Mask
from tocsin.query.promql.order import quantiles
from tocsin.query.promql.query import Query
from tocsin.query.promql.source import Values
from tocsin.query.promql.summation import kahan_add
from tocsin.query.promql.windows import Index, Windows, lanes

_SORTED_AT_A_TIME = 4_000_000  # samples held for sorting: 32 MB
_WALKED_AT_MOST = 200_000_000  # samples over all windows; beyond, sums come from running totals


def _blank(windows: Windows, at_least: int = 1) -> tuple[Values, Mask]:
    return np.full(windows.first.size, np.nan), windows.counts.ravel() >= at_least


def _shaped(windows: Windows, values: Values, present: Mask) -> tuple[Values, Mask]:
    return values.reshape(windows.first.shape), present.reshape(windows.first.shape)


def total(query: Query, windows: Windows) -> tuple[Values, Mask]:
    """sum_over_time."""
    values, present = _blank(windows)
    if _is_long(windows):
        sums = _running_sums(windows)
        return _shaped(windows, np.where(present, sums, np.nan), present)
    walk = lanes(windows.first.ravel(), windows.behind.ravel())
    sums, lost = np.zeros(len(walk.rows)), np.zeros(len(walk.rows))
    for k, places in enumerate(walk):
        _check(query, k)
        m = len(places)
        sums[:m], lost[:m] = kahan_add(windows.values[places], sums[:m], lost[:m])
    values[walk.rows] = np.where(np.isinf(sums), sums, sums + lost)
    return _shaped(windows, values, present)


def mean(query: Query, windows: Windows) -> tuple[Values, Mask]:
    """avg_over_time: the sum over the count; a moving mean from where the sum would overflow."""
    values, present = _blank(windows)
    counts = windows.counts.ravel()
    if _is_long(windows):
        return _shaped(windows, np.where(present, _running_sums(windows) / counts, np.nan), present)
    walk = lanes(windows.first.ravel(), windows.behind.ravel())
    size = len(walk.rows)
    sums, lost, moves = np.zeros(size), np.zeros(size), np.zeros(size, dtype=bool)
    for k, places in enumerate(walk):
        _check(query, k)
        m = len(places)
        added = windows.values[places]
        if k == 0:
            sums[:m] = added
            continue
        new, new_lost = kahan_add(added, sums[:m], lost[:m])
        overflows = ~moves[:m] & np.isinf(new)
        if overflows.any() or moves[:m].any():
            sums[:m] = np.where(overflows, sums[:m] / k, sums[:m])
            lost[:m] = np.where(overflows, lost[:m] / k, lost[:m])
            moves[:m] |= overflows
            share = k / (k + 1)
            moved, moved_lost = kahan_add(added / (k + 1), share * sums[:m], share * lost[:m])
            new = np.where(moves[:m], moved, new)
            new_lost = np.where(moves[:m], moved_lost, new_lost)
        sums[:m], lost[:m] = new, new_lost
    values[walk.rows] = np.where(moves, sums + lost, sums / walk.lengths + lost / walk.lengths)
    return _shaped(windows, values, present)


def _is_long(windows: Windows) -> bool:
    """Whether windows overlap so much that walking each is out of proportion, and running totals are exact enough."""
    if int(windows.counts.sum()) <= _WALKED_AT_MOST:
        return False
    largest = np.abs(windows.values).max(initial=0.0)
    return bool(np.isfinite(largest)) and largest < 1e100


def _running_sums(windows: Windows) -> Values:
    running = np.concatenate([[0.0], np.cumsum(windows.values, dtype=np.longdouble)])
    return np.asarray(running[windows.behind.ravel()] - running[windows.first.ravel()], dtype=np.float64)


def _check(query: Query, k: int) -> None:
    if k % 64 == 0:
        query.check()


def extreme(windows: Windows, *, largest: bool) -> tuple[Values, Mask]:
    """max_over_time and min_over_time: NaN only where there is nothing else."""
    values, present = _blank(windows)
    choose = np.fmax if largest else np.fmin
    first, behind = windows.first.ravel()[present], windows.behind.ravel()[present]
    if len(first):
        bounds = np.empty(2 * len(first), dtype=np.int64)
        bounds[::2], bounds[1::2] = first, behind
        values[present] = choose.reduceat(np.append(windows.values, np.nan), bounds)[::2]
    return _shaped(windows, values, present)


def time_of_extreme(query: Query, windows: Windows, *, largest: bool) -> tuple[Values, Mask]:
    """ts_of_max_over_time and ts_of_min_over_time: the latest of equals, in seconds."""
    values, present = _blank(windows)
    walk = lanes(windows.first.ravel(), windows.behind.ravel())
    best = np.full(len(walk.rows), np.nan)
    times = np.zeros(len(walk.rows))
    for k, places in enumerate(walk):
        _check(query, k)
        m = len(places)
        found = windows.values[places]
        better = (found >= best[:m] if largest else found <= best[:m]) | np.isnan(best[:m])
        best[:m] = np.where(better, found, best[:m])
        times[:m] = np.where(better, windows.times[places], times[:m])
    values[walk.rows] = times / 1000
    return _shaped(windows, values, present)


def variance(query: Query, windows: Windows) -> tuple[Values, Mask]:
    """stdvar_over_time: Welford's algorithm, compensated."""
    values, present = _blank(windows)
    walk = lanes(windows.first.ravel(), windows.behind.ravel())
    average, lost, squares, squares_lost = (np.zeros(len(walk.rows)) for _ in range(4))
    for k, places in enumerate(walk):
        _check(query, k)
        m = len(places)
        found = windows.values[places]
        delta = found - (average[:m] + lost[:m])
        average[:m], lost[:m] = kahan_add(delta / (k + 1), average[:m], lost[:m])
        added = delta * (found - (average[:m] + lost[:m]))
        squares[:m], squares_lost[:m] = kahan_add(added, squares[:m], squares_lost[:m])
    values[walk.rows] = (squares + squares_lost) / walk.lengths
    return _shaped(windows, values, present)


def regression(query: Query, windows: Windows, origin: Index) -> tuple[Values, Values, Mask]:
    """Slope per second, value at `origin` (ms, one per window, flat), and presence, of the line of least squares."""
    slope, present = _blank(windows, 2)
    intercept = slope.copy()
    walk = lanes(windows.first.ravel(), windows.behind.ravel(), at_least=2)
    sums = [(np.zeros(len(walk.rows)), np.zeros(len(walk.rows))) for _ in range(4)]
    start = windows.values[walk.first]
    is_constant = np.ones(len(walk.rows), dtype=bool)
    zero = origin[walk.rows]
    for k, places in enumerate(walk):
        _check(query, k)
        m = len(places)
        y, x = windows.values[places], (windows.times[places] - zero[:m]) / 1000
        is_constant[:m] &= (y == start[:m]) | (k == 0)
        for (held, lost), added in zip(sums, (x, y, x * y, x * x), strict=True):
            held[:m], lost[:m] = kahan_add(added, held[:m], lost[:m])
    x, y, xy, xx = (held + lost for held, lost in sums)
    n = walk.lengths
    steepness = (xy - x * y / n) / (xx - x * x / n)
    flat = np.where(np.isinf(start), np.nan, 0.0)
    slope[walk.rows] = np.where(is_constant, flat, steepness)
    at_origin = np.where(is_constant, np.where(np.isinf(start), np.nan, start), y / n - steepness * x / n)
    intercept[walk.rows] = at_origin
    shape = windows.first.shape
    return slope.reshape(shape), intercept.reshape(shape), present.reshape(shape)


def slopes(query: Query, windows: Windows) -> tuple[Values, Mask]:
    """deriv: relative to the first sample of each window, where the numbers are small."""
    place = np.minimum(windows.first.ravel(), max(len(windows.times) - 1, 0))
    origin = windows.times[place] if len(windows.times) else np.zeros(len(place), dtype=np.int64)
    values, _, present = regression(query, windows, origin)
    return values, present


def smoothed(query: Query, windows: Windows, smoothing: Values, trend: Values) -> tuple[Values, Mask]:
    """double_exponential_smoothing, with both factors at each step."""
    values, present = _blank(windows, 2)
    walk = lanes(windows.first.ravel(), windows.behind.ravel(), at_least=2)
    step = walk.rows % windows.first.shape[1] if windows.first.shape[1] else walk.rows
    factor, trend_factor = smoothing[step], trend[step]
    if len(walk.rows):
        before, level = np.zeros(len(walk.rows)), windows.values[walk.first].copy()
        slope = windows.values[walk.first + 1] - level
    for k, places in enumerate(walk):
        if k == 0:
            continue
        _check(query, k)
        m = len(places)
        sf, tf = factor[:m], trend_factor[:m]
        if k > 1:
            slope[:m] = tf * (level[:m] - before[:m]) + (1 - tf) * slope[:m]
        smoothed_level = sf * windows.values[places] + (1 - sf) * (level[:m] + slope[:m])
        before[:m], level[:m] = level[:m].copy(), smoothed_level
    if len(walk.rows):
        values[walk.rows] = level
    return _shaped(windows, values, present)


def quantile(windows: Windows, asked: Values) -> tuple[Values, Mask]:
    """quantile_over_time, with the quantile at each step."""
    values, present = _blank(windows)
    wanted = np.broadcast_to(asked, windows.first.shape).ravel()
    for rows, block in _blocks(windows):
        values[rows] = quantiles(block, np.ones(block.shape, dtype=bool), wanted[rows])
    return _shaped(windows, values, present)


def deviation(windows: Windows) -> tuple[Values, Mask]:
    """mad_over_time: the median distance from the median."""
    values, present = _blank(windows)
    for rows, block in _blocks(windows):
        there, half = np.ones(block.shape, dtype=bool), np.full(len(rows), 0.5)
        median = quantiles(block, there, half)
        values[rows] = quantiles(np.abs(block - median[:, None]), there, half)
    return _shaped(windows, values, present)


def _blocks(windows: Windows) -> list[tuple[Index, Values]]:
    """Windows of the same length as rows of one array, some at a time."""
    lengths = windows.counts.ravel()
    first = windows.first.ravel()
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    blocks = []
    for rows in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        if not len(rows):
            continue
        length = int(lengths[rows[0]])
        at_a_time = max(1, _SORTED_AT_A_TIME // length)
        for start in range(0, len(rows), at_a_time):
            some = rows[start : start + at_a_time]
            blocks.append((some, windows.values[first[some][:, None] + np.arange(length)]))
    return blocks


def changes(windows: Windows, *, only_falls: bool) -> tuple[Values, Mask]:
    """changes and resets: from sample to sample within the window; NaN after NaN is no change."""
    before, after = windows.values[:-1], windows.values[1:]
    differs = after < before if only_falls else (after != before) & ~(np.isnan(after) & np.isnan(before))
    running = np.concatenate([[0, 0], np.cumsum(differs)]) if len(windows.values) else np.zeros(1, dtype=np.int64)
    # running[i]: changes into samples 1 … i-1; the first sample of a window changes nothing.
    last = np.minimum(windows.first + 1, windows.behind)
    counts = running[windows.behind] - running[last]
    return counts.astype(np.float64), windows.counts > 0
