"""How much the telemetry store holds."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.tenant import Scope
from tocsin.storage.telemetry.store import TelemetryStore


@dataclass(frozen=True, slots=True)
class TableSize:
    """A telemetry table on disk."""

    name: str
    rows: int
    disk_bytes: int


def table_sizes(store: TelemetryStore, scope: Scope) -> list[TableSize]:
    """Every table with its size, largest first; nothing for a scope narrower than the platform."""
    if not scope.is_platform:
        return []
    sql = (
        "SELECT table, sum(rows) AS rows, sum(bytes_on_disk) AS disk_bytes FROM system.parts "
        "WHERE database = currentDatabase() AND active GROUP BY table ORDER BY disk_bytes DESC"
    )
    return [TableSize(*row) for row in store.read(scope, sql).rows]
