"""Tenants against the platform: who is served how well, who is hurt, and since when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query.filters import Filter
from tocsin.query.red import SUMS, Red, red_of, rollup, totals_rollup, watched_seconds
from tocsin.storage.telemetry.store import TelemetryStore

# A tenant is hurt when this part of its requests failed lately and it was at least this many. Two spells are looked
# at: the short one shows an outbreak within seconds, the long one a steady trickle.
HARM_RATIO = 0.05
HARM_ERRORS = 3
LATEST_SECONDS = 30
RECENT_SECONDS = 120
# A failure is "usual" as long as it stays below this multiple of the tenant's ratio before.
USUAL_FACTOR = 3.0
# A run of failures goes on over as many requests without one.
QUIET_REQUESTS = 20


@dataclass(frozen=True, slots=True)
class TenantRow:
    tenant: str
    red: Red
    percentile_rank: float  # of its p95 among all tenants: 0 is the fastest, 1 the slowest
    last_seen_ns: int
    cells: list[float | None]  # error ratio per equal part of the window, None without traffic


@dataclass(frozen=True, slots=True)
class FailingRun:
    """The failing steps of a tenant that reach the window's end, and its traffic in the window before them."""

    since_ns: int
    requests_before: int
    errors_before: int


@dataclass(frozen=True, slots=True)
class HarmedTenant:
    """A tenant whose requests fail now, clearly more than usual."""

    tenant: str
    errors: int  # in the last two minutes of the window
    requests: int
    since_ns: int  # start of the run of failing steps that lasts until now
    worst_endpoint: tuple[str, str, str] | None  # service, method, route


def tenants(store: TelemetryStore, scope: Scope, filter: Filter, limit: int = 200, cells: int = 30) -> list[TenantRow]:
    """Tenants with traffic, most failed requests first, then the busiest."""
    sql = (
        f"SELECT tenant, {SUMS}, toUnixTimestamp(max(r.time)) AS last_seen FROM {totals_rollup(filter)} "
        f"WHERE {filter.conditions()} AND tenant != '' GROUP BY tenant HAVING requests > 0 "
        f"ORDER BY errors DESC, requests DESC LIMIT {{limit:UInt32}}"
    )
    narrowed = filter.narrowed(scope)
    rows = store.read(narrowed, sql, **filter.parameters(), limit=limit).dicts()
    seconds = watched_seconds(store, filter)
    reds = {row["tenant"]: red_of(row, seconds) for row in rows}
    ranks = _ranks({tenant: red.p95_seconds or 0.0 for tenant, red in reds.items()})
    strips = _strips(store, narrowed, filter, list(reds), cells)
    return [
        TenantRow(
            tenant=row["tenant"],
            red=reds[row["tenant"]],
            percentile_rank=ranks[row["tenant"]],
            last_seen_ns=row["last_seen"] * 10**9,
            cells=strips[row["tenant"]],
        )
        for row in rows
    ]


def harmed(store: TelemetryStore, scope: Scope, filter: Filter, limit: int = 20) -> list[HarmedTenant]:
    """Tenants hurt at the end of the window, most failed requests first.

    Hurt means: of the requests of the last half minute, or of the last two minutes, at least 5 % and 3 failed, and
    that is three times more than before the failures began, or half of all.
    """
    recent = replace(filter, window=_tail(filter.window, RECENT_SECONDS))
    sql = (
        f"SELECT tenant, {_split('requests')}, {_split('errors')} FROM {rollup(filter, 10)} "
        f"WHERE {filter.conditions()} AND tenant != '' GROUP BY tenant "
        f"HAVING {_harms('latest')} OR {_harms('recent')} ORDER BY errors_recent DESC LIMIT {{limit:UInt32}}"
    )
    latest = replace(filter, window=_tail(filter.window, LATEST_SECONDS))
    moments = {"recent": recent.parameters()["start"], "latest": latest.parameters()["start"]}
    narrowed = filter.narrowed(scope)
    rows = store.read(narrowed, sql, **filter.parameters(), **moments, limit=limit).dicts()
    names = [row["tenant"] for row in rows]
    if not names:
        return []
    runs = _failing_runs(store, narrowed, filter, names)
    worst = _worst_endpoints(store, narrowed, recent, names)
    return [
        HarmedTenant(
            tenant=row["tenant"],
            errors=row["errors_recent"],
            requests=row["requests_recent"],
            since_ns=runs[row["tenant"]].since_ns,
            worst_endpoint=worst.get(row["tenant"]),
        )
        for row in rows
        if _is_unusual(row, runs[row["tenant"]])
    ]


def _split(figure: str) -> str:
    """A sum of the rollup over the latest half minute, the recent two minutes, and the time before these."""
    return ", ".join(
        (
            f"sumIf(r.{figure}, r.time >= {{latest:DateTime64(9)}}) AS {figure}_latest",
            f"sumIf(r.{figure}, r.time >= {{recent:DateTime64(9)}}) AS {figure}_recent",
            f"sumIf(r.{figure}, r.time < {{recent:DateTime64(9)}}) AS {figure}_before",
        )
    )


def _harms(part: str) -> str:
    return f"(errors_{part} >= {HARM_ERRORS} AND errors_{part} >= {HARM_RATIO} * requests_{part})"


def _is_unusual(row: dict[str, Any], run: FailingRun) -> bool:
    ratio: float = max(row[f"errors_{part}"] / max(1, row[f"requests_{part}"]) for part in ("latest", "recent"))
    return ratio >= 0.5 or ratio > USUAL_FACTOR * _usual_ratio(row, run)


def _usual_ratio(row: dict[str, Any], run: FailingRun) -> float:
    """The error ratio before the run; of all but its end for a run as long as the window; 0 if that says nothing."""
    for errors, requests in (
        (run.errors_before, run.requests_before),
        (row["errors_before"], row["requests_before"]),
    ):
        if requests > QUIET_REQUESTS:
            return float(errors / requests)
    return 0.0


def known_tenants(store: TelemetryStore, scope: Scope, limit: int = 1000) -> list[str]:
    """The tenants seen in the last thirty days, alphabetical; the busiest `limit` of them."""
    return _known(store, scope, "tenant", limit)


def known_environments(store: TelemetryStore, scope: Scope) -> list[str]:
    """The environments seen in the last thirty days, alphabetical."""
    return _known(store, scope, "environment", 100)


def _known(store: TelemetryStore, scope: Scope, column: str, limit: int) -> list[str]:
    sql = (
        f"SELECT {column} FROM red_1h WHERE time >= now() - INTERVAL 30 DAY AND {column} != '' "
        f"GROUP BY {column} ORDER BY sum(requests) DESC LIMIT {{limit:UInt32}}"
    )
    return sorted(row[0] for row in store.read(scope, sql, limit=limit).rows)


def _ranks(seconds: dict[str, float]) -> dict[str, float]:
    ordered = sorted(seconds, key=lambda tenant: seconds[tenant])
    last = max(1, len(ordered) - 1)
    return {tenant: index / last for index, tenant in enumerate(ordered)}


def _strips(
    store: TelemetryStore, scope: Scope, filter: Filter, names: list[str], cells: int
) -> dict[str, list[float | None]]:
    """Error ratio per cell; cell k covers the k-th of `cells` equal parts of the window."""
    width_ns = (filter.window.end_ns - filter.window.start_ns) // cells
    step = 10 if width_ns < 60 * 10**9 else 60
    sql = (
        f"SELECT tenant, intDiv(toUnixTimestamp(time) * 1000000000 - {{first:Int64}}, {{width:Int64}}) AS cell, "
        f"sum(r.requests) AS requests, sum(r.errors) AS errors FROM {rollup(filter, step)} "
        f"WHERE {filter.conditions()} AND tenant IN {{names:Array(String)}} GROUP BY tenant, cell"
    )
    parameters = filter.parameters() | {"names": names, "first": filter.window.start_ns, "width": width_ns}
    strips: dict[str, list[float | None]] = {name: [None] * cells for name in names}
    for tenant, cell, requests, errors in store.read(scope, sql, **parameters).rows:
        if requests and 0 <= cell < cells:
            strips[tenant][cell] = errors / requests
    return strips


def _failing_runs(store: TelemetryStore, scope: Scope, filter: Filter, names: list[str]) -> dict[str, FailingRun]:
    sql = (
        f"SELECT tenant, groupArray((at, errors, requests)) FROM (SELECT tenant, toUnixTimestamp(r.time) AS at, "
        f"sum(r.errors) AS errors, sum(r.requests) AS requests FROM {rollup(filter, 10)} WHERE {filter.conditions()} "
        f"AND tenant IN {{names:Array(String)}} GROUP BY tenant, at ORDER BY at DESC) GROUP BY tenant"
    )
    rows = store.read(scope, sql, **filter.parameters(), names=names).rows
    return {tenant: _run_of(sorted(steps, reverse=True)) for tenant, steps in rows}


def _run_of(steps: list[tuple[int, int, int]]) -> FailingRun:
    """From the oldest failing step (at, errors, requests) that only short quiet spells part from the newest."""
    since, quiet = steps[0][0], 0
    for at, errors, requests in steps:
        if errors and errors >= HARM_RATIO * requests:
            since, quiet = at, 0
        else:
            quiet += requests
            if quiet > QUIET_REQUESTS:
                break
    before = [(errors, requests) for at, errors, requests in steps if at < since]
    return FailingRun(
        since_ns=since * 10**9,
        requests_before=sum(requests for _, requests in before),
        errors_before=sum(errors for errors, _ in before),
    )


def _worst_endpoints(
    store: TelemetryStore, scope: Scope, filter: Filter, names: list[str]
) -> dict[str, tuple[str, str, str]]:
    sql = (
        f"SELECT tenant, argMax(endpoint, failed) FROM (SELECT tenant, (service, method, route) AS endpoint, "
        f"sum(r.errors) AS failed FROM {rollup(filter, 10)} WHERE {filter.conditions()} "
        f"AND tenant IN {{names:Array(String)}} GROUP BY tenant, endpoint HAVING failed > 0) GROUP BY tenant"
    )
    rows = store.read(scope, sql, **filter.parameters(), names=names).rows
    return {tenant: (endpoint[0], endpoint[1], endpoint[2]) for tenant, endpoint in rows}


def _tail(window: Window, seconds: int) -> Window:
    return Window(max(window.start_ns, window.end_ns - seconds * 10**9), window.end_ns)
