"""What clients get wrong: 4xx by endpoint, and the fields that fail validation, by endpoint and tenant."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.tenant import Scope
from tocsin.query.filters import Filter
from tocsin.query.red import filter_empty
from tocsin.query.rollups import Split, totals_rollup
from tocsin.storage.telemetry.store import TelemetryStore

VALIDATION = "http_validation_errors_total"


@dataclass(frozen=True, slots=True)
class ClientErrorRow:
    """The 4xx of an endpoint. statuses: (status, requests), most first; tenants: most first, at most five."""

    service: str
    method: str
    route: str
    requests: int  # of the endpoint, whatever their status
    client_errors: int
    statuses: tuple[tuple[int, int], ...]
    tenants: tuple[str, ...]

    @property
    def ratio(self) -> float:
        return self.client_errors / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class FieldRow:
    """How often a field failed validation for a tenant; tenant is '' for requests of nobody."""

    service: str
    method: str
    route: str
    field: str  # body.items[].price
    type: str  # missing
    tenant: str
    count: int


def client_errors(store: TelemetryStore, scope: Scope, filter: Filter, limit: int = 12) -> list[ClientErrorRow]:
    """The endpoints with 4xx, most first."""
    narrowed = filter.narrowed(scope)
    by_status = (
        f"SELECT r.service AS service, r.method AS method, r.route AS route, r.status_code AS status, "
        f"r.tenant AS tenant, sum(r.requests) AS n, status BETWEEN 400 AND 499 AS is_client "
        f"FROM {totals_rollup(narrowed, filter, Split.BOTH)} WHERE {filter.conditions()} GROUP BY ALL"
    )
    sql = (
        f"SELECT service, method, route, sum(n) AS requests, sumIf(n, is_client) AS client_errors, "
        f"sumMapIf([status], [n], is_client) AS statuses, topKWeightedIf(5)(tenant, n, is_client) AS tenants "
        f"FROM ({by_status}) GROUP BY service, method, route HAVING client_errors > 0 "
        f"ORDER BY client_errors DESC LIMIT {{limit:UInt32}}"
    )
    rows = store.read(narrowed, sql, **filter.parameters(), limit=limit).rows
    return [
        ClientErrorRow(
            service, method, route, requests, wrong,
            tuple(sorted(zip(*statuses, strict=True), key=lambda pair: -pair[1])), tuple(filter_empty(tenants)),
        )
        for service, method, route, requests, wrong, statuses, tenants in rows
    ]  # fmt: skip


def failing_fields(store: TelemetryStore, scope: Scope, filter: Filter, limit: int = 12) -> list[FieldRow]:
    """The fields that failed validation most in the window."""
    where = filter.series_conditions("d.time")
    sql = (
        f"SELECT i.service AS of_service, i.labels['method'] AS of_method, i.labels['route'] AS of_route, "
        f"i.labels['field'] AS field, i.labels['type'] AS kind, i.tenant AS whose, "
        f"toUInt64(round(sum(d.value))) AS count FROM deltas AS d INNER JOIN ("
        f"SELECT id, any(tenant) AS tenant, any(labels) AS labels, any(service) AS service, "
        f"any(environment) AS environment FROM series WHERE name = '{VALIDATION}' GROUP BY id) AS i "
        f"ON d.series = i.id WHERE d.name = '{VALIDATION}' AND {where} GROUP BY ALL "
        f"HAVING count > 0 ORDER BY count DESC, field LIMIT {{limit:UInt32}}"
    )
    rows = store.read(filter.narrowed(scope), sql, **filter.parameters(), limit=limit).rows
    return [FieldRow(*row) for row in rows]
