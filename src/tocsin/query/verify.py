"""Whether what is stored is still what was written: every part of a table against its checksums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.storage.telemetry.store import TENANT_TABLES, TelemetryStore

LONGEST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class StoredTable:
    """first and last: the days of its partitions, '' where it has none."""

    name: str
    parts: int
    rows: int
    disk_bytes: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class BrokenPart:
    """A part that is not as it was written, and the engine's words for it."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verified:
    parts: int
    broken: list[BrokenPart]


def stored_tables(store: TelemetryStore) -> list[StoredTable]:
    """Every telemetry table, empty ones too, by name."""
    sql = (
        "SELECT table, count(), sum(rows), sum(bytes_on_disk), min(partition), max(partition) FROM system.parts "
        "WHERE database = currentDatabase() AND active GROUP BY table"
    )
    found = {row[0]: row for row in store.engine.query(sql, {}, {}, LONGEST_SECONDS).rows}
    return [_table(name, found.get(name)) for name in sorted(TENANT_TABLES)]


def _table(name: str, row: Sequence[Any] | None) -> StoredTable:
    if row is None:
        return StoredTable(name, 0, 0, 0, "", "")
    _, parts, rows, disk_bytes, first, last = row
    return StoredTable(name, int(parts), int(rows), int(disk_bytes), _day(first), _day(last))


def _day(partition: str) -> str:
    return "" if partition == "tuple()" else str(partition)


def verify(store: TelemetryStore, table: str) -> Verified:
    """Reads the whole table. Raises ValueError for another name, EngineError when it cannot be read."""
    if table not in TENANT_TABLES:
        raise ValueError(f"cannot verify '{table[:60]}': there is no such table; known are {', '.join(TENANT_TABLES)}")
    settings = {"check_query_single_value_result": 0}
    rows = store.engine.query(f"CHECK TABLE {table}", {}, settings, LONGEST_SECONDS).rows
    broken = [BrokenPart(name, reason) for name, is_passed, reason in rows if not int(is_passed)]
    return Verified(len(rows), broken)
