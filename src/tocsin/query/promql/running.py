"""Sums and lines of overlapping windows out of each series' running totals, where these lose nothing that matters.

A sample that is in many windows is added once. What was rounded before a window is in the totals at both its ends, so
that only the additions within it count. Where the error may be too large, the caller walks the window itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tocsin.query.promql.matrix import Mask
from tocsin.query.promql.query import Query
from tocsin.query.promql.source import Values
from tocsin.query.promql.windows import Index, Windows

# Windows that a sample is in, from which on running totals pay.
_WORTH_SUMS, _WORTH_LINES = 1, 4
_GOOD_SUM, _GOOD_LINE = 1e-13, 1e-10
_AT_A_TIME = 400_000  # samples whose totals are held: four of eight bytes each
_UNIT, _UNIT_OF_LINES = float(np.finfo(np.longdouble).eps), float(np.finfo(np.float64).eps)


def _is_worth(windows: Windows, often: int) -> bool:
    return int(windows.counts.sum()) >= often * max(len(windows.values), 1)


def running_sums(query: Query, windows: Windows) -> tuple[Values, Mask]:
    """The sum of each window, flat, and where its error is within 1e-13."""
    sums, is_good = np.full(windows.first.shape, np.nan), windows.counts == 0
    if not _is_worth(windows, _WORTH_SUMS):
        return sums.ravel(), is_good.ravel()
    for row, (first, behind) in enumerate(zip(windows.first, windows.behind, strict=True)):
        _check(query, row)
        start, end = int(first.min()), int(behind.max())
        running = np.zeros(max(0, end - start) + 1, dtype=np.longdouble)
        np.cumsum(windows.values[start:end], dtype=np.longdouble, out=running[1:])
        largest = float(np.abs(running).max())
        if np.isfinite(largest):
            found = (running[behind - start] - running[first - start]).astype(np.float64)
            is_good[row] |= _UNIT * largest * (behind - first) <= _GOOD_SUM * np.abs(found)
            sums[row] = np.where(behind > first, found, np.nan)
    return sums.ravel(), is_good.ravel()


def running_lines(query: Query, windows: Windows, origin: Index) -> tuple[Values, Values, Mask]:
    """Slope per second and value at `origin` (ms, as the windows) of the line of least squares, and where both are good
    to 1e-10; all flat."""
    shape = windows.first.shape
    slope, at_origin, is_good = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    if _is_worth(windows, _WORTH_LINES):
        a_row = max(1, len(windows.values) // shape[0])
        for start in range(0, shape[0], max(1, _AT_A_TIME // a_row)):
            query.check()
            rows = slice(start, start + max(1, _AT_A_TIME // a_row))
            slope[rows], at_origin[rows], is_good[rows] = _lines(windows, rows, origin[rows])
    return slope.ravel(), at_origin.ravel(), is_good.ravel()


def _lines(windows: Windows, rows: slice, origin: Index) -> tuple[Values, Values, Mask]:
    first, behind = windows.first[rows], windows.behind[rows]
    has_line = behind - first >= 2
    blocks = _Blocks(windows, first, behind)
    n = np.maximum(behind - first, 1)
    x, y, xy, xx = blocks.sums(first, behind)
    together, spread = xy - x * y / n, xx - x * x / n
    steepness = together / spread
    error = blocks.error(first, np.abs(y) / n)
    is_good = (error <= _GOOD_LINE * np.abs(together)) & np.isfinite(together) & has_line
    to_origin = (origin - blocks.middle_of(first)) / 1000 - x / n
    value = y / n + blocks.level_of(first) + steepness * to_origin
    is_constant = blocks.changes(first, behind) == 0
    start = windows.values[np.minimum(first, len(windows.values) - 1)]
    is_flat = is_constant & has_line & np.isfinite(start)
    return (
        np.where(is_flat, 0.0, steepness).astype(np.float64),
        np.where(is_flat, start, value).astype(np.float64),
        np.asarray(is_good | is_flat),
    )


class _Blocks:
    """The samples of some series cut into blocks as long as the longest window, so that each window is the end of one
    block and the beginning of the next; totals begin anew in every block, around a time and a value of its own, and so
    stay as small as a window's.
    """

    def __init__(self, windows: Windows, first: Index, behind: Index) -> None:
        self.start, end = int(first.min()), int(behind.max())
        self.size = max(1, int((behind - first).max()))
        self.number = max(1, -(-(end - self.start) // self.size))
        times = self._cut(windows.times[self.start : end])
        values = self._cut(windows.values[self.start : end])
        self._middles, self._levels = times[:, self.size // 2].copy(), values[:, self.size // 2].copy()
        x, y = (times - self._middles[:, None]) / 1000, values - self._levels[:, None]
        self._totals = [self._running(each) for each in (x, y, x * y, x * x)]
        self._differs = np.concatenate([[0], np.cumsum(values.ravel()[1:] != values.ravel()[:-1])])

    def _cut(self, numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """As blocks; the last one is filled up with its last number."""
        short = self.number * self.size - len(numbers)
        return np.append(numbers, np.repeat(numbers[-1:], short)).reshape(self.number, self.size)

    def _running(self, numbers: Values) -> Values:
        running = np.zeros((self.number, self.size + 1), dtype=np.float64)
        np.cumsum(numbers, axis=1, dtype=np.float64, out=running[:, 1:])
        return running

    def _block(self, place: Index) -> Index:
        return np.minimum((place - self.start) // self.size, self.number - 1)

    def middle_of(self, first: Index) -> Index:
        """The time that the sums of windows which begin at `first` are around, ms."""
        return np.asarray(self._middles[self._block(first)])

    def level_of(self, first: Index) -> Values:
        return np.asarray(self._levels[self._block(first)])

    def sums(self, first: Index, behind: Index) -> tuple[Values, Values, Values, Values]:
        """Of x, y, xy and xx of each window, around the middle and level of the block it begins in."""
        block = self._block(first)
        next_block = np.minimum(block + 1, self.number - 1)
        begin = first - self.start - block * self.size
        here = np.minimum(begin + (behind - first), self.size)
        there = begin + (behind - first) - here  # samples of the window in the next block
        x, y, xy, xx = (total[block, here] - total[block, begin] for total in self._totals)
        next_x, next_y, next_xy, next_xx = (total[next_block, there] for total in self._totals)
        right = (self._middles[next_block] - self._middles[block]) / 1000
        up = self._levels[next_block] - self._levels[block]
        x += next_x + there * right
        y += next_y + there * up
        xy += next_xy + right * next_y + up * next_x + there * right * up
        xx += next_xx + 2 * right * next_x + there * right * right
        return x, y, xy, xx

    def error(self, first: Index, level: Values) -> Values:
        """How far off the sum of xy less that of x times `level` may be."""
        of_x, of_y, of_xy, _ = (np.abs(total).max(axis=1) for total in self._totals)
        largest = of_xy + of_x.max() / self.size * of_y
        block = self._block(first)
        next_block = np.minimum(block + 1, self.number - 1)
        held = largest[block] + largest[next_block] + level * (of_x[block] + of_x[next_block])
        return np.asarray(_UNIT_OF_LINES * self.size * held)

    def changes(self, first: Index, behind: Index) -> Index:
        """How often a value differs from the one before it in the window."""
        last = np.maximum(behind - 1, first) - self.start
        end = len(self._differs) - 1
        return np.asarray(self._differs[np.minimum(last, end)] - self._differs[np.minimum(first - self.start, end)])


def _check(query: Query, k: int) -> None:
    if k % 64 == 0:
        query.check()
