"""What is made of the float samples of each window: sums, means, extremes, spread, trends.

Every function takes windows and gives values and presence, (n series, n steps). Where the order of operations decides
over the last digits, all windows are walked sample by sample side by side.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tocsin.query.promql.matrix import Mask
from tocsin.query.promql.order import quantiles
from tocsin.query.promql.query import Query
from tocsin.query.promql.running import running_lines, running_sums
from tocsin.query.promql.source import Values
from tocsin.query.promql.summation import kahan_add
from tocsin.query.promql.windows import Index, Lanes, Windows, lanes

_SORTED_AT_A_TIME = 4_000_000  # samples held for sorting: 32 MB


def _blank(windows: Windows, at_least: int = 1) -> tuple[Values, Mask]:
    return np.full(windows.first.size, np.nan), windows.counts.ravel() >= at_least


def _shaped(windows: Windows, values: Values, present: Mask) -> tuple[Values, Mask]:
    return values.reshape(windows.first.shape), present.reshape(windows.first.shape)


def total(query: Query, windows: Windows) -> tuple[Values, Mask]:
    """sum_over_time."""
    _, present = _blank(windows)
    return _shaped(windows, _sums(query, windows), present)


def mean(query: Query, windows: Windows) -> tuple[Values, Mask]:
    """avg_over_time: the sum over the count; a moving mean from where the sum would overflow."""
    _, present = _blank(windows)
    values = _sums(query, windows) / windows.counts.ravel()
    overflown = present & ~np.isfinite(values)
    for walk in _lanes_of(windows, overflown):
        values[walk.rows] = _mean(query, windows, walk)
    return _shaped(windows, values, present)


def _sums(query: Query, windows: Windows) -> Values:
    """The sum of each window, flat; from running totals where these lose nothing that matters, else compensated."""
    sums, is_good = running_sums(query, windows)
    for walk in _lanes_of(windows, ~is_good):
        held, lost = np.zeros(len(walk.rows)), np.zeros(len(walk.rows))
        for k, places in enumerate(walk):
            _check(query, k)
            m = len(places)
            held[:m], lost[:m] = kahan_add(windows.values[places], held[:m], lost[:m])
        sums[walk.rows] = np.where(np.isinf(held), held, held + lost)
    return sums


def _mean(query: Query, windows: Windows, walk: Lanes) -> Values:
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
    return np.asarray(np.where(moves, sums + lost, sums / walk.lengths + lost / walk.lengths))


def _lanes_of(windows: Windows, chosen: Mask) -> Iterator[Lanes]:
    """Lanes of some of the windows."""
    rows = np.flatnonzero(chosen)
    for walk in lanes(windows.first.ravel()[rows], windows.behind.ravel()[rows]):
        yield Lanes(rows[walk.rows], walk.first, walk.lengths)


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
    for walk in lanes(windows.first.ravel(), windows.behind.ravel()):
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
    for walk in lanes(windows.first.ravel(), windows.behind.ravel()):
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
    shape = windows.first.shape
    _, present = _blank(windows, 2)
    slope, at_origin, is_good = running_lines(query, windows, origin.reshape(shape))
    for walk in _lanes_of(windows, present & ~is_good):
        slope[walk.rows], at_origin[walk.rows] = _line(query, windows, walk, origin[walk.rows])
    slope[~present] = at_origin[~present] = np.nan
    return slope.reshape(shape), at_origin.reshape(shape), present.reshape(shape)


def _line(query: Query, windows: Windows, walk: Lanes, zero: Index) -> tuple[Values, Values]:
    sums = [(np.zeros(len(walk.rows)), np.zeros(len(walk.rows))) for _ in range(4)]
    start = windows.values[walk.first]
    is_constant = np.ones(len(walk.rows), dtype=bool)
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
    at_origin = np.where(is_constant, np.where(np.isinf(start), np.nan, start), y / n - steepness * x / n)
    return np.where(is_constant, flat, steepness), at_origin


def slopes(query: Query, windows: Windows) -> tuple[Values, Mask]:
    """deriv: relative to the first sample of each window, where the numbers are small."""
    place = np.minimum(windows.first.ravel(), max(len(windows.times) - 1, 0))
    origin = windows.times[place] if len(windows.times) else np.zeros(len(place), dtype=np.int64)
    values, _, present = regression(query, windows, origin)
    return values, present


def smoothed(query: Query, windows: Windows, smoothing: Values, trend: Values) -> tuple[Values, Mask]:
    """double_exponential_smoothing, with both factors at each step."""
    values, present = _blank(windows, 2)
    for walk in lanes(windows.first.ravel(), windows.behind.ravel(), at_least=2):
        step = walk.rows % windows.first.shape[1]
        factor, trend_factor = smoothing[step], trend[step]
        before, level = np.zeros(len(walk.rows)), windows.values[walk.first]
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
