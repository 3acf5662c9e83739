"""What is known of groups of errors for ever: first and last seen, releases, tenants, routes; and their course."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.query.filters import Filter
from tocsin.query.red import step_times
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

HOUR_SECONDS = 3600
# From here on the hourly rollup answers: exceptions are kept as long as traces, and there are many.
HOURLY_SECONDS = 3 * 86_400
_OCCURRENCES = "uniqCombinedMerge(14)(g.occurrences)"


@dataclass(frozen=True, slots=True)
class SeenIn:
    """One part of a group's occurrences: those of a release, tenant or endpoint."""

    name: str
    count: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class ErrorHistory:
    """A group since it was first seen. Releases come in the order in which they had it, the others by frequency."""

    fingerprint: str
    type: str
    message: str  # of the latest, as place and latest_trace_id
    place: str  # app/rates.py:41 in convert; '' when no stack was sent
    count: int
    first_ns: int
    last_ns: int
    releases: tuple[SeenIn, ...]
    tenants: tuple[SeenIn, ...]
    routes: tuple[SeenIn, ...]  # named "POST /orders"
    services: tuple[str, ...]
    latest_trace_id: str

    @property
    def first_release(self) -> str:
        """'' when senders name no release."""
        return self.releases[0].name if self.releases else ""


@dataclass(frozen=True, slots=True)
class ErrorCourse:
    """Occurrences per step and tenant; every list is as long as `times` (unix seconds, start of each step)."""

    step_seconds: int
    times: list[int]
    by_tenant: dict[str, list[int]]

    @property
    def total(self) -> list[int]:
        return [sum(column) for column in zip(*self.by_tenant.values(), strict=True)] or [0] * len(self.times)


def histories(
    store: TelemetryStore, scope: Scope, filter: Filter, fingerprints: Sequence[str]
) -> dict[str, ErrorHistory]:
    """The groups of these fingerprints by fingerprint, whenever they occurred: the filter's window is not looked at."""
    if not fingerprints:
        return {}
    narrowed = filter.narrowed(scope)
    where, parameters = _conditions(filter, fingerprints)
    sql = (
        f"SELECT g.fingerprint AS fingerprint, {_OCCURRENCES} AS count, argMaxMerge(g.latest) AS latest, "
        f"{_SPAN}, groupUniqArray(g.service) AS services "
        f"FROM error_groups AS g WHERE {where} GROUP BY fingerprint"
    )
    rows = store.read(narrowed, sql, **parameters).dicts()
    parts = {
        kind: _parts(store, narrowed, where, parameters, column, order)
        for kind, column, order in (
            ("releases", "g.release", "first_ns"),
            ("tenants", "g.tenant", "count DESC"),
            ("routes", _ENDPOINT, "count DESC"),
        )
    }
    # Spans within a request have seen the same exception: where there is an endpoint, they say nothing new.
    asked = f"{where} AND g.method != ''"
    parts["routes"] |= _parts(store, narrowed, asked, parameters, _ENDPOINT, "count DESC")
    return {row["fingerprint"]: _history(row, parts) for row in rows}


_ENDPOINT = "trimBoth(concat(g.method, ' ', g.route))"
_SPAN = "toUnixTimestamp64Nano(min(g.first)) AS first_ns, toUnixTimestamp64Nano(max(g.last)) AS last_ns"


def _conditions(filter: Filter, fingerprints: Sequence[str]) -> tuple[str, dict[str, Value]]:
    """Method and route are left out: what a group is does not depend on where one looks at it from."""
    parameters: dict[str, Value] = {"fingerprints": list(fingerprints)}
    where = "g.fingerprint IN ({fingerprints:Array(String)})"
    for name, value in (("environment", filter.environment), ("service", filter.service)):
        if value is not None:
            parameters[name] = value
            where += f" AND g.{name} = {{{name}:String}}"
    return where, parameters


def _parts(
    store: TelemetryStore, scope: Scope, where: str, parameters: dict[str, Value], column: str, order: str
) -> dict[str, list[SeenIn]]:
    sql = (
        f"SELECT g.fingerprint AS fingerprint, {column} AS part, {_OCCURRENCES} AS count, {_SPAN} "
        f"FROM error_groups AS g WHERE {where} GROUP BY fingerprint, part ORDER BY {order} LIMIT 100 BY fingerprint"
    )
    found: dict[str, list[SeenIn]] = {}
    for fingerprint, part, count, first_ns, last_ns in store.read(scope, sql, **parameters).rows:
        if part:
            found.setdefault(fingerprint, []).append(SeenIn(part, count, first_ns, last_ns))
    return found


def _history(row: dict[str, Any], parts: dict[str, dict[str, list[SeenIn]]]) -> ErrorHistory:
    kind, message, place, trace_id = row["latest"]
    mine = {name: tuple(found.get(row["fingerprint"], ())) for name, found in parts.items()}
    return ErrorHistory(
        fingerprint=row["fingerprint"],
        type=kind,
        message=message,
        place=place,
        count=row["count"],
        first_ns=row["first_ns"],
        last_ns=row["last_ns"],
        releases=mine["releases"],
        tenants=mine["tenants"],
        routes=mine["routes"],
        services=tuple(sorted(row["services"])),
        latest_trace_id=trace_id,
    )


def courses(
    store: TelemetryStore, scope: Scope, filter: Filter, fingerprints: Sequence[str], points: int = 60
) -> dict[str, ErrorCourse]:
    """How often each group occurred over the window, by tenant; groups that did not occur are left out."""
    if not fingerprints:
        return {}
    step = filter.step_seconds(points)
    is_hourly = filter.window.seconds > HOURLY_SECONDS
    step = max(step, HOUR_SECONDS) if is_hourly else step
    aligned, narrowed = replace(filter, method=None, route=None).aligned(step), filter.narrowed(scope)
    table, time, count = (
        ("error_hours", "hour", _OCCURRENCES) if is_hourly else ("exceptions", "time", "uniqCombined(14)(g.trace_id)")
    )
    sql = (
        f"SELECT g.fingerprint, g.tenant, toUnixTimestamp(toStartOfInterval(g.{time}, INTERVAL {step} SECOND)) AS at, "
        f"{count} FROM {table} AS g WHERE g.fingerprint IN ({{fingerprints:Array(String)}}) "
        f"AND {aligned.conditions(f'g.{time}')} GROUP BY ALL"
    )
    times = step_times(aligned, step)
    places = {at: place for place, at in enumerate(times)}
    found: dict[str, ErrorCourse] = {}
    rows = store.read(narrowed, sql, fingerprints=list(fingerprints), **aligned.parameters()).rows
    for fingerprint, tenant, at, number in rows:
        course = found.setdefault(fingerprint, ErrorCourse(step, times, {}))
        values = course.by_tenant.setdefault(tenant, [0] * len(times))
        if at in places:
            values[places[at]] = number
    return found


def stack_of(store: TelemetryStore, scope: Scope, fingerprint: str, trace_id: str) -> str:
    """The stack of a group's occurrence in a trace; '' when the trace is gone or no stack was sent."""
    sql = (
        "SELECT event['exception.stacktrace'] FROM spans ARRAY JOIN event_names AS event_name, "
        "event_attributes AS event WHERE trace_id = unhex({trace:String}) AND event_name = 'exception' "
        "AND (event['tocsin.error.fingerprint'] IN ({fingerprint:String}, '')) "
        "ORDER BY method != '' DESC, length(event['exception.stacktrace']) DESC LIMIT 1"
    )
    rows = store.read(scope, sql, trace=trace_id, fingerprint=fingerprint).rows
    return str(rows[0][0]) if rows else ""


def occurrences(
    store: TelemetryStore, scope: Scope, filter: Filter, fingerprint: str, limit: int = 10
) -> list[tuple[str, int, str, str, str]]:
    """(trace id, time, tenant, method and route, release) of a group's latest occurrences in the window."""
    wanted = replace(filter, method=None, route=None)
    sql = (
        f"SELECT lower(hex(e.trace_id)) AS trace, toUnixTimestamp64Nano(max(e.time)) AS at, any(e.tenant), "
        f"argMax(trimBoth(concat(e.method, ' ', e.route)), e.method != ''), any(e.release) FROM exceptions AS e "
        f"WHERE e.fingerprint = {{fingerprint:String}} AND {wanted.conditions('e.time', by_five_minutes=True)} "
        f"GROUP BY e.trace_id ORDER BY at DESC LIMIT {{limit:UInt32}}"
    )
    rows = store.read(filter.narrowed(scope), sql, fingerprint=fingerprint, limit=limit, **wanted.parameters()).rows
    return [(str(row[0]), int(row[1]), str(row[2]), str(row[3]), str(row[4])) for row in rows]
