"""Look-ups over the series in the store: names, labels, values, metadata and exemplars, within a tenant scope."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tocsin.model.labels import METRIC_NAME
from tocsin.model.tenant import Scope
from tocsin.query.matching import series_condition
from tocsin.query.metric_reader import ExemplarPoint, Labels, MetricMetadata, Selector
from tocsin.query.promql.source import Hints, Series
from tocsin.query.series import StoreSource
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

MOST_NAMES = 100_000
MOST_EXEMPLARS = 10_000


class StoreReader:
    """Fills `MetricReader` from the store."""

    def __init__(self, store: TelemetryStore, scope: Scope) -> None:
        self._store = store
        self._scope = scope
        self._source = StoreSource(store, scope)

    def select(self, matchers: Selector, start_ms: int, end_ms: int, hints: Hints) -> list[Series]:
        return self._source.select(matchers, start_ms, end_ms, hints)

    def label_names(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> list[str]:
        found = self._texts("arrayJoin(mapKeys(labels))", selectors, start_ms, end_ms)
        return sorted({*found, METRIC_NAME} if found else found)

    def label_values(self, name: str, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> list[str]:
        column = "name" if name == METRIC_NAME else "labels[{wanted_label:String}]"
        return sorted(self._texts(column, selectors, start_ms, end_ms, wanted_label=name) - {""})

    def series(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> list[Labels]:
        found = {
            tuple(sorted(one.labels.items()))
            for selector in selectors or [()]
            for one in self._source.find(selector, start_ms, end_ms)
        }
        return [dict(labels) for labels in sorted(found)]

    def series_counts(self, start_ms: int, end_ms: int) -> dict[str, int]:
        condition, parameters = series_condition([], start_ms, end_ms)
        sql = f"SELECT name, uniqExact(id) FROM series WHERE {condition} GROUP BY name ORDER BY name LIMIT {MOST_NAMES}"
        return {name: int(count) for name, count in self._store.read(self._scope, sql, **parameters).rows}

    def metadata(self, metric: str = "") -> dict[str, list[MetricMetadata]]:
        condition, parameters = ("name = {metric:String}", {"metric": metric}) if metric else ("1", {})
        sql = (
            f"SELECT name, type, unit, help FROM metric_metadata WHERE {condition} "
            f"GROUP BY name, type, unit, help ORDER BY name, max(seen) DESC LIMIT {MOST_NAMES}"
        )
        said: dict[str, list[MetricMetadata]] = {}
        for name, type, unit, help in self._store.read(self._scope, sql, **parameters).rows:
            said.setdefault(name, []).append(MetricMetadata(type or "unknown", help, unit))
        return said

    def exemplars(
        self, selectors: Sequence[Selector], start_ms: int, end_ms: int
    ) -> list[tuple[Labels, list[ExemplarPoint]]]:
        found = {one.id: one for selector in selectors or [()] for one in self._source.find(selector, start_ms, end_ms)}
        sql = (
            "SELECT toString(series), toUnixTimestamp64Milli(time), value, trace_id, span_id, labels FROM exemplars "
            "WHERE name IN {names:Array(String)} AND series IN {ids:Array(UInt64)} "
            "AND time >= fromUnixTimestamp64Milli({start:Int64}) AND time <= fromUnixTimestamp64Milli({end:Int64}) "
            f"ORDER BY series, time LIMIT {MOST_EXEMPLARS}"
        )
        if not found:
            return []
        parameters: dict[str, Value] = {
            "names": sorted({one.name for one in found.values()}),
            "ids": list(found),
            "start": start_ms,
            "end": end_ms,
        }
        points: dict[int, list[ExemplarPoint]] = {}
        for id, *row in self._store.read(self._scope, sql, **parameters).rows:
            points.setdefault(int(id), []).append(_exemplar(*row))
        return [(found[id].labels, examples) for id, examples in points.items()]

    def _texts(self, column: str, selectors: Sequence[Selector], start_ms: int, end_ms: int, **more: Value) -> set[str]:
        found: set[str] = set()
        for selector in selectors or [()]:
            condition, parameters = series_condition(selector, start_ms, end_ms)
            sql = f"SELECT DISTINCT {column} FROM series WHERE {condition} LIMIT {MOST_NAMES}"
            found |= {row[0] for row in self._store.read(self._scope, sql, **parameters, **more).rows}
        return found


def _exemplar(time_ms: Any, value: float, trace_id: str, span_id: str, labels: Labels) -> ExemplarPoint:
    ids = {name: said for name, said in (("trace_id", trace_id), ("span_id", span_id)) if said}
    return ExemplarPoint({**labels, **ids}, value, int(time_ms))
