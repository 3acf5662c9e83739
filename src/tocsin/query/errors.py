"""Exceptions grouped by fingerprint."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.tenant import Scope
from tocsin.query.filters import Filter
from tocsin.query.red import filter_empty
from tocsin.storage.telemetry.store import TelemetryStore


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """All occurrences of one fault in the window. Lists hold the most frequent first."""

    fingerprint: str
    type: str
    message: str  # of the latest
    count: int
    tenants: list[str]
    services: list[str]
    routes: list[str]
    releases: list[str]
    first_seen_ns: int
    last_seen_ns: int
    sample_trace_id: str  # of the latest


def error_groups(store: TelemetryStore, scope: Scope, filter: Filter, limit: int = 20) -> list[ErrorGroup]:
    """The faults of the filter, most frequent first."""
    # An exception is recorded by every span it passes through: it counts once per trace, as the request's own span
    # (the one with a method) saw it, or else as the outermost did.
    once = (
        f"SELECT trace_id, type, message, argMax((fingerprint, tenant, service, release, method, route, e.time), "
        f"(method != '', e.time)) AS seen FROM exceptions AS e "
        f"WHERE {filter.conditions('e.time', by_five_minutes=True)} "
        f"GROUP BY trace_id, type, message"
    )
    sql = (
        f"SELECT seen.1 AS fingerprint, any(e.type) AS type, argMax(e.message, seen.7) AS message, count() AS count, "
        f"topK(10)(seen.2) AS tenants, topK(5)(seen.3) AS services, "
        f"topK(5)(concat(seen.5, ' ', seen.6)) AS routes, topK(5)(seen.4) AS releases, "
        f"toUnixTimestamp64Nano(min(seen.7)) AS first_seen, toUnixTimestamp64Nano(max(seen.7)) AS last_seen, "
        f"lower(hex(argMax(e.trace_id, seen.7))) AS trace FROM ({once}) AS e "
        f"GROUP BY fingerprint ORDER BY count DESC LIMIT {{limit:UInt32}}"
    )
    return [
        ErrorGroup(
            fingerprint=row["fingerprint"],
            type=row["type"],
            message=row["message"],
            count=row["count"],
            tenants=filter_empty(row["tenants"]),
            services=row["services"],
            routes=[route.strip() for route in row["routes"]],
            releases=filter_empty(row["releases"]),
            first_seen_ns=row["first_seen"],
            last_seen_ns=row["last_seen"],
            sample_trace_id=row["trace"],
        )
        for row in store.read(filter.narrowed(scope), sql, **filter.parameters(), limit=limit).dicts()
    ]
