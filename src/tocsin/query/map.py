"""Which service calls which, how often, how well: the map of services, drawn from the spans of kept traces.

A call's two ends arrive in different segments, so no rollup at insert can join them: the newest part of the window is
joined when it is asked for, and the answer says how far back that part reaches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query import red
from tocsin.query.filters import Filter
from tocsin.query.red import ServiceRow
from tocsin.query.rollups import watched_seconds
from tocsin.query.sketch import parse_buckets, percentiles
from tocsin.storage.telemetry.store import TelemetryStore

MOST_SPANS = 300_000
"""Spans that one map is drawn from: the join of so many takes well below a second."""

HOST_KEYS = ("peer.service", "server.address", "net.peer.name", "network.peer.address")
SYSTEM_KEYS = ("db.system.name", "db.system", "messaging.system")
MEASURES = (
    "count() AS calls, countIf(failed) AS failures, "
    "sumMap(map(toInt16(floor(log2(greatest(duration_ns, 1) / 1e9) * 64)), toUInt64(1))) AS buckets"
)
FAILED = "(status = 2 OR status_code >= 500) AS failed"


@dataclass(frozen=True, slots=True)
class Call:
    """All calls of one service to another. `is_outside`: the callee sends no telemetry, it is known by a host or a
    system alone, and `attribute` (key, value) finds the calls in a search for traces."""

    caller: str
    callee: str
    is_outside: bool
    system: str  # of a database, cache or queue, such as "postgresql"; '' for a service
    calls: int
    failures: int
    rate: float  # per second
    error_ratio: float
    p95_seconds: float | None  # of the kept calls
    attribute: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ServiceMap:
    """`looked_at` is the part of the window the calls were counted in; `kept_ratio` (0-1) is how much of its requests
    have a trace. Calls are scaled up to all requests, failed and others apart, because failed ones are kept more."""

    services: list[ServiceRow]
    calls: list[Call]
    looked_at: Window
    kept_ratio: float


@dataclass(slots=True)
class _Found:
    """Calls between two ends as they are counted in spans."""

    system: str = ""
    attribute: tuple[str, str] | None = None
    calls: int = 0
    failures: int = 0
    buckets: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, row: dict[str, Any]) -> None:
        self.calls += row["calls"]
        self.failures += row["failures"]
        for bucket, count in parse_buckets(row["buckets"]).items():
            self.buckets[bucket] += count


def service_map(store: TelemetryStore, scope: Scope, filter: Filter, most_spans: int = MOST_SPANS) -> ServiceMap:
    """The services of the filter and their calls; its service, method and route are not looked at."""
    asked = replace(filter, service=None, method=None, route=None)
    looked = _affordable(store, scope, asked, most_spans)
    arrived = store.read(asked.narrowed(scope), _arrivals(looked), **looked.parameters()).dicts()
    departed = store.read(asked.narrowed(scope), _departures(looked), **looked.parameters()).dicts()
    found = _merged(arrived, departed)
    scales, kept_ratio = _scales(store, scope, looked)
    seconds = watched_seconds(store, looked)
    calls = [_call(caller, callee, each, scales, seconds) for (caller, callee), each in found.items()]
    return ServiceMap(
        services=red.services(store, scope, asked),
        calls=sorted(calls, key=lambda call: (-call.failures, -call.calls)),
        looked_at=looked.window,
        kept_ratio=kept_ratio,
    )


def _affordable(store: TelemetryStore, scope: Scope, asked: Filter, most_spans: int) -> Filter:
    """The newest part of the window, in whole minutes, with at most so many spans; never less than its last minute."""
    sql = (
        f"SELECT toUnixTimestamp(toStartOfMinute(start)) AS minute, count() FROM spans "
        f"WHERE {asked.conditions('start')} GROUP BY minute ORDER BY minute DESC"
    )
    seen = 0
    for minute, count in store.read(asked.narrowed(scope), sql, **asked.parameters()).rows:
        seen += count
        start_ns = (minute + 1) * 60 * 10**9
        if seen > most_spans and asked.window.start_ns < start_ns < asked.window.end_ns - 60 * 10**9:
            return replace(asked, window=Window(start_ns, asked.window.end_ns))
    return asked


def _arrivals(looked: Filter) -> str:
    """Requests that another service sent: a server's or consumer's span below one of another service."""
    where = looked.conditions("start")
    return (
        f"SELECT caller, callee, host, {MEASURES} FROM "
        f"(SELECT trace_id, parent_span_id, service AS callee, duration_ns, {FAILED} FROM spans "
        f"WHERE {where} AND kind IN (2, 5) AND parent_span_id != toFixedString('', 8)) AS below "
        f"INNER JOIN (SELECT trace_id, span_id AS parent_span_id, service AS caller, if(kind IN (3, 4), {_host()}, '') "
        f"AS host FROM spans WHERE {where}) AS above USING (trace_id, parent_span_id) "
        f"WHERE caller != callee GROUP BY caller, callee, host"
    )


def _departures(looked: Filter) -> str:
    """Calls out of a service that arrived nowhere we see: a client's or producer's span with no request below it."""
    where = looked.conditions("start")
    return (
        f"SELECT service AS caller, {_host()} AS host, {_first_key(HOST_KEYS)} AS host_key, "
        f"{_first_value(SYSTEM_KEYS)} AS system, {_first_key(SYSTEM_KEYS)} AS system_key, {MEASURES} "
        f"FROM (SELECT *, {FAILED} FROM spans WHERE {where} AND kind IN (3, 4)) "
        f"WHERE (host != '' OR system != '') AND (trace_id, span_id) NOT IN "
        f"(SELECT trace_id, parent_span_id FROM spans WHERE {where} AND kind IN (2, 5)) "
        f"GROUP BY caller, host, host_key, system, system_key LIMIT 500"
    )


def _host() -> str:
    port = f"if(attributes['server.port'] IN ('', '80', '443') OR {_first_key(HOST_KEYS)} != 'server.address', '', "
    return f"concat({_first_value(HOST_KEYS)}, {port}concat(':', attributes['server.port'])))"


def _first_value(keys: tuple[str, ...]) -> str:
    return _first(keys, [f"toString(attributes['{key}'])" for key in keys])


def _first_key(keys: tuple[str, ...]) -> str:
    return _first(keys, [f"'{key}'" for key in keys])


def _first(keys: tuple[str, ...], answers: list[str]) -> str:
    pairs = [f"attributes['{key}'] != '', {answer}" for key, answer in zip(keys, answers, strict=True)]
    return f"multiIf({', '.join(pairs)}, '')"


def _merged(arrived: Iterable[dict[str, Any]], departed: Iterable[dict[str, Any]]) -> dict[tuple[str, str], _Found]:
    """Calls by (caller, callee). A host at which a service was once reached stands for that service, also in calls
    that never arrived."""
    found: dict[tuple[str, str], _Found] = defaultdict(_Found)
    service_at: dict[str, str] = {}
    for row in arrived:
        found[row["caller"], row["callee"]].add(row)
        if row["host"]:
            service_at[row["host"]] = row["callee"]
    for row in departed:
        host, system = row["host"], row["system"]
        is_known = not system and host in service_at
        each = found[row["caller"], service_at[host] if is_known else _outside_name(host, system)]
        each.add(row)
        if not is_known:
            each.system = system
            each.attribute = (row["host_key"], host.rpartition(":")[0] or host) if host else (row["system_key"], system)
    return found


def _outside_name(host: str, system: str) -> str:
    return f"{system} at {host}" if system and host else system or host


def _scales(store: TelemetryStore, scope: Scope, looked: Filter) -> tuple[dict[str, tuple[float, float]], float]:
    """Per service how many requests one kept request stands for (failed ones, others), and the kept part of all."""
    sql = (
        f"SELECT service, count() AS kept, countIf(status = 2 OR status_code >= 500) AS failed FROM spans "
        f"WHERE {looked.conditions('start')} AND kind IN (2, 5) GROUP BY service"
    )
    rows = store.read(looked.narrowed(scope), sql, **looked.parameters()).rows
    exact = {row.service: row.red for row in red.services(store, scope, looked)}
    scales: dict[str, tuple[float, float]] = {}
    for service, kept, failed in rows:
        if service in exact:
            well = exact[service].requests - exact[service].errors
            scales[service] = (_scale(exact[service].errors, failed), _scale(well, kept - failed))
    kept_all, exact_all = sum(row[1] for row in rows), sum(each.requests for each in exact.values())
    return scales, min(1.0, kept_all / exact_all) if exact_all else 1.0


def _scale(exact: int, kept: int) -> float:
    # The edges of the window fall differently in spans and in the rollup: a little more is no sampling.
    return exact / kept if kept and exact > kept * 1.1 else 1.0


def _call(caller: str, callee: str, found: _Found, scales: dict[str, tuple[float, float]], seconds: float) -> Call:
    is_outside = found.attribute is not None
    for_failed, for_others = scales.get(caller if is_outside else callee, (1.0, 1.0))
    failures = round(found.failures * for_failed)
    calls = failures + round((found.calls - found.failures) * for_others)
    return Call(
        caller=caller,
        callee=callee,
        is_outside=is_outside,
        system=found.system,
        calls=calls,
        failures=failures,
        rate=calls / seconds,
        error_ratio=failures / calls if calls else 0.0,
        p95_seconds=percentiles(found.buckets, (0.95,))[0],
        attribute=found.attribute,
    )
