"""What apps call, from the rollups of calls: statements, cache commands and requests to others, by caller and tenant.

All of it is exact for what our SDK counts, and as good as the kept spans for other senders. A kind is db, cache, http,
queue, or pool for waits for a connection.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.query.filters import Filter
from tocsin.query.red import step_times
from tocsin.query.rollups import FINEST_KEPT_SECONDS, Split, totals_rollup, watched_seconds
from tocsin.query.sketch import parse_buckets, percentiles
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

QUANTILES = (0.5, 0.95, 0.99)
# Over a rollup read as r; the sums bear the names of the columns they add up.
SUMS = (
    "sum(r.calls) AS calls, sumIf(r.calls, r.error != '') AS errors, "
    "sumIf(r.calls, positionCaseInsensitive(r.error, 'timeout') > 0) AS timeouts, sum(r.seconds) AS seconds, "
    "sumMap(r.buckets) AS buckets, sum(r.amount) AS amount, sum(r.asked) AS asked"
)


GROWN = 2.0
"""From here on an operation is called more often, not just in another minute."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Some calls over a window. Ratios are 0-1; what nobody counted is None."""

    calls: int
    errors: int
    timeouts: int  # of the errors
    rate: float  # per second
    error_ratio: float
    total_seconds: float
    mean_seconds: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    amount: int  # rows read or written, or hits
    asked: int  # look-ups in a cache

    @property
    def rows_per_call(self) -> float | None:
        """None where the driver does not tell."""
        return self.amount / self.calls if self.calls and self.amount else None

    @property
    def hit_ratio(self) -> float | None:
        return self.amount / self.asked if self.asked else None


@dataclass(frozen=True, slots=True)
class Operation:
    """Equal calls: a statement without its values, a command on a kind of key, a route of a host."""

    digest: str
    text: str
    kind: str
    system: str
    target: str
    collection: str  # the table, or the kind of key
    origin: str  # the line of the app that called it first, '' when nobody told


@dataclass(frozen=True, slots=True)
class OperationRow:
    operation: Operation
    calls: Calls
    share: float  # of the time of all calls of its kind, 0-1
    callers: list[str]  # those that spend most in it, at most three


@dataclass(frozen=True, slots=True)
class CallerRow:
    """Who calls: a route such as `GET /projects` of a service. per_request is None when it is no route."""

    service: str
    caller: str
    calls: Calls
    per_request: float | None


@dataclass(frozen=True, slots=True)
class CallSeries:
    """Calls over time; every list is as long as `times` (unix seconds, start of each step)."""

    step_seconds: int
    times: list[int]
    rate: list[float]
    error_rate: list[float]
    busy: list[float]  # seconds of calls a second: how many run at once
    p50_seconds: list[float | None]
    p95_seconds: list[float | None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question about calls is narrowed to, beside the filter's window, environment, service and tenant."""

    kinds: tuple[str, ...] = ("db",)
    digest: str = ""
    target: str = ""
    caller: str = ""

    def conditions(self, filter: Filter) -> str:
        parts = [replace(filter, method=None, route=None).conditions(), "kind IN ({kinds:Array(String)})"]
        parts += [f"{name} = {{{name}:String}}" for name in self._named()]
        return " AND ".join(parts)

    def parameters(self, filter: Filter) -> dict[str, Value]:
        return {**replace(filter, method=None, route=None).parameters(), "kinds": list(self.kinds), **self._named()}

    @property
    def names_operation(self) -> bool:
        return bool(self.digest or self.caller)

    def _named(self) -> dict[str, Value]:
        named = {"digest": self.digest, "target": self.target, "caller": self.caller}
        return {name: value for name, value in named.items() if value}


def rollup(scope: Scope, filter: Filter, asked: Asked, step_seconds: int, *, operations: bool, tenants: bool) -> str:
    """The table, named r, that answers steps of this size with the fewest rows. `scope` is the narrowed one."""
    operations = operations or asked.names_operation
    tenants = tenants or not scope.is_platform
    if step_seconds % 60 and time.time() - filter.window.start_ns / 1e9 <= FINEST_KEPT_SECONDS:
        return "calls_10s AS r"
    size = "1m" if step_seconds % 3600 else "1h"
    return f"calls_{size}{'' if operations and tenants else '_tenants' if not operations else '_operations'} AS r"


def totals_step(filter: Filter) -> int:
    """As fine as the edges of the window need."""
    if filter.window.seconds <= 2 * 3600:
        return 10
    return 60 if filter.window.seconds <= 86_400 else 3600


def totals(store: TelemetryStore, scope: Scope, filter: Filter, asked: Asked) -> Calls:
    """All that was asked for as one figure."""
    rows = _read(store, scope, filter, asked, "", SUMS)
    return calls_of(rows[0] if rows else {}, watched_seconds(store, filter))


def series(store: TelemetryStore, scope: Scope, filter: Filter, asked: Asked, points: int = 90) -> CallSeries:
    """The same in about `points` steps, steps without calls included."""
    step = filter.step_seconds(points)
    aligned, narrowed = filter.aligned(step), filter.narrowed(scope)
    sql = (
        f"SELECT toUnixTimestamp(toStartOfInterval(r.time, INTERVAL {step} SECOND)) AS at, {SUMS} "
        f"FROM {rollup(narrowed, aligned, asked, step, operations=False, tenants=False)} "
        f"WHERE {asked.conditions(aligned)} GROUP BY at"
    )
    found = {row["at"]: row for row in store.read(narrowed, sql, **asked.parameters(aligned)).dicts()}
    times = step_times(aligned, step)
    figures = [calls_of(found.get(at, {}), step) for at in times]
    return CallSeries(
        step_seconds=step,
        times=times,
        rate=[figure.rate for figure in figures],
        error_rate=[figure.errors / step for figure in figures],
        busy=[figure.total_seconds / step for figure in figures],
        p50_seconds=[figure.p50_seconds for figure in figures],
        p95_seconds=[figure.p95_seconds for figure in figures],
    )


def operations(
    store: TelemetryStore, scope: Scope, filter: Filter, asked: Asked, limit: int = 50
) -> list[OperationRow]:
    """Operations, those first that took most time together."""
    columns = (
        "digest, any(operation) AS text, kind, system, target, any(collection) AS of_collection, "
        "any(origin) AS first_line, "
        f"topKWeighted(3)(caller, toUInt64(ceil(r.seconds * 1000))) AS callers, {SUMS}"
    )
    rows = _read(
        store, scope, filter, asked, "digest, kind, system, target", columns,
        "HAVING calls > 0 OR asked > 0 ORDER BY seconds DESC LIMIT {limit:UInt32}", operations=True, limit=limit,
    )  # fmt: skip
    # Without the buckets, which are most of the work.
    total = _read(store, scope, filter, asked, "", "sum(r.seconds) AS seconds")[0]["seconds"] or 1.0
    seconds = watched_seconds(store, filter)
    names = ("digest", "text", "kind", "system", "target", "of_collection", "first_line")
    return [
        OperationRow(
            Operation(*(row[name] for name in names)),
            calls_of(row, seconds),
            row["seconds"] / total,
            [caller for caller in row["callers"] if caller],
        )
        for row in rows
    ]


def grown(
    store: TelemetryStore, scope: Scope, filter: Filter, before: Filter, asked: Asked
) -> tuple[OperationRow, float] | None:
    """The operation that takes most more time because it is called more often than before, with how many times as
    often; None when none is called twice as often."""
    rates = {row.operation.digest: row.calls.rate for row in operations(store, scope, before, asked, 200)}
    found = [
        (row, row.calls.rate / rates[row.operation.digest])
        for row in operations(store, scope, filter, asked, 50)
        if rates.get(row.operation.digest)
    ]
    more = [each for each in found if each[1] >= GROWN]
    return max(more, key=lambda each: each[0].calls.total_seconds * (1 - 1 / each[1]), default=None)


def callers(store: TelemetryStore, scope: Scope, filter: Filter, asked: Asked, limit: int = 30) -> list[CallerRow]:
    """Who calls, by time spent."""
    rows = _read(
        store, scope, filter, asked, "service, caller", f"service, caller, {SUMS}",
        "HAVING calls > 0 ORDER BY seconds DESC LIMIT {limit:UInt32}", operations=True, limit=limit,
    )  # fmt: skip
    requests, seconds = requests_by_caller(store, scope, filter), watched_seconds(store, filter)
    return [
        CallerRow(
            row["service"],
            row["caller"],
            calls_of(row, seconds),
            row["calls"] / answered if (answered := requests.get((row["service"], row["caller"]))) else None,
        )
        for row in rows
    ]


def requests_by_caller(store: TelemetryStore, scope: Scope, filter: Filter) -> dict[tuple[str, str], int]:
    """How many requests each (service, `GET /route`) has answered."""
    narrowed, plain = filter.narrowed(scope), replace(filter, method=None, route=None)
    sql = (
        f"SELECT service, concat(method, ' ', route) AS caller, sum(r.requests) FROM "
        f"{totals_rollup(narrowed, plain, Split.ROUTE)} WHERE {plain.conditions()} GROUP BY service, caller"
    )
    return {(service, caller): count for service, caller, count in store.read(narrowed, sql, **plain.parameters()).rows}


def operation(store: TelemetryStore, scope: Scope, filter: Filter, asked: Asked) -> Operation | None:
    """What a digest stands for; None when it was not called in the window."""
    columns = (
        "any(operation) AS text, any(kind) AS k, any(system) AS s, any(target) AS t, any(collection) AS c, "
        "any(origin) AS o"
    )
    rows = _read(store, scope, filter, asked, "digest", f"digest, {columns}", operations=True)
    names = ("digest", "text", "k", "s", "t", "c", "o")
    return next((Operation(*(row[name] for name in names)) for row in rows), None)


def _read(
    store: TelemetryStore, scope: Scope, filter: Filter, asked: Asked, grouping: str, columns: str, tail: str = "",
    *, operations: bool = False, tenants: bool = False, **parameters: Value,
) -> Sequence[dict[str, Any]]:  # fmt: skip
    narrowed = filter.narrowed(scope)
    table = rollup(narrowed, filter, asked, totals_step(filter), operations=operations, tenants=tenants)
    sql = f"SELECT {columns} FROM {table} WHERE {asked.conditions(filter)}"
    sql += f" GROUP BY {grouping} {tail}" if grouping else ""
    return store.read(narrowed, sql, **asked.parameters(filter), **parameters).dicts()


def calls_of(row: dict[str, Any], seconds: float) -> Calls:
    """One row of SUMS as figures over `seconds`; an empty row is no calls."""
    calls, errors = int(row.get("calls") or 0), int(row.get("errors") or 0)
    total = float(row.get("seconds") or 0.0)
    p50, p95, p99 = percentiles(parse_buckets(row.get("buckets")), QUANTILES)
    return Calls(
        calls=calls,
        errors=errors,
        timeouts=int(row.get("timeouts") or 0),
        rate=calls / seconds,
        error_ratio=errors / calls if calls else 0.0,
        total_seconds=total,
        mean_seconds=total / calls if calls else None,
        p50_seconds=p50,
        p95_seconds=p95,
        p99_seconds=p99,
        amount=int(row.get("amount") or 0),
        asked=int(row.get("asked") or 0),
    )
