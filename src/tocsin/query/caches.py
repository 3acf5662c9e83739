"""Caches by kind of key: how much of what is looked up is found, for whom, and what the commands cost.

Commands and look-ups that our SDK watches come from the rollups of calls; caches of the app's own from the counters
`cache_hits_total` and `cache_misses_total`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.query.calls import SUMS, Asked, Calls, OperationRow, calls_of, operations, rollup, totals_step
from tocsin.query.filters import Filter, seconds_text
from tocsin.query.rollups import watched_seconds
from tocsin.query.series_samples import series_samples
from tocsin.storage.telemetry.store import TelemetryStore

MEANT = 20
"""So many look-ups say something about a cache."""


@dataclass(frozen=True, slots=True)
class CacheRow:
    """Look-ups of one kind of key; `before` is the hit ratio (0-1) in the time before. `calls` is None for caches
    that the app counts itself (`cache_hits_total`), without telling how long they take. `tenants`: (tenant, hit ratio,
    look-ups), those with the most misses first."""

    cache: str
    target: str
    lookups: int
    hits: int
    before: float | None
    calls: Calls | None
    tenants: list[tuple[str, float, int]]

    @property
    def hit_ratio(self) -> float | None:
        return self.hits / self.lookups if self.lookups else None

    @property
    def is_cold(self) -> bool:
        """Whether far less is found than before."""
        ratio = self.hit_ratio
        return ratio is not None and self.before is not None and self.lookups >= MEANT and ratio < self.before / 2


def caches(store: TelemetryStore, scope: Scope, filter: Filter, before: Filter) -> list[CacheRow]:
    """Caches by kind of key, those with the most misses first."""
    now = _cache_sums(store, scope, filter)
    earlier = {key: (row["amount"], row["asked"]) for key, row in _cache_sums(store, scope, before).items()}
    tenants = _cache_tenants(store, scope, filter)
    seconds = watched_seconds(store, filter)
    rows = [
        CacheRow(
            cache=cache,
            target=target,
            lookups=row["asked"],
            hits=row["amount"],
            before=_ratio(*earlier.get((cache, target), (0, 0))),
            calls=calls_of(row, seconds),
            tenants=tenants.get((cache, target), []),
        )
        for (cache, target), row in now.items()
        if row["asked"]
    ]
    known = {row.cache for row in rows}
    rows += [row for row in _counted_caches(store, scope, filter, before) if row.cache not in known]
    return sorted(rows, key=lambda row: (not row.is_cold, row.hits - row.lookups))


def slow_commands(store: TelemetryStore, scope: Scope, filter: Filter, limit: int = 8) -> list[OperationRow]:
    """The cache commands that take most time."""
    return operations(store, scope, filter, Asked(("cache",)), limit)


def _cache_sums(store: TelemetryStore, scope: Scope, filter: Filter) -> dict[tuple[str, str], dict[str, Any]]:
    asked, narrowed = Asked(("cache",)), filter.narrowed(scope)
    table = rollup(narrowed, filter, asked, totals_step(filter), operations=True, tenants=False)
    sql = f"SELECT collection, target, {SUMS} FROM {table} WHERE {asked.conditions(filter)} GROUP BY collection, target"
    rows = store.read(narrowed, sql, **asked.parameters(filter)).dicts()
    return {(row["collection"], row["target"]): row for row in rows}


def _cache_tenants(
    store: TelemetryStore, scope: Scope, filter: Filter
) -> dict[tuple[str, str], list[tuple[str, float, int]]]:
    asked, narrowed = Asked(("cache",)), filter.narrowed(scope)
    table = rollup(narrowed, filter, asked, totals_step(filter), operations=True, tenants=True)
    sql = (
        f"SELECT collection, target, tenant, sum(r.amount) AS hits, sum(r.asked) AS asked_for FROM {table} "
        f"WHERE {asked.conditions(filter)} GROUP BY collection, target, tenant HAVING asked_for > 0 "
        "ORDER BY asked_for - hits DESC LIMIT 2000"
    )
    found: dict[tuple[str, str], list[tuple[str, float, int]]] = defaultdict(list)
    for cache, target, tenant, hits, lookups in store.read(narrowed, sql, **asked.parameters(filter)).rows:
        found[cache, target].append((tenant, hits / lookups, lookups))
    return found


def _counted_caches(store: TelemetryStore, scope: Scope, filter: Filter, before: Filter) -> list[CacheRow]:
    """Caches of which the app tells hits and misses by counters of its own."""
    now, earlier = _counted(store, scope, filter), _counted(store, scope, before)
    rows = []
    for cache, by_tenant in now.items():
        hits, lookups = (sum(pair[place] for pair in by_tenant.values()) for place in (0, 1))
        was = earlier.get(cache, {}).values()
        ranked = sorted(by_tenant.items(), key=lambda item: item[1][0] - item[1][1])
        tenants = [(tenant, found / asked, asked) for tenant, (found, asked) in ranked if asked]
        before_ratio = _ratio(sum(pair[0] for pair in was), sum(pair[1] for pair in was))
        rows.append(CacheRow(cache, "", lookups, hits, before_ratio, None, tenants))
    return [row for row in rows if row.lookups]


def _counted(store: TelemetryStore, scope: Scope, filter: Filter) -> dict[str, dict[str, tuple[int, int]]]:
    """(hits, look-ups) by cache and tenant: what the counters gained in the window, a restart of theirs included."""
    plain = replace(filter, method=None, route=None)
    day_ns = 86_400 * 10**9
    reach = replace(plain, window=replace(plain.window, start_ns=max(0, plain.window.start_ns - day_ns)))
    gained = (
        "SELECT any(name) AS name, any(labels['cache']) AS cache, any(p.tenant) AS of_tenant, "
        "arraySort(x -> x.1, groupArray((p.time, p.value))) AS points, "
        "arrayLastIndex(x -> x.1 < {within:DateTime64(9)}, points) AS before, "
        "arraySlice(points.2, greatest(before, 1)) AS values, if(before = 0, values[1], 0) + "
        "arraySum(arrayMap((d, v) -> if(d < 0, v, d), arrayDifference(values), values)) AS increase "
        f"FROM ({series_samples('cache_hits_total', 'cache_misses_total')}) AS p "
        f"WHERE {reach.conditions('p.time')} GROUP BY series"
    )
    sql = f"SELECT name, cache, of_tenant, sum(increase) FROM ({gained}) GROUP BY name, cache, of_tenant"
    parameters = {**reach.parameters(), "within": seconds_text(plain.window.start_ns)}
    found: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for name, cache, tenant, increase in store.read(filter.narrowed(scope), sql, **parameters).rows:
        hits, lookups = found[cache].get(tenant, (0, 0))
        is_hit = name == "cache_hits_total"
        found[cache][tenant] = (hits + (round(increase) if is_hit else 0), lookups + round(increase))
    return found


def _ratio(hits: int, lookups: int) -> float | None:
    return hits / lookups if lookups else None
