"""The series of the store as one object within a tenant scope: what `series` and `series_lists` answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tocsin.model.tenant import Scope
from tocsin.query import catalog_exemplars, series_lists
from tocsin.query.metric_reader import ExemplarPoint, Labels, MetricMetadata, Selector
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import NAME, Hints, Series
from tocsin.query.series import StoreSource, TooManySeriesError
from tocsin.storage.telemetry.store import TelemetryStore

MOST = 100_000
MOST_SERIES = 50_000


class StoreReader:
    """Fills `MetricReader`."""

    def __init__(self, store: TelemetryStore, scope: Scope, max_samples: int = QuerySettings().max_samples) -> None:
        self._store = store
        self._scope = scope
        self._source = StoreSource(store, scope, max_samples=max_samples)

    def select(self, matchers: Selector, start_ms: int, end_ms: int, hints: Hints) -> list[Series]:
        return self._source.select(matchers, start_ms, end_ms, hints)

    def portions(self, matchers: Selector, start_ms: int, end_ms: int, hints: Hints) -> Iterator[Sequence[Series]]:
        return self._source.portions(matchers, start_ms, end_ms, hints)

    def label_names(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> list[str]:
        found: set[str] = set()
        for selector in selectors or [()]:
            found |= set(series_lists.label_names(self._store, self._scope, selector, start_ms, end_ms, MOST))
        return sorted({*found, NAME} if found else found)

    def label_values(self, name: str, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> list[str]:
        found: set[str] = set()
        for selector in selectors or [()]:
            found |= set(series_lists.label_values(self._store, self._scope, name, selector, start_ms, end_ms, MOST))
        return sorted(found)

    def series(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> list[Labels]:
        found = {
            tuple(sorted(labels.items()))
            for selector in selectors or [()]
            for labels in series_lists.series(self._store, self._scope, selector, start_ms, end_ms, MOST_SERIES + 1)
        }
        if len(found) > MOST_SERIES:
            raise TooManySeriesError(f"cannot list more than {MOST_SERIES} series; name a metric or add label matchers")
        return [dict(labels) for labels in sorted(found)]

    def series_counts(self, start_ms: int, end_ms: int) -> dict[str, int]:
        """Those of the catalogue, which are made when they are read, as they were in the last hour."""
        counted = series_lists.cardinality(self._store, self._scope, start_ms, end_ms, MOST).by_metric
        found = dict(counted)
        for labels in series_lists.made_series(self._store, self._scope, (), start_ms, end_ms):
            found[labels[NAME]] = found.get(labels[NAME], 0) + 1
        return dict(sorted(found.items()))

    def metadata(self, metric: str = "") -> dict[str, list[MetricMetadata]]:
        found = series_lists.metadata(self._store, self._scope, metric, MOST)
        return {one.name: [MetricMetadata(one.type or "unknown", one.help, one.unit)] for one in found}

    def exemplars(
        self, selectors: Sequence[Selector], start_ms: int, end_ms: int
    ) -> list[tuple[Labels, list[ExemplarPoint]]]:
        points: dict[tuple[tuple[str, str], ...], dict[tuple[int, float], ExemplarPoint]] = {}
        for selector in selectors or [()]:
            asked = self._store, self._scope, selector, start_ms, end_ms
            for one in (*series_lists.exemplars(*asked), *catalog_exemplars.exemplars(*asked)):
                ids = {name: said for name, said in (("trace_id", one.trace_id), ("span_id", one.span_id)) if said}
                point = ExemplarPoint({**one.exemplar_labels, **ids}, one.value, one.time_ms)
                points.setdefault(tuple(sorted(one.labels.items())), {})[one.time_ms, one.value] = point
        return [(dict(labels), [held[key] for key in sorted(held)]) for labels, held in sorted(points.items())]
