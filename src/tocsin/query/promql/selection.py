"""Selectors: which series, which of their samples, and which of those are the present value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tocsin.query.promql.errors import Position
from tocsin.query.promql.histogram import NativeHistogram
from tocsin.query.promql.matchers import Matcher
from tocsin.query.promql.matrix import Matrix, arranged
from tocsin.query.promql.query import Query
from tocsin.query.promql.source import Hints, Series, Times, is_stale


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector with what stands right above it."""

    matchers: tuple[Matcher, ...]
    range_ms: int  # 0 for an instant vector
    position: Position
    extension: str = ""
    function: str = ""
    grouping: tuple[str, ...] = ()
    by: bool = False
    summed_by: tuple[str, ...] | None = None
    finds_resets: bool = False  # below histogram_count and its kin: counter resets are looked for, not taken from hints

    def portions(self, query: Query, times: Times) -> Iterator[Sequence[Series]]:
        """The samples that windows or lookbacks from these times can reach, some series at a time."""
        if not len(times):
            return
        back = self.range_ms or query.lookback_ms
        if self.extension and self.range_ms:
            back += query.lookback_ms
        start, end = int(times.min()) - back, int(times.max())
        end += query.lookback_ms if self.extension == "smoothed" else 0
        grid = query.grid
        above = self.function, self.grouping, self.by, self.summed_by
        hints = Hints(start, end, grid.step_ms, self.range_ms, *above, query.check)
        before = 0
        for portion in query.source.portions(self.matchers, start, end, hints):
            query.read(sum(len(series.timestamps) for series in portion), len(portion), before)
            before += len(portion)
            if self.finds_resets:
                for series in portion:
                    series.histograms = _with_found_resets(series.histograms)
            yield portion


def _with_found_resets(histograms: Sequence[NativeHistogram | None] | None) -> list[NativeHistogram | None] | None:
    if histograms is None:
        return None
    made: list[NativeHistogram | None] = []
    before: NativeHistogram | None = None
    for histogram in histograms:
        found = histogram
        if histogram is not None and histogram.hint == "unknown" and before is not None:
            found = replace(histogram, hint="reset" if histogram.is_reset_after(before) else "not_reset")
        made.append(found)
        if histogram is not None and histogram.hint != "gauge":
            before = histogram
    return made


def instant_vector(query: Query, selector: Selector, times: Times, *, timestamps: bool = False) -> Matrix:
    """The latest sample in (t-lookback, t] of each series at each time; none behind a stale marker."""
    made: list[Matrix] = []
    for portion in selector.portions(query, times):
        query.hold((sum(len(part.labels) for part in made) + len(portion)) * len(times))
        made.append(_latest(query, selector, portion, times, timestamps=timestamps))
    return arranged(made, len(times))


def _latest(query: Query, selector: Selector, found: Sequence[Series], times: Times, *, timestamps: bool) -> Matrix:
    made = Matrix(
        [series.labels for series in found],
        np.full((len(found), len(times)), np.nan),
        np.zeros((len(found), len(times)), dtype=bool),
    )
    if any(series.histograms is not None for series in found):
        made.histograms = np.full(made.present.shape, None, dtype=object)
    oldest = times - query.lookback_ms
    previous: Series | None = None
    for row, series in enumerate(found):
        if previous is None or not _same_times(previous, series):
            place = series.timestamps.searchsorted(times, side="right") - 1
            there = place >= 0
            place = np.maximum(place, 0)
            in_reach = there & (series.timestamps[place] > oldest)
            previous = series
        values = series.values[place]
        present = in_reach & ~is_stale(values) if np.isnan(values).any() else in_reach
        made.present[row] = present
        made.values[row] = series.timestamps[place] / 1000 if timestamps else values
        if series.histograms is not None and made.histograms is not None and not timestamps:
            for step in np.flatnonzero(present):
                made.histograms[row, step] = series.histograms[place[step]]
    if selector.extension == "smoothed" and not timestamps:
        _interpolate(query, made, found, times)
    return made


def _interpolate(query: Query, made: Matrix, found: Sequence[Series], times: Times) -> None:
    """`metric smoothed`: on the line between the samples around each time, as far as the lookback reaches."""
    for row, series in enumerate(found):
        kept = ~is_stale(series.values)
        at, values = series.timestamps[kept], series.values[kept]
        if not len(at):
            continue
        after = at.searchsorted(times, side="left")
        following, before = np.minimum(after, len(at) - 1), np.maximum(after - 1, 0)
        has_before = (after > 0) & (at[before] > times - query.lookback_ms)
        has_after = (after < len(at)) & (at[following] <= times + query.lookback_ms)
        span = np.maximum(at[following] - at[before], 1)
        between = values[before] + (values[following] - values[before]) * (times - at[before]) / span
        exact = has_after & (at[following] == times)
        alone = np.where(has_before, values[before], values[following])
        made.values[row] = np.where(exact, values[following], np.where(has_before & has_after, between, alone))
        made.present[row] = has_before | has_after


def _same_times(left: Series, right: Series) -> bool:
    one, other = left.timestamps, right.timestamps
    return one is other or (len(one) == len(other) and bool(np.array_equal(one, other)))
