"""What there is: label names and values, series, metadata, exemplars, and which metrics have how many series.

Each within a scope and a range of time, and bounded; the catalogue's metrics are among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.model.labels import METRIC_NAME
from tocsin.model.tenant import Scope
from tocsin.query import catalog
from tocsin.query.matching import series_condition
from tocsin.query.promql.source import Matcher
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Metadata:
    """What senders say about a metric."""

    name: str
    type: str
    unit: str
    help: str


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A measurement kept as an example, with the trace it comes from."""

    labels: dict[str, str]  # of its series
    time_ms: int
    value: float
    trace_id: str
    span_id: str
    exemplar_labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class Cardinality:
    """How many series there are; what has most of them comes first."""

    series: int
    by_metric: list[tuple[str, int]]
    by_label: list[tuple[str, int]]  # label, different values
    by_pair: list[tuple[str, int]]  # name=value, series
    by_tenant: list[tuple[str, int]]


def label_names(
    store: TelemetryStore, scope: Scope, matchers: Sequence[Matcher], start_ms: int, end_ms: int, limit: int = 10_000
) -> list[str]:
    """The labels that series have, alphabetical."""
    condition, parameters = series_condition(matchers, start_ms, end_ms)
    sql = (
        f"SELECT DISTINCT arrayJoin(mapKeys(labels)) AS label FROM series WHERE {condition} ORDER BY label "
        f"LIMIT {{limit:UInt64}}"
    )
    names = {row[0] for row in store.read(scope, sql, **parameters, limit=limit).rows}
    for labels in made_series(store, scope, matchers, start_ms, end_ms):
        names |= labels.keys()
    return sorted(names)[:limit]


def label_values(
    store: TelemetryStore,
    scope: Scope,
    label: str,
    matchers: Sequence[Matcher],
    start_ms: int,
    end_ms: int,
    limit: int = 10_000,
) -> list[str]:
    """The values a label has, alphabetical."""
    condition, parameters = series_condition(matchers, start_ms, end_ms)
    column = "name" if label == METRIC_NAME else "labels[{label:String}]"
    sql = (
        f"SELECT DISTINCT toString({column}) AS found FROM series WHERE {condition} AND found != '' ORDER BY found "
        f"LIMIT {{limit:UInt64}}"
    )
    values = {row[0] for row in store.read(scope, sql, **parameters, limit=limit, label=label).rows}
    values |= {labels[label] for labels in made_series(store, scope, matchers, start_ms, end_ms) if label in labels}
    return sorted(values)[:limit]


def series(
    store: TelemetryStore, scope: Scope, matchers: Sequence[Matcher], start_ms: int, end_ms: int, limit: int = 10_000
) -> list[dict[str, str]]:
    """The labels of the series that match, sorted."""
    condition, parameters = series_condition(matchers, start_ms, end_ms)
    sql = f"SELECT any(labels) FROM series WHERE {condition} GROUP BY id LIMIT {{limit:UInt64}}"
    rows = store.read(scope, sql, **parameters, limit=limit).rows
    found = {tuple(sorted((key, value) for key, value in row[0].items() if value)) for row in rows}
    found |= {tuple(sorted(labels.items())) for labels in made_series(store, scope, matchers, start_ms, end_ms)}
    return [dict(labels) for labels in sorted(found)[:limit]]


def metadata(store: TelemetryStore, scope: Scope, name: str = "", limit: int = 10_000) -> list[Metadata]:
    """What is known of metrics, the newest word of each, by name."""
    sql = (
        "SELECT name, argMax(type, seen), argMax(unit, seen), argMax(help, seen) FROM metric_metadata "
        "WHERE {name:String} = '' OR name = {name:String} GROUP BY name ORDER BY name LIMIT {limit:UInt64}"
    )
    found = {row[0]: Metadata(*row) for row in store.read(scope, sql, name=name, limit=limit).rows}
    for family, metric in catalog.CATALOG.items():
        if name in ("", family):
            found.setdefault(family, Metadata(family, metric.type, "", metric.help))
    return [found[key] for key in sorted(found)][:limit]


def exemplars(
    store: TelemetryStore, scope: Scope, matchers: Sequence[Matcher], start_ms: int, end_ms: int, limit: int = 1000
) -> list[Exemplar]:
    """Exemplars of the series that match, newest first."""
    condition, parameters = series_condition(matchers, start_ms, end_ms)
    sql = (
        f"SELECT i.own, toUnixTimestamp64Milli(e.time), e.value, e.trace_id, e.span_id, e.labels "
        f"FROM exemplars AS e FINAL INNER JOIN (SELECT id, any(labels) AS own FROM series WHERE {condition} "
        f"GROUP BY id) AS i ON e.series = i.id WHERE e.series IN (SELECT id FROM series WHERE {condition}) "
        f"AND e.time >= fromUnixTimestamp64Milli({{start:Int64}}) "
        f"AND e.time <= fromUnixTimestamp64Milli({{end:Int64}}) "
        f"ORDER BY e.time DESC LIMIT {{limit:UInt64}}"
    )
    rows = store.read(scope, sql, **parameters, start=start_ms, end=end_ms, limit=limit).rows
    return [
        Exemplar({k: v for k, v in labels.items() if v}, int(time_ms), value, trace_id, span_id, own)
        for labels, time_ms, value, trace_id, span_id, own in rows
    ]


def cardinality(store: TelemetryStore, scope: Scope, start_ms: int, end_ms: int, limit: int = 10) -> Cardinality:
    """The series of the days of a range, counted by what they have in common."""
    source = "FROM series WHERE day BETWEEN toDate({first:Int32}) AND toDate({last:Int32})"
    asked: dict[str, Value] = {"first": start_ms // DAY_MS, "last": end_ms // DAY_MS, "limit": limit}
    top = "ORDER BY number DESC, item LIMIT {limit:UInt64}"

    def counted(item: str, number: str) -> list[tuple[str, int]]:
        sql = f"SELECT toString({item}) AS item, {number} AS number {source} GROUP BY item {top}"
        return [(name, int(number)) for name, number in store.read(scope, sql, **asked).rows]

    pairs = "arrayJoin(arrayMap((k, v) -> (k, v), mapKeys(labels), mapValues(labels))) AS pair"
    sql = f"SELECT pair.1 AS item, uniq(pair.2) AS number FROM (SELECT {pairs} {source}) GROUP BY item {top}"
    by_label = [(name, int(number)) for name, number in store.read(scope, sql, **asked).rows]
    sql = (
        f"SELECT concat(pair.1, '=', pair.2) AS item, uniq(id) AS number FROM (SELECT id, {pairs} {source}) "
        f"GROUP BY item {top}"
    )
    by_pair = [(name, int(number)) for name, number in store.read(scope, sql, **asked).rows]
    ((total,),) = store.read(scope, f"SELECT uniqExact(id) {source}", **asked).rows
    return Cardinality(int(total), counted("name", "uniq(id)"), by_label, by_pair, counted("tenant", "uniq(id)"))


def made_series(
    store: TelemetryStore, scope: Scope, matchers: Sequence[Matcher], start_ms: int, end_ms: int
) -> list[dict[str, str]]:
    """The catalogue's series in the range; of all its metrics when no matcher names one."""
    named = matchers if any(m.name == METRIC_NAME for m in matchers) else [*matchers, Matcher(METRIC_NAME, "!=", "")]
    return catalog.label_sets(store, scope, named, start_ms, end_ms)
