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
    sql = (
        f"SELECT fingerprint, any(e.type) AS type, argMax(e.message, e.time) AS message, count() AS count, "
        f"topK(10)(e.tenant) AS tenants, topK(5)(e.service) AS services, "
        f"topK(5)(concat(e.method, ' ', e.route)) AS routes, topK(5)(e.release) AS releases, "
        f"toUnixTimestamp64Nano(min(e.time)) AS first_seen, toUnixTimestamp64Nano(max(e.time)) AS last_seen, "
        f"lower(hex(argMax(e.trace_id, e.time))) AS trace FROM exceptions AS e WHERE {filter.conditions()} "
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
