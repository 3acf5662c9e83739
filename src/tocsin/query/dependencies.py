"""What apps depend on: other services by host, as their clients see them, and caches by kind of key."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from tocsin.model.tenant import Scope
from tocsin.query.calls import SUMS, Asked, Calls, calls_of, operations, rollup, totals_step
from tocsin.query.filters import Filter
from tocsin.query.rollups import watched_seconds
from tocsin.query.series_samples import series_samples
from tocsin.storage.telemetry.store import TelemetryStore

FAILING_RATIO, NOTICED_RATIO = 0.05, 0.01
SLOWER = 2.0
SLOW_CALLS = 20
"""So many calls, now and before, tell that a service has become slow."""
SLOW_FLOOR_SECONDS = 0.05
MEANT = 3
"""So many failed calls are more than an accident."""
TLS_SOON_DAYS = 14.0
TLS_EXPIRY = "http_client_tls_expiry_timestamp_seconds"
PHASES = ("dns", "connect", "tls", "first_byte")
PHASE_SAMPLE_SECONDS = 6 * 3600


@dataclass(frozen=True, slots=True)
class HostRoute:
    """One route of a host, such as `POST /render`."""

    text: str
    digest: str
    calls: Calls
    origin: str


@dataclass(frozen=True, slots=True)
class Dependency:
    """A host that services call. `callers` are (service, route) with the most failures, then the most time, first;
    `errors` the kinds of failure with their counts. `phases`: mean seconds of the parts of a call, as far as known."""

    host: str
    kind: str
    calls: Calls
    before: Calls
    routes: list[HostRoute]
    callers: list[tuple[str, str]]
    errors: list[tuple[str, int]]
    phases: dict[str, float]
    tls_days: float | None

    @property
    def health(self) -> str:
        """down, failing, slow, expiring or well."""
        if self.calls.errors >= MEANT and self.calls.error_ratio >= 0.9:
            return "down"
        if self.calls.errors >= MEANT and self.calls.error_ratio >= NOTICED_RATIO:
            return "failing"
        is_meant = min(self.calls.calls, self.before.calls) >= SLOW_CALLS
        now, before = self.calls.p95_seconds, self.before.p95_seconds
        if is_meant and now and before and now >= SLOW_FLOOR_SECONDS and now >= SLOWER * before:
            return "slow"
        if self.tls_days is not None and self.tls_days < TLS_SOON_DAYS:
            return "expiring"
        return "well"


def dependencies(store: TelemetryStore, scope: Scope, filter: Filter, before: Filter) -> list[Dependency]:
    """Hosts and queues, those that fail first, then the busiest."""
    asked = Asked(("http", "queue"))
    now, earlier = _by_target(store, scope, filter, asked), _by_target(store, scope, before, asked)
    routes: dict[str, list[HostRoute]] = defaultdict(list)
    for row in operations(store, scope, filter, asked, 200):
        routes[row.operation.target].append(
            HostRoute(row.operation.text, row.operation.digest, row.calls, row.operation.origin)
        )
    phases, expiry = _phases(store, scope, filter), _tls_days(store, scope, filter)
    errors, who = _errors(store, scope, filter, asked), _callers(store, scope, filter, asked)
    found = [
        Dependency(
            host=host,
            kind=kind,
            calls=calls,
            before=earlier.get((host, kind), calls_of({}, 1.0)),
            routes=routes[host],
            callers=who.get((host, kind), []),
            errors=errors[host],
            phases=phases.get(host, {}),
            tls_days=expiry.get(host.partition(":")[0]),
        )
        for (host, kind), calls in list(now.items())[:40]
    ]
    return sorted(found, key=lambda each: (-each.calls.error_ratio if each.health != "well" else 1, -each.calls.calls))


def _by_target(store: TelemetryStore, scope: Scope, filter: Filter, asked: Asked) -> dict[tuple[str, str], Calls]:
    narrowed = filter.narrowed(scope)
    table = rollup(narrowed, filter, asked, totals_step(filter), operations=False, tenants=False)
    sql = (
        f"SELECT target, kind, {SUMS} FROM {table} WHERE {asked.conditions(filter)} GROUP BY target, kind "
        "HAVING calls > 0 ORDER BY errors DESC, calls DESC LIMIT 200"
    )
    seconds = watched_seconds(store, filter)
    rows = store.read(narrowed, sql, **asked.parameters(filter)).dicts()
    return {(row["target"], row["kind"]): calls_of(row, seconds) for row in rows}


def _callers(
    store: TelemetryStore, scope: Scope, filter: Filter, asked: Asked
) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """(service, route) by host and kind, those with the most failures, then the most time, first."""
    narrowed = filter.narrowed(scope)
    table = rollup(narrowed, filter, asked, totals_step(filter), operations=True, tenants=False)
    sql = (
        f"SELECT target, kind, service, caller, sumIf(r.calls, r.error != '') AS failed, sum(r.seconds) AS spent "
        f"FROM {table} WHERE {asked.conditions(filter)} GROUP BY target, kind, service, caller "
        "ORDER BY failed DESC, spent DESC LIMIT 2000"
    )
    found: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for target, kind, service, caller, *_ in store.read(narrowed, sql, **asked.parameters(filter)).rows:
        found[target, kind].append((service, caller))
    return found


def _errors(store: TelemetryStore, scope: Scope, filter: Filter, asked: Asked) -> dict[str, list[tuple[str, int]]]:
    narrowed = filter.narrowed(scope)
    table = rollup(narrowed, filter, asked, totals_step(filter), operations=False, tenants=False)
    sql = (
        f"SELECT target, error, sum(r.calls) AS failed FROM {table} WHERE {asked.conditions(filter)} AND error != '' "
        "GROUP BY target, error ORDER BY failed DESC LIMIT 500"
    )
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for target, error, failed in store.read(narrowed, sql, **asked.parameters(filter)).rows:
        found[target].append((error, failed))
    return found


def _phases(store: TelemetryStore, scope: Scope, filter: Filter) -> dict[str, dict[str, float]]:
    """Mean seconds of each part of a call by host, from the newest kept spans that tell."""
    start_ns = max(filter.window.start_ns, filter.window.end_ns - PHASE_SAMPLE_SECONDS * 10**9)
    recent = replace(filter, window=replace(filter.window, start_ns=start_ns), method=None, route=None)
    told = {phase: f"attributes['tocsin.http.{phase}_ms']" for phase in PHASES[:-1]}
    parts = [f"avgIf(toFloat64OrZero({each}), {each} != '') / 1e3" for each in told.values()]
    # What is left of a call once its connection is there is the wait for the answer's head.
    opening = " - ".join(f"toFloat64OrZero({told[phase]}) / 1e3" for phase in ("connect", "tls"))
    parts.append(f"avg(greatest(duration_ns / 1e9 - {opening}, 0))")
    address = "concat(attributes['server.address'], if(port IN ('', '0', '80', '443'), '', concat(':', port)))"
    sql = (
        f"SELECT {address} AS host, {', '.join(parts)} FROM (SELECT attributes, duration_ns, "
        f"attributes['server.port'] AS port FROM spans "
        f"WHERE {recent.conditions('start')} AND kind = 3 AND mapContains(attributes, 'tocsin.http.connect_ms') "
        f"ORDER BY start DESC LIMIT 20000) GROUP BY host"
    )
    rows = store.read(filter.narrowed(scope), sql, **recent.parameters()).rows
    return {
        host: {phase: value for phase, value in zip(PHASES, values, strict=True) if value is not None}
        for host, *values in rows
    }


def _tls_days(store: TelemetryStore, scope: Scope, filter: Filter) -> dict[str, float]:
    """Days until the certificate of a host ends, as clients saw it at their last connection."""
    plain = replace(filter, tenant=None, method=None, route=None)
    sql = (
        f"SELECT labels['host'] AS host, argMax(value, p.time) FROM ({series_samples(TLS_EXPIRY)}) AS p "
        f"WHERE {plain.conditions('p.time')} GROUP BY host"
    )
    now = filter.window.end_ns / 1e9
    return {host: (value - now) / 86_400 for host, value in store.read(scope, sql, **plain.parameters()).rows}
