"""Which requests need the memory: means of the requests that were measured, by endpoint, from the SDK's increases."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.tenant import Scope
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore

MEASURED = "http_request_memory_measured_total"
PEAK = "http_request_memory_peak_bytes_total"
KEPT = "http_request_memory_kept_bytes_total"
BLOCKS = "http_request_memory_kept_blocks_total"
# Beyond this the hourly sums are read.
_RAW_SECONDS = 48 * 3600


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """What a request of an endpoint needs on the mean; bytes are None where the kernel does not tell them.

    kept_bytes, kept_blocks: what was still there when it had ended. tenant: whose requests peak highest, and how high.
    """

    service: str
    method: str
    route: str
    measured: int
    peak_bytes: float | None
    kept_bytes: float | None
    kept_blocks: float
    tenant: str
    tenant_peak_bytes: float | None


def endpoint_memory(store: TelemetryStore, scope: Scope, filter: Filter, limit: int = 20) -> list[MemoryRow]:
    """The endpoints with measured requests in the window, the highest peak first."""
    where = filter.series_conditions("d.time")
    listed = ", ".join(f"'{name}'" for name in (MEASURED, PEAK, KEPT, BLOCKS))
    table = "deltas" if filter.window.seconds <= _RAW_SECONDS else "deltas_1h"
    by_tenant = (
        f"SELECT i.service AS of_service, i.labels['method'] AS of_method, i.labels['route'] AS of_route, "
        f"i.tenant AS whose, sumIf(d.value, d.name = '{MEASURED}') AS n, sumIf(d.value, d.name = '{PEAK}') AS peak, "
        f"sumIf(d.value, d.name = '{KEPT}') AS kept, sumIf(d.value, d.name = '{BLOCKS}') AS blocks, "
        f"countIf(d.name = '{PEAK}') > 0 AS has_bytes FROM {table} AS d INNER JOIN ("
        f"SELECT id, any(tenant) AS tenant, any(labels) AS labels, any(service) AS service, "
        f"any(environment) AS environment FROM series WHERE name IN ({listed}) GROUP BY id) AS i "
        f"ON d.series = i.id WHERE d.name IN ({listed}) AND {where} GROUP BY ALL HAVING n > 0"
    )
    sql = (
        f"SELECT of_service, of_method, of_route, toUInt64(round(sum(n))) AS measured, "
        f"if(max(has_bytes), sum(peak) / sum(n), NULL) AS of_peak, if(max(has_bytes), sum(kept) / sum(n), NULL), "
        f"sum(blocks) / sum(n) AS of_blocks, argMax(whose, (peak / n, blocks / n)), "
        f"if(max(has_bytes), max(peak / n), NULL) FROM ({by_tenant}) GROUP BY of_service, of_method, of_route "
        f"ORDER BY of_peak DESC NULLS LAST, of_blocks DESC, of_route LIMIT {{limit:UInt32}}"
    )
    rows = store.read(filter.narrowed(scope), sql, **filter.parameters(), limit=limit).rows
    return [MemoryRow(*row) for row in rows]
