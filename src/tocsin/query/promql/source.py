"""Where the samples come from: what the evaluator asks a store, and a store in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tocsin.query.promql.histogram import NativeHistogram
from tocsin.query.promql.matchers import NAME, Matcher, MatchOperator

__all__ = ["NAME", "Grid", "Hints", "MatchOperator", "Matcher", "MemorySource", "Series", "Source"]

Labels = dict[str, str]
Times = NDArray[np.int64]
Values = NDArray[np.float64]

STALE_BITS = 0x7FF0000000000002
STALE = float(np.array([STALE_BITS], dtype=np.uint64).view(np.float64)[0])


def is_stale(values: Values) -> NDArray[np.bool_]:
    """Where a series said that it ended: a NaN of Prometheus' own bits, which is no value."""
    return np.asarray(np.ascontiguousarray(values).view(np.uint64) == STALE_BITS)


@dataclass(frozen=True, slots=True)
class Grid:
    """The instants that are asked about: start, start+step, … up to end, in milliseconds."""

    start_ms: int
    end_ms: int
    step_ms: int

    @property
    def times(self) -> Times:
        return np.arange(self.start_ms, self.end_ms + 1, self.step_ms, dtype=np.int64)

    def __len__(self) -> int:
        return max(0, (self.end_ms - self.start_ms) // self.step_ms + 1)


@dataclass(frozen=True, slots=True)
class Hints:
    """What the query does with the series, for a store that can answer from rollups. It calls `check` as it reads."""

    start_ms: int
    end_ms: int
    step_ms: int
    range_ms: int
    function: str = ""  # the call or aggregation right above the selector
    grouping: tuple[str, ...] = ()
    by: bool = False
    # Only sums by these labels matter, of counters or of their rates: what a source adds up itself need not be sent.
    summed_by: tuple[str, ...] | None = None
    check: Callable[[], None] = field(default=lambda: None, compare=False)  # raises when the query has to end


@dataclass(slots=True)
class Series:
    """labels include `__name__`; timestamps ascend, in ms; `histograms[i]` is None where sample i is a float."""

    labels: Labels
    timestamps: Times
    values: Values
    histograms: Sequence[NativeHistogram | None] | None = None


class Source(Protocol):
    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: Hints) -> list[Series]:
        """The series that match, with their samples in (start, end], ordered by labels."""

    def portions(
        self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: Hints
    ) -> Iterator[Sequence[Series]]:
        """The same some at a time, so that not all samples have to be held; each portion is ordered by labels."""


class WholeSource:
    """For sources that have everything at hand: all series are one portion."""

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: Hints) -> list[Series]:
        raise NotImplementedError

    def portions(
        self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: Hints
    ) -> Iterator[Sequence[Series]]:
        yield self.select(matchers, start_ms, end_ms, hints)


@dataclass(slots=True)
class MemorySource(WholeSource):
    """Series in memory, for tests and the REPL."""

    series: list[Series] = field(default_factory=list)

    def add(self, labels: Labels, samples: Sequence[tuple[int, float]]) -> None:
        times = np.array([time for time, _ in samples], dtype=np.int64)
        values = np.array([value for _, value in samples], dtype=np.float64)
        self.series.append(Series(labels, times, values))

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: Hints) -> list[Series]:
        found = []
        for series in self.series:
            if not all(matcher.matches(series.labels.get(matcher.name, "")) for matcher in matchers):
                continue
            first, behind = np.searchsorted(series.timestamps, [start_ms, end_ms], side="right")
            histograms = None if series.histograms is None else series.histograms[first:behind]
            if behind > first:
                found.append(
                    Series(
                        dict(series.labels), series.timestamps[first:behind], series.values[first:behind], histograms
                    )
                )
        return sorted(found, key=lambda series: sorted(series.labels.items()))


Canceled = Callable[[], bool]
