"""Deletes telemetry older than a day: whole partitions where all of them may go, rows where not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from tocsin.storage.telemetry.engine import Engine
from tocsin.storage.telemetry.retention import CALL_SPLITS, RED_SPLITS, SAMPLE_TABLES, TENANTLESS, quoted

LONGEST_SECONDS = 600.0
# Rates are kept for comparison with last year: they go only when they are named.
USUAL = ("traces", "logs", "events", "metrics")
_RATES = (
    "red_10s", "calls_10s", *(f"red_{step}{split}" for step in ("1m", "1h") for split in RED_SPLITS),
    *(f"calls_{step}{split}" for step in ("1m", "1h") for split in CALL_SPLITS),
)  # fmt: skip
TABLES: Mapping[str, Mapping[str, str]] = {
    "traces": {"spans": "start", "exceptions": "time"},
    "logs": {
        **dict.fromkeys(("logs", "logs_1m", "logs_1h", "log_shapes_1m", "log_shapes_1h"), "time"),
        **dict.fromkeys(("log_streams", "log_shapes"), "day"),
    },
    "events": {"events": "time"},
    "metrics": {**dict.fromkeys((*SAMPLE_TABLES, "samples_1h"), "time"), "series": "day"},
    "rates": {**dict.fromkeys(_RATES, "time"), "error_hours": "hour"},
}
"""By signal its tables, each with the column of its time."""


@dataclass(frozen=True, slots=True)
class Old:
    """What may go of one table and day. `disk_bytes` is in proportion where a part holds other rows, too."""

    signal: str
    table: str
    day: date
    rows: int
    disk_bytes: int
    parts: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to go: days before `before` (UTC), or exactly `days`; of one tenant or of all but those on hold."""

    signals: Collection[str]
    before: date
    tenant: str = ""
    held: frozenset[str] = frozenset()
    days: Mapping[str, Collection[date]] | None = None
    """By table the only days that may go; None for all before."""

    @property
    def is_everybodys(self) -> bool:
        """Whether it takes all rows of its days. If not, one that must stay may arrive at any time, so that a day is
        never dropped unread."""
        return not (self.tenant or self.held or self.days)

    def tables(self) -> Iterable[tuple[str, str, str]]:
        """(signal, table, column of time)."""
        for signal in self.signals:
            for table, column in TABLES[signal].items():
                # Sums over all tenants hold those of a tenant on hold, and none of one tenant can be taken out.
                is_whole = table not in TENANTLESS or not (self.tenant or self.held)
                if is_whole and (self.days is None or self.days.get(table)):
                    yield signal, table, column

    def condition(self, table: str, column: str) -> str:
        of_day = day_of(column)
        parts = [f"{of_day} < toDate('{self.before}')"]
        if self.days is not None:
            days = ", ".join(f"toDate('{day}')" for day in sorted(self.days.get(table, ())))
            parts.append(f"{of_day} IN ({days})")
        if self.tenant:
            parts.append(f"tenant = {quoted(self.tenant)}")
        if self.held:
            parts.append(f"tenant NOT IN ({', '.join(quoted(tenant) for tenant in sorted(self.held))})")
        return " AND ".join(parts)


def day_of(column: str) -> str:
    """The UTC day of a table's column of time, as the engine says it."""
    return column if column == "day" else f"toDate({column}, 'UTC')"


def find_old(engine: Engine, selection: Selection) -> list[Old]:
    """What the selection holds, by table and day. Raises EngineError."""
    sizes = _part_sizes(engine)
    found: list[Old] = []
    for signal, table, column in selection.tables():
        sql = (
            f"SELECT {day_of(column)} AS of_day, _part AS part, count() FROM {table} "
            f"WHERE {selection.condition(table, column)} GROUP BY of_day, part ORDER BY of_day"
        )
        found += _days(signal, table, sizes, engine.query(sql, {}, {}, LONGEST_SECONDS).rows)
    return found


def _days(
    signal: str, table: str, sizes: Mapping[tuple[str, str], tuple[int, int]], rows: list[list[Any]]
) -> list[Old]:
    days: dict[str, list[float]] = {}
    for day, part, count in rows:
        of_part, disk_bytes = sizes.get((table, part), (int(count), 0))
        sums = days.setdefault(day, [0, 0, 0])
        sums[0] += int(count)
        sums[1] += disk_bytes * int(count) / max(of_part, 1)
        sums[2] += 1
    return [
        Old(signal, table, date.fromisoformat(day), int(count), round(disk_bytes), int(parts))
        for day, (count, disk_bytes, parts) in days.items()
    ]


def delete_old(engine: Engine, selection: Selection) -> list[Old]:
    """Deletes what the selection holds and answers what that was. Raises EngineError; what was deleted by then stays
    deleted, and asking again goes on from there."""
    found = find_old(engine, selection)
    by_table: dict[str, int] = {}
    for one in found:
        by_table[one.table] = by_table.get(one.table, 0) + one.rows
    for _, table, column in selection.tables():
        if by_table.get(table):
            _delete(engine, table, selection.condition(table, column), may_drop=selection.is_everybodys)
    return found


def _delete(engine: Engine, table: str, condition: str, *, may_drop: bool) -> None:
    sql = (
        f"SELECT _partition_id AS partition, countIf({condition}) AS old, count() AS there FROM {table} "
        "GROUP BY partition HAVING old > 0"
    )
    is_left = False
    for partition, old, there in engine.query(sql, {}, {}, LONGEST_SECONDS).rows:
        if may_drop and int(old) == int(there):
            engine.execute_aside(f"ALTER TABLE {table} DROP PARTITION ID '{partition}'")
        else:
            is_left = True
    if is_left:
        engine.execute_aside(f"ALTER TABLE {table} DELETE WHERE {condition} SETTINGS mutations_sync = 2")


def _part_sizes(engine: Engine) -> dict[tuple[str, str], tuple[int, int]]:
    """(rows, bytes on disk) by table and part."""
    sql = "SELECT table, name, rows, bytes_on_disk FROM system.parts WHERE active AND database = currentDatabase()"
    rows = engine.query(sql, {}, {}, LONGEST_SECONDS).rows
    return {(str(table), str(name)): (int(count), int(size)) for table, name, count, size in rows}
