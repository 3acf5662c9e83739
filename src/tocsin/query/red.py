"""Rate, errors and duration of requests, from the rollups: totals, series, and tables by service, endpoint, tenant."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.query.filters import Filter
from tocsin.query.rollups import Split, rollup, totals_rollup, watched_seconds
from tocsin.query.sketch import bucket_bounds, parse_buckets, percentiles
from tocsin.storage.telemetry.store import TelemetryStore

QUANTILES = (0.5, 0.9, 0.95, 0.99)

# Over a rollup read as r; the sums bear the names of the columns they add up.
SUMS = (
    "sum(r.requests) AS requests, sum(r.errors) AS errors, "
    "sumIf(r.requests, r.status_code BETWEEN 400 AND 499) AS client_errors, sum(r.seconds) AS seconds, "
    "sumMap(r.buckets) AS buckets, sum(r.response_bytes) AS response_bytes, "
    "sum(r.background_seconds) AS background_seconds"
)


@dataclass(frozen=True, slots=True)
class Red:
    """Rate, errors and duration of some traffic over a window. Ratios are 0-1; a duration without traffic is None."""

    requests: int
    errors: int  # 5xx, unhandled exceptions, failed spans
    client_errors: int  # 4xx
    request_rate: float  # per second
    error_ratio: float
    client_error_ratio: float
    mean_seconds: float | None
    p50_seconds: float | None
    p90_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    total_seconds: float  # time spent by all requests together
    response_bytes: int
    background_seconds: float = 0.0  # work after the last byte of the answers, all requests together

    @property
    def mean_background_seconds(self) -> float | None:
        """Background time of a request; None without traffic."""
        return self.background_seconds / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class RedSeries:
    """The same over time; every list is as long as `times` (unix seconds, start of each step)."""

    step_seconds: int
    times: list[int]
    request_rate: list[float]
    error_rate: list[float]
    client_error_rate: list[float]
    p50_seconds: list[float | None]
    p95_seconds: list[float | None]
    p99_seconds: list[float | None]


@dataclass(frozen=True, slots=True)
class ServiceRow:
    service: str
    red: Red
    last_seen_ns: int
    releases: list[str]
    environments: list[str]
    sdk: str  # telemetry.sdk.name, such as "tocsin" or "opentelemetry"


@dataclass(frozen=True, slots=True)
class TenantsOf:
    """The tenants of an endpoint; `failed` are those with failed requests."""

    service: str
    method: str
    route: str
    tenants: list[str]
    failed: list[str]


@dataclass(frozen=True, slots=True)
class EndpointRow:
    service: str
    method: str
    route: str
    red: Red
    share_of_time: float  # of all time spent in the window, 0-1
    tenants_hurt: list[str]  # with failed requests, most first, at most five


@dataclass(frozen=True, slots=True)
class StatusRow:
    status_code: int
    requests: int


@dataclass(frozen=True, slots=True)
class Heatmap:
    """How many requests took how long when: counts[time][bucket]; bucket i spans bounds_seconds[i] to [i + 1]."""

    times: list[int]
    step_seconds: int
    bounds_seconds: list[float]
    counts: list[list[int]]


def totals(store: TelemetryStore, scope: Scope, filter: Filter) -> Red:
    """All traffic of the filter as one figure."""
    narrowed = filter.narrowed(scope)
    sql = f"SELECT {SUMS} FROM {totals_rollup(narrowed, filter, Split.NONE)} WHERE {filter.conditions()}"
    rows = store.read(narrowed, sql, **filter.parameters()).dicts()
    return red_of(rows[0] if rows else {}, watched_seconds(store, filter))


def series(store: TelemetryStore, scope: Scope, filter: Filter, points: int = 90) -> RedSeries:
    """The traffic of the filter in about `points` steps, steps without traffic included."""
    step = filter.step_seconds(points)
    aligned, narrowed = filter.aligned(step), filter.narrowed(scope)
    sql = (
        f"SELECT toUnixTimestamp(toStartOfInterval(r.time, INTERVAL {step} SECOND)) AS at, {SUMS} "
        f"FROM {rollup(narrowed, aligned, Split.NONE, step)} WHERE {aligned.conditions()} GROUP BY at"
    )
    found = {row["at"]: row for row in store.read(narrowed, sql, **aligned.parameters()).dicts()}
    times = step_times(aligned, step)
    figures = [red_of(found.get(at, {}), step) for at in times]
    return RedSeries(
        step_seconds=step,
        times=times,
        request_rate=[figure.request_rate for figure in figures],
        error_rate=[figure.errors / step for figure in figures],
        client_error_rate=[figure.client_errors / step for figure in figures],
        p50_seconds=[figure.p50_seconds for figure in figures],
        p95_seconds=[figure.p95_seconds for figure in figures],
        p99_seconds=[figure.p99_seconds for figure in figures],
    )


def services(store: TelemetryStore, scope: Scope, filter: Filter) -> list[ServiceRow]:
    """Every service with traffic in the window, busiest first."""
    narrowed = filter.narrowed(scope)
    source = f"FROM {totals_rollup(narrowed, filter, Split.NONE)} WHERE {filter.conditions()}"
    sql = (
        f"SELECT service, {SUMS}, toUnixTimestamp(max(r.time)) AS last_seen, "
        f"groupUniqArray(20)(r.release) AS releases, "
        f"groupUniqArray(20)(r.environment) AS environments, any(r.sdk) AS sdk "
        f"{source} GROUP BY service ORDER BY requests DESC LIMIT 500"
    )
    seconds = watched_seconds(store, filter)
    return [
        ServiceRow(
            service=row["service"],
            red=red_of(row, seconds),
            last_seen_ns=row["last_seen"] * 10**9,
            releases=sorted(filter_empty(row["releases"]), reverse=True),
            environments=sorted(filter_empty(row["environments"])),
            sdk=row["sdk"],
        )
        for row in store.read(narrowed, sql, **filter.parameters()).dicts()
    ]


class EndpointOrder(StrEnum):
    """What makes an endpoint come first."""

    HARM = "harm"  # waiting and failing together
    RATE = "rate"
    ERRORS = "errors"
    P95 = "p95"
    TIME = "time"  # spent by all its requests together


# Every failed request counts as much harm as ten seconds of waiting. For p95, the busiest endpoints are found first
# and then sorted by their percentile.
ORDER_BY = {
    EndpointOrder.HARM: "seconds + 10 * errors",
    EndpointOrder.RATE: "requests",
    EndpointOrder.ERRORS: "errors",
    EndpointOrder.P95: "requests",
    EndpointOrder.TIME: "seconds",
}


def endpoints(
    store: TelemetryStore, scope: Scope, filter: Filter, limit: int = 50, order: str = EndpointOrder.HARM
) -> list[EndpointRow]:
    """The endpoints of the filter, worst first by `order`. Raises ValueError unless it is an EndpointOrder."""
    narrowed = filter.narrowed(scope)
    source = f"FROM {totals_rollup(narrowed, filter, Split.ROUTE)} WHERE {filter.conditions()}"
    sql = (
        f"SELECT service, method, route, {SUMS}, "
        f"sum(r.seconds) / greatest((SELECT sum(r.seconds) {source}), 1e-9) AS share_of_time "
        f"{source} GROUP BY service, method, route HAVING requests > 0 ORDER BY {ORDER_BY[EndpointOrder(order)]} DESC "
        f"LIMIT {{limit:UInt32}}"
    )
    wanted = 1000 if order == EndpointOrder.P95 else limit
    answer = store.read(narrowed, sql, **filter.parameters(), limit=wanted).dicts()
    seconds = watched_seconds(store, filter)
    hurt = _tenants_hurt(store, narrowed, filter)
    rows = [
        EndpointRow(
            service=row["service"],
            method=row["method"],
            route=row["route"],
            red=red_of(row, seconds),
            share_of_time=row["share_of_time"],
            tenants_hurt=hurt.get((row["service"], row["method"], row["route"]), []),
        )
        for row in answer
    ]
    if order == EndpointOrder.P95:
        rows.sort(key=lambda row: row.red.p95_seconds or 0, reverse=True)
    return rows[:limit]


def _tenants_hurt(store: TelemetryStore, scope: Scope, filter: Filter) -> dict[tuple[str, str, str], list[str]]:
    """By endpoint, the five tenants with the most failed requests."""
    sql = (
        f"SELECT service, method, route, groupArray(5)(tenant) FROM ("
        f"SELECT service, method, route, tenant, sum(r.errors) AS failed "
        f"FROM {totals_rollup(scope, filter, Split.BOTH)} WHERE {filter.conditions()} "
        f"AND r.errors > 0 AND tenant != '' GROUP BY service, method, route, tenant ORDER BY failed DESC) "
        f"GROUP BY service, method, route"
    )
    rows = store.read(scope, sql, **filter.parameters()).rows
    return {(service, method, route): tenants for service, method, route, tenants in rows}


def tenants_of(store: TelemetryStore, scope: Scope, filter: Filter) -> list[TenantsOf]:
    """Who uses each endpoint, and for whom it failed, by name."""
    narrowed = filter.narrowed(scope)
    sql = (
        f"SELECT service, method, route, groupUniqArray(tenant), groupUniqArrayIf(tenant, r.errors > 0) "
        f"FROM {totals_rollup(narrowed, filter, Split.BOTH)} WHERE {filter.conditions()} AND tenant != '' "
        f"GROUP BY service, method, route"
    )
    return [TenantsOf(*row) for row in store.read(narrowed, sql, **filter.parameters()).rows]


def statuses(store: TelemetryStore, scope: Scope, filter: Filter) -> list[StatusRow]:
    """Requests per status code, rising; 0 stands for requests that ended without one."""
    narrowed = filter.narrowed(scope)
    sql = (
        f"SELECT status_code, sum(r.requests) AS requests FROM {totals_rollup(narrowed, filter, Split.ROUTE)} "
        f"WHERE {filter.conditions()} GROUP BY status_code HAVING requests > 0 ORDER BY status_code"
    )
    return [StatusRow(*row) for row in store.read(narrowed, sql, **filter.parameters()).rows]


def heatmap(store: TelemetryStore, scope: Scope, filter: Filter, points: int = 60) -> Heatmap:
    """The distribution of durations over time, four buckets to a doubling."""
    step = filter.step_seconds(points)
    aligned, narrowed = filter.aligned(step), filter.narrowed(scope)
    sql = (
        f"SELECT toUnixTimestamp(toStartOfInterval(r.time, INTERVAL {step} SECOND)) AS at, sumMap(r.buckets) "
        f"FROM {rollup(narrowed, aligned, Split.NONE, step)} WHERE {aligned.conditions()} GROUP BY at"
    )
    rows = store.read(narrowed, sql, **aligned.parameters()).rows
    found = {at: _coarse(parse_buckets(buckets)) for at, buckets in rows}
    times = step_times(aligned, step)
    cells = [cell for column in found.values() for cell in column]
    if not cells:
        return Heatmap(times, step, [], [[] for _ in times])
    low, high = min(cells), max(cells)
    bounds = [bucket_bounds(cell * HEATMAP_MERGE)[0] for cell in range(low, high + 2)]
    counts = [[found.get(at, {}).get(cell, 0) for cell in range(low, high + 1)] for at in times]
    return Heatmap(times, step, bounds, counts)


HEATMAP_MERGE = 16


def _coarse(buckets: dict[int, int]) -> dict[int, int]:
    merged: dict[int, int] = {}
    for bucket, count in buckets.items():
        cell = math.floor(bucket / HEATMAP_MERGE)
        merged[cell] = merged.get(cell, 0) + count
    return merged


def red_of(row: dict[str, Any], seconds: float) -> Red:
    """One row of SUMS as figures over `seconds`; an empty row is no traffic."""
    requests = int(row.get("requests") or 0)
    errors, client_errors = int(row.get("errors") or 0), int(row.get("client_errors") or 0)
    total_seconds = float(row.get("seconds") or 0.0)
    p50, p90, p95, p99 = percentiles(parse_buckets(row.get("buckets")), QUANTILES)
    return Red(
        requests=requests,
        errors=errors,
        client_errors=client_errors,
        request_rate=requests / seconds,
        error_ratio=errors / requests if requests else 0.0,
        client_error_ratio=client_errors / requests if requests else 0.0,
        mean_seconds=total_seconds / requests if requests else None,
        p50_seconds=p50,
        p90_seconds=p90,
        p95_seconds=p95,
        p99_seconds=p99,
        total_seconds=total_seconds,
        response_bytes=int(row.get("response_bytes") or 0),
        background_seconds=float(row.get("background_seconds") or 0.0),
    )


def step_times(aligned: Filter, step_seconds: int) -> list[int]:
    """The start of every step of an aligned window, in unix seconds."""
    return list(range(aligned.window.start_ns // 10**9, aligned.window.end_ns // 10**9, step_seconds))


def filter_empty(values: Iterable[str]) -> list[str]:
    return [value for value in values if value]
