"""What the metric routes and pages need of a store of series, all within one tenant scope."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tocsin.query.promql.source import Hints, Matcher, Series

Labels = dict[str, str]
Selector = Sequence[Matcher]


@dataclass(frozen=True, slots=True)
class MetricMetadata:
    """What senders say about a metric. type: counter, gauge, histogram, summary, info, stateset or unknown."""

    type: str
    help: str
    unit: str


@dataclass(frozen=True, slots=True)
class ExemplarPoint:
    """One example behind a sample; its labels hold trace_id and what else the sender gave."""

    labels: Labels
    value: float
    time_ms: int


class MetricReader(Protocol):
    """Series within a scope. A series is found when any of the selectors matches it; no selector matches everything.
    Times are unix milliseconds and may be coarse: a series may be told that was there on the same day."""

    def select(self, matchers: Selector, start_ms: int, end_ms: int, hints: Hints) -> list[Series]:
        """PromQL's `Source`."""

    def portions(self, matchers: Selector, start_ms: int, end_ms: int, hints: Hints) -> Iterator[Sequence[Series]]:
        """The same, some series at a time."""

    def label_names(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> list[str]:
        """Sorted, `__name__` among them."""

    def label_values(self, name: str, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> list[str]:
        """Sorted, without ''."""

    def series(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> list[Labels]:
        """The label sets, sorted. Raises TooManySeriesError."""

    def series_counts(self, start_ms: int, end_ms: int) -> dict[str, int]:
        """How many series each metric name has."""

    def metadata(self, metric: str = "") -> dict[str, list[MetricMetadata]]:
        """By metric name; of one metric when it is given."""

    def exemplars(
        self, selectors: Sequence[Selector], start_ms: int, end_ms: int
    ) -> list[tuple[Labels, list[ExemplarPoint]]]:
        """The examples of each series, oldest first."""
