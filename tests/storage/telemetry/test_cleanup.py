"""What is old goes, whole days at once where everybody's may; what is on hold and of others stays."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.cleanup import TABLES, Selection, delete_old, find_old

TODAY = datetime.now(UTC).date()
BEFORE = TODAY - timedelta(days=5)


@pytest.fixture
def aged(engine: ChdbEngine) -> ChdbEngine:
    """Two lines, a span and an event of each tenant, 1, 5, 6 and 8 days ago; the views fill the rest."""
    for days in (1, 5, 6, 8):
        time = f"toDateTime64('{TODAY - timedelta(days=days)} 00:00:00', 9, 'UTC')"
        for tenant in ("acme", "globex"):
            engine.execute(f"INSERT INTO logs (time, tenant, body) SELECT {time}, '{tenant}', 'x' FROM numbers(2)")
            engine.execute(f"INSERT INTO spans (start, tenant) VALUES ({time}, '{tenant}')")
            engine.execute(f"INSERT INTO events (time, tenant, name) VALUES ({time}, '{tenant}', 'deploy')")
    return engine


def ages(engine: ChdbEngine, table: str, column: str = "time") -> dict[str, list[int]]:
    """By tenant the ages in days, of its rows."""
    age = f"dateDiff('day', toDate({column}, 'UTC'), toDate('{TODAY}'))"
    sql = f"SELECT tenant, arraySort(groupArray({age})) FROM {table} GROUP BY 1"
    return {tenant: [int(one) for one in days] for tenant, days in engine.query(sql, {}, {}, 30).rows}


def test_what_would_go_is_told_by_table_and_day_and_nothing_goes(aged: ChdbEngine) -> None:
    found = {(one.table, one.day): one for one in find_old(aged, Selection(("logs", "traces"), BEFORE))}
    oldest = TODAY - timedelta(days=8)
    assert {day for _, day in found} == {TODAY - timedelta(days=6), oldest}
    assert {"logs", "logs_1m", "logs_1h", "log_streams", "spans"} <= {table for table, _ in found}
    assert found["logs", oldest].rows == 4
    assert found["logs", oldest].disk_bytes == size(aged, "logs", oldest) > 0
    assert ages(aged, "logs")["acme"] == [1, 1, 5, 5, 6, 6, 8, 8]


def test_days_before_go_and_the_rest_stays(aged: ChdbEngine) -> None:
    deleted = delete_old(aged, Selection(("logs", "traces", "events", "metrics", "rates"), BEFORE))
    assert ages(aged, "logs") == {"acme": [1, 1, 5, 5], "globex": [1, 1, 5, 5]}
    assert ages(aged, "spans", "start") == ages(aged, "events") == {"acme": [1, 5], "globex": [1, 5]}
    assert set(ages(aged, "logs_1h")["acme"]) == {1, 5}
    assert sum(one.rows for one in deleted if one.table == "logs") == 8
    assert delete_old(aged, Selection(("logs", "traces"), BEFORE)) == []


def test_a_whole_day_is_dropped_without_being_rewritten(aged: ChdbEngine) -> None:
    before = mutations(aged)
    delete_old(aged, Selection(("traces",), BEFORE))
    assert mutations(aged) == before


def test_only_what_was_named_goes(aged: ChdbEngine) -> None:
    delete_old(aged, Selection(("logs",), BEFORE, tenant="acme"))
    assert ages(aged, "logs") == {"acme": [1, 1, 5, 5], "globex": [1, 1, 5, 5, 6, 6, 8, 8]}
    assert ages(aged, "spans", "start")["acme"] == [1, 5, 6, 8]


def test_what_is_on_hold_stays(aged: ChdbEngine) -> None:
    selection = Selection(("logs", "traces", "events"), BEFORE, held=frozenset({"globex", "o'neil\\"}))
    assert not any(one.rows > 2 for one in find_old(aged, selection) if one.table == "logs")
    delete_old(aged, selection)
    assert ages(aged, "logs") == {"acme": [1, 1, 5, 5], "globex": [1, 1, 5, 5, 6, 6, 8, 8]}
    assert ages(aged, "events") == ages(aged, "spans", "start") == {"acme": [1, 5], "globex": [1, 5, 6, 8]}


def test_sums_over_all_tenants_stay_while_one_is_on_hold() -> None:
    tables = {table for _, table, _ in Selection(("rates",), BEFORE, held=frozenset({"acme"})).tables()}
    assert "red_1h" in tables
    assert not tables & {"red_1h_routes", "calls_1h_operations"}


def test_every_table_and_its_column_are_there(engine: ChdbEngine) -> None:
    for signal in TABLES:
        assert find_old(engine, Selection((signal,), BEFORE)) == []


def size(engine: ChdbEngine, table: str, day: date) -> int:
    sql = f"SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = '{table}' AND partition = '{day}'"
    return int(engine.query(sql, {}, {}, 30).rows[0][0])


def mutations(engine: ChdbEngine) -> int:
    return int(engine.query("SELECT count() FROM system.mutations", {}, {}, 30).rows[0][0])
