"""Tenants against the platform: who is served how well, who is hurt, and since when."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query.filters import Filter, seconds_text
from tocsin.query.red import SUMS, Red, red_of
from tocsin.query.rollups import Split, rollup, totals_rollup, watched_seconds
from tocsin.storage.telemetry.store import TelemetryStore

# A tenant is hurt when this part of its requests failed lately and it was at least this many. Several spells are looked
# at: the short ones show an outbreak within seconds, the longest a steady trickle.
HARM_RATIO = 0.05
HARM_ERRORS = 3
# Within a step or two a tenant's requests from before an outbreak hide it least, but chance plays with few requests: so
# many failures must there be this unlikely by what is usual, for all tenants together: one of a thousand always has
# bad luck.
SUDDEN_STEPS = (1, 2)
SUDDEN_ERRORS = 2
SUDDEN_CHANCE = 0.02
STEP_SECONDS = 10
LATEST_SECONDS = 30
RECENT_SECONDS = 120
USUAL_SECONDS = 6 * 3600
# A failure is "usual" as long as it stays below this multiple of the tenant's ratio before.
USUAL_FACTOR = 3.0
# Minutes with outages hold no more of the requests than this, or they are what is usual.
OUTAGES_SHARE = 0.2
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
    """The failing steps of a tenant that reach the window's end, and its error ratio before them."""

    since_ns: int
    usual_errors: int
    usual_requests: int  # 0 when what was before says nothing

    @property
    def usual_ratio(self) -> float:
        return self.usual_errors / self.usual_requests if self.usual_requests else 0.0


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
    narrowed = filter.narrowed(scope)
    sql = (
        f"SELECT tenant, {SUMS}, toUnixTimestamp(max(r.time)) AS last_seen "
        f"FROM {totals_rollup(narrowed, filter, Split.TENANT)} WHERE {filter.conditions()} AND tenant != '' "
        f"GROUP BY tenant HAVING requests > 0 ORDER BY errors DESC, requests DESC LIMIT {{limit:UInt32}}"
    )
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
    that is three times more than before the failures began, or half of all. "Before" reaches six hours back at most.
    Hurt is also whose requests of this step of ten seconds, or of this and the last, fail as they would not by chance.
    """
    recent = replace(filter, window=_tail(filter.window, RECENT_SECONDS))
    spells = _spells(filter.window)
    sums = ", ".join(
        f"sumIf(r.{count}, r.time >= {{{name}:DateTime64(9)}}) AS {count}_{name}"
        for name in spells
        for count in ("requests", "errors")
    )
    harms = [_harms("recent"), *(_harms(name, HARM_ERRORS if name == "latest" else SUDDEN_ERRORS) for name in spells)]
    narrowed = filter.narrowed(scope)
    rows_of_all = (
        f"FROM {rollup(narrowed, recent, Split.TENANT, STEP_SECONDS)} WHERE {recent.conditions()} AND tenant != ''"
    )
    sql = (
        f"SELECT tenant, sum(r.requests) AS requests_recent, sum(r.errors) AS errors_recent, {sums}, "
        f"(SELECT uniq(tenant) {rows_of_all}) AS tenants {rows_of_all} GROUP BY tenant HAVING {' OR '.join(harms)} "
        f"ORDER BY errors_recent DESC LIMIT {{limit:UInt32}}"
    )
    rows = store.read(narrowed, sql, **recent.parameters(), **spells, limit=limit).dicts()
    if not rows:
        return []
    names = [row["tenant"] for row in rows]
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
        if _is_unusual(row, runs[row["tenant"]]) or _is_sudden(row, runs[row["tenant"]])
    ]


def _spells(window: Window) -> dict[str, str]:
    """When the shorter spells begin, by name: the half minute, and whole steps up to the one that is going on."""
    step = window.end_ns // 10**9 // STEP_SECONDS * STEP_SECONDS
    starts = {f"sudden{count}": seconds_text((step - (count - 1) * STEP_SECONDS) * 10**9) for count in SUDDEN_STEPS}
    return {"latest": seconds_text(_tail(window, LATEST_SECONDS).start_ns), **starts}


def _harms(part: str, least: int = HARM_ERRORS) -> str:
    return f"(errors_{part} >= {least} AND errors_{part} >= {HARM_RATIO} * requests_{part})"


def _is_unusual(row: dict[str, Any], run: FailingRun) -> bool:
    spells = [(row[f"errors_{part}"], max(1, row[f"requests_{part}"])) for part in ("latest", "recent")]
    ratios = [errors / requests for errors, requests in spells if errors >= max(HARM_ERRORS, HARM_RATIO * requests)]
    return any(ratio >= 0.5 or ratio > USUAL_FACTOR * run.usual_ratio for ratio in ratios)


def _is_sudden(row: dict[str, Any], run: FailingRun) -> bool:
    """Whether so many failures of a step or two would not come by chance. One failure more than there was is taken for
    usual: a short time without any says little."""
    if not run.usual_requests:
        return False
    usual = (run.usual_errors + 1) / (run.usual_requests + 1)
    for count in SUDDEN_STEPS:
        errors, requests = row[f"errors_sudden{count}"], row[f"requests_sudden{count}"]
        is_harm = errors >= max(SUDDEN_ERRORS, HARM_RATIO * requests)
        if is_harm and _chance(errors, usual * requests) < SUDDEN_CHANCE / row["tenants"]:
            return True
    return False


def _chance(count: int, mean: float) -> float:
    """At most the probability of so many or more where `mean` are usual: Chernoff's bound of Poisson's tail."""
    return math.exp(count - mean + count * math.log(mean / count)) if count > mean else 1.0


def known_tenants(store: TelemetryStore, scope: Scope, limit: int = 1000) -> list[str]:
    """The tenants seen in the last thirty days, alphabetical; the busiest `limit` of them."""
    return _known(store, scope, "tenant", limit)


def known_environments(store: TelemetryStore, scope: Scope) -> list[str]:
    """The environments seen in the last thirty days, alphabetical."""
    return _known(store, scope, "environment", 100)


def _known(store: TelemetryStore, scope: Scope, column: str, limit: int) -> list[str]:
    table = "red_1h_tenants" if column == "tenant" or not scope.is_platform else "red_1h_routes"
    sql = (
        f"SELECT {column} FROM {table} WHERE time >= now() - INTERVAL 30 DAY AND {column} != '' "
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
    step = next((step for step in (3600, 60) if width_ns >= step * 10**9), 10)
    sql = (
        f"SELECT tenant, intDiv(toUnixTimestamp(time) * 1000000000 - {{first:Int64}}, {{width:Int64}}) AS cell, "
        f"sum(r.requests) AS requests, sum(r.errors) AS errors "
        f"FROM {rollup(scope, filter, Split.TENANT, step)} WHERE {filter.conditions()} "
        f"AND tenant IN {{names:Array(String)}} GROUP BY tenant, cell"
    )
    parameters = filter.parameters() | {"names": names, "first": filter.window.start_ns, "width": width_ns}
    strips: dict[str, list[float | None]] = {name: [None] * cells for name in names}
    for tenant, cell, requests, errors in store.read(scope, sql, **parameters).rows:
        if requests and 0 <= cell < cells:
            strips[tenant][cell] = errors / requests
    return strips


def _failing_runs(store: TelemetryStore, scope: Scope, filter: Filter, names: list[str]) -> dict[str, FailingRun]:
    filter = replace(filter, window=_tail(filter.window, USUAL_SECONDS))
    step = 10 if filter.window.seconds <= 3600 else 60
    filter = filter.aligned(step)
    sql = (
        f"SELECT tenant, groupArray((at, errors, requests)) FROM (SELECT tenant, toUnixTimestamp(r.time) AS at, "
        f"sum(r.errors) AS errors, sum(r.requests) AS requests FROM {rollup(scope, filter, Split.TENANT, step)} "
        f"WHERE {filter.conditions()} AND tenant IN {{names:Array(String)}} GROUP BY tenant, at) GROUP BY tenant"
    )
    recent_start = filter.window.end_ns // 10**9 - RECENT_SECONDS
    rows = store.read(scope, sql, **filter.parameters(), names=names).rows
    return {tenant: _run_of(sorted(steps, reverse=True), recent_start) for tenant, steps in rows}


def _run_of(steps: list[tuple[int, int, int]], recent_start: int) -> FailingRun:
    """From the oldest failing step (at, errors, requests) that only short quiet spells part from the newest."""
    since, quiet = steps[0][0], 0
    for at, errors, requests in steps:
        if errors and errors >= HARM_RATIO * requests:
            since, quiet = at, 0
        else:
            quiet += requests
            if quiet > QUIET_REQUESTS:
                break
    return FailingRun(since * 10**9, *_usual(steps, since, recent_start))


def _usual(steps: list[tuple[int, int, int]], since: int, recent_start: int) -> tuple[int, int]:
    """Errors and requests before the run; of all but its end for a run as long as the window; none if that says
    nothing."""
    for end in (since, recent_start):
        errors, requests = _without_outages([step for step in steps if step[0] < end])
        if requests > QUIET_REQUESTS:
            return errors, requests
    return 0, 0


def _without_outages(steps: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
    """Errors and requests of all steps but the minutes of outages that are over: these must not make the next one look
    usual. Where many minutes are such, that is what is usual."""
    minutes: dict[int, tuple[int, int]] = {}
    for at, errors, requests in steps:
        before = minutes.get(at // 60, (0, 0))
        minutes[at // 60] = (before[0] + errors, before[1] + requests)
    whole = _summed(minutes.values())
    outages = _summed(one for one in minutes.values() if one[0] >= max(HARM_ERRORS, HARM_RATIO * one[1]))
    if outages[1] > OUTAGES_SHARE * whole[1]:
        return whole
    return whole[0] - outages[0], whole[1] - outages[1]


def _summed(minutes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    errors, requests = 0, 0
    for one in minutes:
        errors, requests = errors + one[0], requests + one[1]
    return errors, requests


def _worst_endpoints(
    store: TelemetryStore, scope: Scope, filter: Filter, names: list[str]
) -> dict[str, tuple[str, str, str]]:
    sql = (
        f"SELECT tenant, argMax(endpoint, failed) FROM (SELECT tenant, (service, method, route) AS endpoint, "
        f"sum(r.errors) AS failed FROM {rollup(scope, filter, Split.BOTH, 10)} WHERE {filter.conditions()} "
        f"AND tenant IN {{names:Array(String)}} GROUP BY tenant, endpoint HAVING failed > 0) GROUP BY tenant"
    )
    rows = store.read(scope, sql, **filter.parameters(), names=names).rows
    return {tenant: (endpoint[0], endpoint[1], endpoint[2]) for tenant, endpoint in rows}


def _tail(window: Window, seconds: int) -> Window:
    return Window(max(window.start_ns, window.end_ns - seconds * 10**9), window.end_ns)
