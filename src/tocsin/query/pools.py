"""Connection pools as the SDKs see them: how full, how long one waits, and who keeps a connection too long."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from tocsin.model.tenant import Scope
from tocsin.query.calls import SUMS, Asked, Calls, calls_of, rollup, totals_step
from tocsin.query.filters import Filter
from tocsin.query.red import step_times
from tocsin.query.rollups import watched_seconds
from tocsin.query.series_samples import series_samples
from tocsin.storage.telemetry.store import TelemetryStore

SIZE, LIMIT = "database_connection_pool_size", "database_connection_pool_limit"
HELD = "database_connection_held_seconds"
SAMPLED_SECONDS = 5.0
"""Between two samples of these gauges, as the SDK sends them."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who kept a connection longest from one line, as a route and a line of code; either may be ''."""

    pool: str
    route: str
    line: str
    seconds: float
    last_seen_ns: int


@dataclass(frozen=True, slots=True)
class Pool:
    """`limit` and `most` are of the fullest process, 0 where the pool has no bound. `full_seconds`: how long every
    connection of a process was in use. `waits`: what was waited for a connection; its errors got none."""

    name: str
    service: str
    limit: int
    most: int
    now: int
    full_seconds: float
    waits: Calls
    holders: list[Holder]

    @property
    def use(self) -> float | None:
        """The part of the connections in use at most, 0-1."""
        return self.most / self.limit if self.limit else None


@dataclass(frozen=True, slots=True)
class PoolSeries:
    """Connections of all processes together by state; every list is as long as `times`."""

    name: str
    step_seconds: int
    times: list[int]
    states: dict[str, list[float | None]]


def pools(store: TelemetryStore, scope: Scope, filter: Filter) -> list[Pool]:
    """Every pool, the fullest first. Pools serve all tenants: a chosen tenant narrows the waits alone."""
    plain = replace(filter, tenant=None, method=None, route=None)
    active = "labels['state'] = 'active'"
    sql = (
        f"SELECT labels['pool'] AS pool, instance, any(service) AS of_service, maxIf(value, name = '{LIMIT}') AS most, "
        f"maxIf(value, {active}) AS used, argMaxIf(value, p.time, {active}) AS last, "
        f"groupArrayIf(value, {active}) AS uses "
        f"FROM ({series_samples(SIZE, LIMIT)}) AS p WHERE {plain.conditions('p.time')} GROUP BY pool, instance"
    )
    counted = (
        f"SELECT pool, any(of_service) AS service, max(most) AS limit, max(used) AS highest, sum(last) AS now, "
        f"max(if(most > 0, arrayCount(v -> v >= most, uses), 0)) AS full FROM ({sql}) GROUP BY pool"
    )
    rows = store.read(scope, counted, **plain.parameters()).dicts()
    if not rows:
        return []
    waits, kept = _waits(store, scope, filter), holders(store, scope, filter)
    found = [
        Pool(
            name=row["pool"],
            service=row["service"],
            limit=round(row["limit"]),
            most=round(row["highest"]),
            now=round(row["now"]),
            full_seconds=row["full"] * SAMPLED_SECONDS,
            waits=waits.get(row["pool"], calls_of({}, 1.0)),
            holders=[each for each in kept if each.pool == row["pool"]],
        )
        for row in rows
    ]
    return sorted(found, key=lambda pool: (-pool.waits.errors, -(pool.use or 0.0), pool.name))


def holders(store: TelemetryStore, scope: Scope, filter: Filter, limit: int = 10) -> list[Holder]:
    """Who kept connections too long, the longest first."""
    plain = replace(filter, tenant=None, method=None, route=None)
    sql = (
        f"SELECT labels['pool'] AS pool, labels['route'] AS route, labels['line'] AS line, max(value) AS seconds, "
        f"toUnixTimestamp64Nano(toDateTime64(max(p.time), 9)) AS last FROM ({series_samples(HELD)}) AS p "
        f"WHERE {plain.conditions('p.time')} GROUP BY pool, route, line ORDER BY seconds DESC LIMIT {{limit:UInt32}}"
    )
    return [Holder(*row) for row in store.read(scope, sql, **plain.parameters(), limit=limit).rows]


def pool_series(store: TelemetryStore, scope: Scope, filter: Filter, name: str, points: int = 90) -> PoolSeries:
    """The connections of one pool over time: active, idle and overflow."""
    step = max(10, filter.step_seconds(points))
    aligned = replace(filter.aligned(step), tenant=None, method=None, route=None)
    per_process = (
        f"SELECT series, any(labels['state']) AS state, "
        f"toUnixTimestamp(toStartOfInterval(p.time, INTERVAL {step} SECOND)) AS at, max(p.value) AS highest "
        f"FROM ({series_samples(SIZE)}) AS p WHERE {aligned.conditions('p.time')} AND labels['pool'] = {{pool:String}} "
        f"GROUP BY series, at"
    )
    sql = f"SELECT state, at, sum(highest) FROM ({per_process}) GROUP BY state, at"
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for state, at, value in store.read(scope, sql, **aligned.parameters(), pool=name).rows:
        found[state][at] = value
    times = step_times(aligned, step)
    states = {state: [found[state].get(at) for at in times] for state in ("active", "idle", "overflow")}
    return PoolSeries(name, step, times, states)


def _waits(store: TelemetryStore, scope: Scope, filter: Filter) -> dict[str, Calls]:
    asked, narrowed = Asked(("pool",)), filter.narrowed(scope)
    table = rollup(narrowed, filter, asked, totals_step(filter), operations=False, tenants=False)
    sql = f"SELECT target, {SUMS} FROM {table} WHERE {asked.conditions(filter)} GROUP BY target"
    seconds = watched_seconds(store, filter)
    rows = store.read(narrowed, sql, **asked.parameters(filter)).dicts()
    return {row["target"]: calls_of(row, seconds) for row in rows}
