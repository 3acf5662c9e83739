"""The metrics of requests that the rollups hold, as series: exact per tenant, however many tenants there are.

`http_requests_total`, `http_errors_total`, `http_request_duration_seconds` and `http_response_size_bytes`, with the
labels job (the service), environment, method, route, status and tenant. Whoever sees the whole platform gets the
busiest tenants by name and the others together as `other`, unless a matcher names a tenant. The counters start at
midnight (UTC) of the day on which the range begins.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log2
from typing import Any

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import ENVIRONMENT, METRIC_NAME
from tocsin.model.tenant import Scope
from tocsin.query.promql.source import Hints, Matcher, Series
from tocsin.query.rollups import FINEST_KEPT_SECONDS
from tocsin.query.sketch import SCALE
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

NAMED_TENANTS = 100
OTHER = "other"
MAX_POINTS = 11_000  # of one series
DAY_SECONDS = 86_400
MINUTES_KEPT_SECONDS = 31 * DAY_SECONDS - 3600
DEFAULT_LOOKBACK_MS = 300_000
POINTS_PER_RANGE = 5

# Prometheus' default bounds, in seconds.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
EMPTY = "''"
LABELS = {
    "job": "CAST(service, 'String')",
    "environment": "CAST(environment, 'String')",
    "method": "CAST(method, 'String')",
    "route": "CAST(route, 'String')",
    "status": "if(status_code = 0, '', toString(status_code))",
}


def _up_to(bound: float) -> str:
    """Requests no slower than a bound; of the bucket it falls into, the part below it."""
    parts = f"least(1, greatest(0, {SCALE * log2(bound):.6f} - k))"
    return f"round(arraySum((k, n) -> n * {parts}, mapKeys(total_buckets), mapValues(total_buckets)))"


@dataclass(frozen=True, slots=True)
class CatalogMetric:
    """A family's series: (suffix, le, SQL over the sums of a rollup)."""

    type: str
    help: str
    parts: tuple[tuple[str, str, str], ...]


CATALOG = {
    "http_requests_total": CatalogMetric("counter", "Requests served.", (("", "", "toFloat64(total_requests)"),)),
    "http_errors_total": CatalogMetric(
        "counter", "Requests that failed: 5xx and unhandled exceptions.", (("", "", "toFloat64(total_errors)"),)
    ),
    "http_request_duration_seconds": CatalogMetric(
        "histogram",
        "Time from the first byte of a request to the last byte of its answer.",
        (
            *(("_bucket", f"{bound:g}", _up_to(bound)) for bound in BOUNDS),
            ("_bucket", "+Inf", "toFloat64(total_requests)"),
            ("_sum", "", "total_seconds"),
            ("_count", "", "toFloat64(total_requests)"),
        ),
    ),
    "http_response_size_bytes": CatalogMetric(
        "histogram",
        "Bytes of the answers' bodies.",
        (("_sum", "", "toFloat64(total_response_bytes)"), ("_count", "", "toFloat64(total_requests)")),
    ),
}
NAMES = {f"{family}{suffix}": family for family, metric in CATALOG.items() for suffix, _, _ in metric.parts}


@dataclass(frozen=True, slots=True)
class Grain:
    """The rollup to read and the distance between samples."""

    table: str
    seconds: int


def label_sets(
    store: TelemetryStore, scope: Scope, matchers: Sequence[Matcher], start_ms: int, end_ms: int
) -> list[dict[str, str]]:
    """The labels of the catalogue's series that match and were there in the range, by whole hours; of ranges longer
    than a month their last month."""
    parts = [
        (f"{family}{suffix}", le)
        for family, metric in CATALOG.items()
        for suffix, le, _ in metric.parts
        if f"{family}{suffix}" in _names(matchers) and _may_have(le, matchers)
    ]
    end = min(end_ms // 1000, int(time.time())) // 3600 * 3600 + 3600
    start = max(start_ms // 1000 // 3600 * 3600, end - 31 * DAY_SECONDS)
    if not parts or start >= end:
        return []
    grain, parameters = Grain("red_1h", 3600), dict[str, Value]({"from": start, "to": end})
    tenant = _tenant_column(store, scope, matchers, grain, parameters)
    condition, more = conditions(matchers, tenant)
    columns = ", ".join(f"{sql} AS of_{name}" for name, sql in (*LABELS.items(), ("tenant", tenant)))
    sql = (
        f"SELECT DISTINCT {columns} FROM {grain.table} AS r "
        f"WHERE r.time >= toDateTime({{from:Int64}}) AND r.time < toDateTime({{to:Int64}}) AND {condition}"
    )
    rows = store.read(scope, sql, **parameters, **more).rows
    shared = [{name: value for name, value in zip((*LABELS, "tenant"), row, strict=True) if value} for row in rows]
    return [labels | {METRIC_NAME: name} | ({"le": le} if le else {}) for labels in shared for name, le in parts]


def _names(matchers: Sequence[Matcher]) -> list[str]:
    """The catalogue's names that match; none where no matcher is about the name."""
    about_name = [matcher for matcher in matchers if matcher.name == METRIC_NAME]
    return [name for name in NAMES if about_name and all(matcher.matches(name) for matcher in about_name)]


def select(
    store: TelemetryStore, scope: Scope, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: Hints
) -> list[Series]:
    """The catalogue's series that match, with samples after `start_ms` up to `end_ms`."""
    names = _names(matchers)
    found: list[Series] = []
    for family in dict.fromkeys(NAMES[name] for name in names):
        wanted = {name for name in names if NAMES[name] == family}
        found += _family(store, scope, family, wanted, matchers, start_ms, end_ms, hints)
    return found


def grain_of(start_ms: int, end_ms: int, hints: Hints, now: float | None = None) -> Grain:
    """As coarse as the question allows, as fine as what is kept."""
    reach_ms = hints.range_ms / POINTS_PER_RANGE if hints.range_ms else DEFAULT_LOOKBACK_MS / POINTS_PER_RANGE
    wanted = max(10.0, min(hints.step_ms or inf, reach_ms) / 1000)
    age = (now or time.time()) - start_ms / 1000
    seconds = (end_ms - start_ms) / 1000
    if wanted < 60 and age <= FINEST_KEPT_SECONDS and seconds / 10 <= MAX_POINTS:
        return Grain("red_10s", 10)
    if wanted < 3600 and age <= MINUTES_KEPT_SECONDS and seconds / 60 <= MAX_POINTS:
        return Grain("red_1m", 60)
    if hints.range_ms >= 2 * 3_600_000 or age > MINUTES_KEPT_SECONDS:
        return Grain("red_1h", 3600)
    return Grain("red_1m", 300)


def _family(
    store: TelemetryStore,
    scope: Scope,
    family: str,
    wanted: set[str],
    matchers: Sequence[Matcher],
    start_ms: int,
    end_ms: int,
    hints: Hints,
) -> list[Series]:
    parts = [part for part in CATALOG[family].parts if f"{family}{part[0]}" in wanted and _may_have(part[1], matchers)]
    if not parts:
        return []
    grain = grain_of(start_ms, end_ms, hints)
    grid = _grid(start_ms, end_ms, grain.seconds)
    if not len(grid):
        return []
    midnight = start_ms // 1000 // DAY_SECONDS * DAY_SECONDS
    if grain.seconds == 3600:
        midnight = midnight // 3600 * 3600
    parameters: dict[str, Value] = {"from": midnight, "to": int(grid[-1]) // 1000}
    wanted_labels = _wanted_labels(hints)
    table = _table(scope, grain, wanted_labels, matchers)
    tells_tenants = "tenant" in wanted_labels or any(matcher.name == "tenant" for matcher in matchers)
    tenant = _tenant_column(store, scope, matchers, grain, parameters) if tells_tenants else "tenant"
    condition, more = conditions(matchers, tenant)
    figures = ", ".join(sql for _, _, sql in parts)
    columns_of = LABELS | {"tenant": tenant}
    # A constant where a label does not matter: fewer groups, and less to read.
    labels = ", ".join(f"{columns_of[name] if name in wanted_labels else EMPTY} AS of_{name}" for name in columns_of)
    names = ", ".join(f"of_{name}" for name in columns_of)
    sql = (
        f"SELECT {names}, groupArray(at) AS times, arrayFlatten(groupArray([{figures}])) AS figures FROM ("
        f"SELECT {labels}, toInt64(intDiv(toUnixTimestamp(r.time), {grain.seconds})) AS at, "
        f"sum(r.requests) AS total_requests, sum(r.errors) AS total_errors, sum(r.seconds) AS total_seconds, "
        f"sumMap(r.buckets) AS total_buckets, sum(r.response_bytes) AS total_response_bytes "
        f"FROM {table} AS r WHERE r.time >= toDateTime({{from:Int64}}) AND r.time < toDateTime({{to:Int64}}) "
        f"AND {condition} GROUP BY {names}, at) GROUP BY {names}"
    )
    columns = store.read_arrays(scope, sql, **parameters, **more)
    return [
        series
        for index in range(len(columns["times"]) if columns else 0)
        for series in _series(family, parts, columns, index, grid, grain)
        if len(series.timestamps)
    ]


def _wanted_labels(hints: Hints) -> set[str]:
    """Those that somebody above tells apart."""
    every = {*LABELS, "tenant"}
    return every if hints.summed_by is None else every & set(hints.summed_by)


def _table(scope: Scope, grain: Grain, wanted: set[str], matchers: Sequence[Matcher]) -> str:
    """The rollup with the fewest rows that has what is told apart and what is matched."""
    asked = wanted | {matcher.name for matcher in matchers}
    if grain.seconds < 60:
        return grain.table
    if scope.is_platform and "tenant" not in asked:
        return f"{grain.table}_routes"
    return grain.table if asked & {"method", "route", "status"} else f"{grain.table}_tenants"


def _series(
    family: str,
    parts: Sequence[tuple[str, str, str]],
    columns: dict[str, Any],
    index: int,
    grid: npt.NDArray[np.int64],
    grain: Grain,
) -> list[Series]:
    """One row of the answer as a series a part: what arrived until each time of the grid."""
    labels = {name: columns[f"of_{name}"][index] for name in (*LABELS, "tenant")}
    steps = columns["times"][index]
    figures = columns["figures"][index].reshape(len(steps), len(parts))
    order = np.argsort(steps)
    ends = (steps[order] + 1) * grain.seconds * 1000
    totals = np.concatenate([np.zeros((1, len(parts))), np.cumsum(figures[order], axis=0)])
    # A counter is there, with 0, from the beginning of its first step.
    present = grid >= ends[0] - grain.seconds * 1000
    values = totals[np.searchsorted(ends, grid[present], side="right")]
    shared = {name: value for name, value in labels.items() if value}
    return [
        Series(
            shared | {METRIC_NAME: f"{family}{suffix}"} | ({"le": le} if le else {}),
            grid[present],
            np.ascontiguousarray(values[:, column]),
        )
        for column, (suffix, le, _) in enumerate(parts)
    ]


def _grid(start_ms: int, end_ms: int, seconds: int) -> npt.NDArray[np.int64]:
    step = seconds * 1000
    return np.arange((start_ms // step + 1) * step, end_ms + 1, step, dtype=np.int64)


def _may_have(le: str, matchers: Sequence[Matcher]) -> bool:
    return all(matcher.matches(le) for matcher in matchers if matcher.name == "le")


def _tenant_column(
    store: TelemetryStore, scope: Scope, matchers: Sequence[Matcher], grain: Grain, parameters: dict[str, Value]
) -> str:
    """The tenant by name, or `other` for all but the busiest where that could be anybody."""
    is_named = any(m.name == "tenant" and m.operator == "=" and m.value not in ("", OTHER) for m in matchers)
    if not scope.is_platform or is_named:
        return "tenant"
    table = "red_1h_tenants" if grain.seconds == 3600 else "red_1m_tenants"
    sql = (
        f"SELECT tenant FROM {table} WHERE time >= toDateTime({{from:Int64}}) AND time < toDateTime({{to:Int64}}) "
        f"AND tenant != '' GROUP BY tenant ORDER BY sum(requests) DESC, tenant LIMIT {NAMED_TENANTS}"
    )
    busiest = [row[0] for row in store.read(scope, sql, **parameters).rows]
    if len(busiest) < NAMED_TENANTS:
        return "tenant"
    parameters["busiest"] = busiest
    return f"if(tenant = '' OR tenant IN {{busiest:Array(String)}}, tenant, '{OTHER}')"


def conditions(matchers: Sequence[Matcher], tenant: str) -> tuple[str, dict[str, Value]]:
    """What the matchers say of the columns of LABELS and of `tenant`, which is SQL; name and le are left out."""
    columns = LABELS | {"tenant": tenant, ENVIRONMENT: LABELS["environment"]}
    parts, parameters = ["1"], {}
    for index, matcher in enumerate(matchers):
        if matcher.name in (METRIC_NAME, "le"):
            continue
        if matcher.name not in columns:
            parts.append("1" if matcher.matches("") else "0")
            continue
        column, wanted = columns[matcher.name], f"{{wanted{index}:String}}"
        if matcher.operator in ("=", "!="):
            parts.append(f"{column} {matcher.operator} {wanted}")
            parameters[f"wanted{index}"] = matcher.value
        else:
            negation = "NOT " if matcher.operator == "!~" else ""
            parts.append(f"{negation}match({column}, {wanted})")
            parameters[f"wanted{index}"] = f"^(?s:{matcher.value})$"
    return " AND ".join(parts), dict(parameters)
