"""Events: what happened once, by name, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.query.attributes import decode_attributes, values_sql
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One event. severity: OTLP's number, 1 to 24. trace_id: 32 hexadecimal digits, '' outside of any trace."""

    name: str
    time_ns: int
    tenant: str
    service: str
    environment: str
    release: str
    severity: int
    body: str
    attributes: dict[str, Any]
    trace_id: str
    span_id: str


def events(
    store: TelemetryStore, scope: Scope, filter: Filter, names: Sequence[str], limit: int = 200
) -> list[EventRecord]:
    """The events of these names in the filter's window, newest first; method and route are not looked at."""
    wanted = Filter(filter.window, filter.environment, filter.tenant, filter.service)
    sql = (
        f"SELECT name, toUnixTimestamp64Nano(time) AS time_ns, tenant, service, environment, release, severity, body, "
        f"mapKeys(attributes) AS keys, {values_sql('attributes', 'attribute_types')} AS values, attribute_types, "
        f"lower(hex(trace_id)) AS trace, lower(hex(span_id)) AS span FROM events "
        f"WHERE name IN ({{names:Array(String)}}) AND {wanted.conditions()} ORDER BY time DESC LIMIT {{limit:UInt32}}"
    )
    rows = store.read(wanted.narrowed(scope), sql, names=list(names), limit=limit, **wanted.parameters()).dicts()
    return [_event(row) for row in rows]


def _event(row: dict[str, Any]) -> EventRecord:
    return EventRecord(
        name=row["name"],
        time_ns=row["time_ns"],
        tenant=row["tenant"],
        service=row["service"],
        environment=row["environment"],
        release=row["release"],
        severity=row["severity"],
        body=row["body"],
        attributes=decode_attributes(row["keys"], row["values"], row["attribute_types"]),
        trace_id=row["trace"].strip("0") and row["trace"],
        span_id=row["span"].strip("0") and row["span"],
    )
