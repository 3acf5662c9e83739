"""Range vectors: for each series and step, which samples lie in the window (t-range, t]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tocsin.query.promql.errors import Position
from tocsin.query.promql.histogram import NativeHistogram
from tocsin.query.promql.matrix import Mask, Matrix
from tocsin.query.promql.source import Grid, Labels, Series, Times, Values, is_stale

Index = NDArray[np.int64]


@dataclass(slots=True)
class HistogramWindows:
    """As the floats of Windows, for the samples that are native histograms."""

    times: Times
    samples: list[NativeHistogram]
    first: Index
    behind: Index


@dataclass(slots=True)
class Windows:
    """The samples of all series, one series after the other, and the windows on them.

    Window j of series i holds the float samples first[i, j] up to, not including, behind[i, j].
    ends are the right edges in ms, one a step; extended windows (`anchored`, `smoothed`) reach beyond their edges.
    """

    labels: list[Labels]
    times: Times
    values: Values
    first: Index
    behind: Index
    ends: Times
    range_ms: int
    grid: Grid
    position: Position
    histograms: HistogramWindows | None = None
    drops_name: Mask | None = None
    extension: str = ""

    @property
    def counts(self) -> Index:
        return self.behind - self.first

    @property
    def histogram_counts(self) -> Index:
        if self.histograms is None:
            return np.zeros_like(self.first)
        return self.histograms.behind - self.histograms.first

    def matrix(self, values: Values, present: Mask, histograms: NDArray[np.object_] | None = None) -> Matrix:
        """The result of a range function, series by series."""
        return Matrix(list(self.labels), values, present, histograms, self.drops_name)


def windows_on(
    series: Sequence[Series],
    ends: Times,
    range_ms: int,
    grid: Grid,
    position: Position,
    extension: str = "",
    lookback_ms: int = 0,
) -> Windows:
    """Windows on selected series; stale markers are no samples here."""
    before = lookback_ms if extension else 0
    after = lookback_ms if extension == "smoothed" else 0
    floats = [_floats(one) for one in series]
    first, behind = _edges([times for times, _ in floats], ends - range_ms - before, ends + after)
    histograms = None
    if any(one.histograms is not None for one in series):
        parts = [_histograms(one) for one in series]
        bounds = _edges([times for times, _ in parts], ends - range_ms - before, ends + after)
        histograms = HistogramWindows(
            _joined([times for times, _ in parts], np.int64),
            [sample for _, samples in parts for sample in samples],
            *bounds,
        )
    return Windows(
        [one.labels for one in series],
        _joined([times for times, _ in floats], np.int64),
        _joined([values for _, values in floats], np.float64),
        first,
        behind,
        ends,
        range_ms,
        grid,
        position,
        histograms,
        extension=extension,
    )


def _floats(series: Series) -> tuple[Times, Values]:
    kept = ~is_stale(series.values) if np.isnan(series.values).any() else None
    if series.histograms is not None:
        is_float = np.array([sample is None for sample in series.histograms], dtype=bool)
        kept = is_float if kept is None else kept & is_float
    if kept is None or kept.all():
        return series.timestamps, series.values
    return series.timestamps[kept], series.values[kept]


def _histograms(series: Series) -> tuple[Times, list[NativeHistogram]]:
    if series.histograms is None:
        return np.zeros(0, dtype=np.int64), []
    kept = [index for index, sample in enumerate(series.histograms) if sample is not None]
    return series.timestamps[kept], [sample for sample in series.histograms if sample is not None]


def _edges(times: Sequence[Times], starts: Times, ends: Times) -> tuple[Index, Index]:
    """For each series and window, the first sample behind its start and the first behind its end."""
    first = np.zeros((len(times), len(ends)), dtype=np.int64)
    behind = np.zeros_like(first)
    offset = previous_offset = 0
    previous: Times | None = None
    for row, one in enumerate(times):
        if previous is not None and _same(previous, one):
            # Series of one scrape share their timestamps: search once.
            first[row] = first[row - 1] + (offset - previous_offset)
            behind[row] = behind[row - 1] + (offset - previous_offset)
        else:
            first[row] = one.searchsorted(starts, side="right") + offset
            behind[row] = one.searchsorted(ends, side="right") + offset
        previous, previous_offset = one, offset
        offset += len(one)
    return first, behind


def _same(left: Times, right: Times) -> bool:
    return left is right or (
        len(left) == len(right) and len(left) > 0 and left[0] == right[0] and bool(np.array_equal(left, right))
    )


def _joined(parts: Sequence[NDArray[Any]], kind: type) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=kind)


def series_of(matrix: Matrix, times: Times) -> list[Series]:
    """The evaluated steps of a subquery, as series that windows can be laid on."""
    made = []
    for row, labels in enumerate(matrix.labels):
        there = matrix.present[row]
        histograms = None
        if matrix.histograms is not None and (matrix.histograms[row][there] != None).any():  # noqa: E711 - element-wise
            histograms = [_unhinted(histogram) for histogram in matrix.histograms[row][there]]
        made.append(Series(labels, times[there], matrix.values[row][there], histograms))
    return made


def _unhinted(histogram: NativeHistogram | None) -> NativeHistogram | None:
    """A hint speaks of the sample before, which the steps of a subquery may have skipped."""
    if histogram is None or histogram.hint == "gauge":
        return histogram
    return replace(histogram, hint="unknown")


@dataclass(slots=True)
class Lanes:
    """Non-empty windows side by side, the longest first, so that their k-th samples can be taken at once."""

    rows: Index  # which of the flat windows
    first: Index
    lengths: Index

    def __iter__(self) -> Iterator[Index]:
        """For k = 0, 1, …: the places of the k-th samples, of the windows that have as many."""
        longest = int(self.lengths[0]) if len(self.lengths) else 0
        ascending = self.lengths[::-1]
        for k in range(longest):
            active = len(ascending) - int(ascending.searchsorted(k, side="right"))
            yield self.first[:active] + k


LANES_AT_A_TIME = 16_384
"""So many that the running sums of all lanes stay in the processor's cache while they are walked."""


def lanes(first: Index, behind: Index, at_least: int = 1) -> Iterator[Lanes]:
    """The windows with at least so many samples, some at a time; first and behind are flat."""
    lengths = behind - first
    rows = np.flatnonzero(lengths >= at_least)
    order = np.argsort(-lengths[rows], kind="stable")
    rows = rows[order]
    for start in range(0, len(rows), LANES_AT_A_TIME):
        some = rows[start : start + LANES_AT_A_TIME]
        yield Lanes(some, first[some], lengths[some])
