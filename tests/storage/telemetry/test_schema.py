"""Migrations and retention: applied once, resumable, and in step with the settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tocsin
from engine_slot import EngineSlot
from otlp import HOUR_NS, NOW_NS, span, trace_request
from tocsin.model.tenant import PLATFORM
from tocsin.storage.telemetry.chdb import ChdbEngine, ChdbSettings
from tocsin.storage.telemetry.migrate import migrate
from tocsin.storage.telemetry.retention import RetentionSettings, apply_retention
from tocsin.storage.telemetry.store import TENANT_TABLES, TENANT_VIEWS, TelemetryStore
from waiting import eventually

FILES = sorted(path.name for path in (Path(tocsin.__file__).parent / "storage/telemetry/schema").glob("*.sql"))
HOURS = re.compile(r"toIntervalHour\((\d+)\)")


@pytest.fixture
def fresh(no_engine: EngineSlot, tmp_path: Path) -> Iterator[ChdbEngine]:
    """An engine without any table."""
    engine = ChdbEngine(tmp_path / "fresh", ChdbSettings(query_connections=1))
    yield engine
    engine.close()


def definitions(engine: ChdbEngine) -> dict[str, str]:
    sql = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
    return dict(engine.query(sql, {}, {}, 10).rows)


def test_migration_runs_each_file_once(fresh: ChdbEngine) -> None:
    assert migrate(fresh) == FILES
    before = definitions(fresh)
    assert migrate(fresh) == []
    assert definitions(fresh) == before
    # The spool lets go of what is inserted.
    unsynced = {
        name for name in TENANT_TABLES if "fsync_after_insert = 1, fsync_part_directory = 1" not in before[name]
    }
    assert not unsynced


def test_migration_resumes_after_a_crash_between_any_two_statements(no_engine: EngineSlot, tmp_path: Path) -> None:
    class Crash(Exception):
        pass

    class Dying:
        """Dies when its statements are used up."""

        def __init__(self, engine: ChdbEngine, statements: int) -> None:
            self._engine = engine
            self._left = statements

        def execute(self, sql: str) -> None:
            if not self._left:
                raise Crash
            self._left -= 1
            self._engine.execute(sql)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._engine, name)

    engine = ChdbEngine(tmp_path / "fresh", ChdbSettings(query_connections=1))
    applied: list[str] = []
    for statements in range(1, 5):  # each start gets a little further
        for _ in range(2):
            try:
                applied += migrate(Dying(engine, statements))
            except Crash:
                pass
    applied += migrate(engine)
    assert {*TENANT_TABLES, "red_from_spans", "red_1m_from_10s", "red_1h_from_1m"} <= set(definitions(engine))
    assert applied[-1] == FILES[-1]
    engine.close()


@pytest.mark.parametrize(
    ("condition", "listed"),
    [("engine != 'MaterializedView'", TENANT_TABLES), ("engine = 'MaterializedView'", TENANT_VIEWS)],
)
def test_everything_with_tenants_in_it_is_known_to_the_scope(
    engine: ChdbEngine, condition: str, listed: tuple[str, ...]
) -> None:
    sql = (
        "SELECT table FROM system.columns WHERE database = currentDatabase() AND name = 'tenant' "
        f"AND table IN (SELECT name FROM system.tables WHERE {condition})"
    )
    assert {row[0] for row in engine.query(sql, {}, {}, 10).rows} == set(listed)


@pytest.fixture
def kept_for_now(engine: ChdbEngine) -> Iterator[None]:
    """For tests that change what is kept: other tests of this process use the same tables."""
    yield
    apply_retention(engine, RetentionSettings())


@pytest.mark.usefixtures("kept_for_now")
def test_retention_becomes_the_tables_ttl(engine: ChdbEngine) -> None:
    apply_retention(engine, RetentionSettings(traces_hours=100, logs_hours=200, metrics_hours=300, rates_hours=9000))
    tables = {name: text for name, text in definitions(engine).items() if name in TENANT_TABLES}
    assert "TTL" not in tables.pop("error_groups")  # first seen ever
    kept = {name: int(HOURS.findall(text)[-1]) for name, text in tables.items()}
    assert kept == {
        "spans": 100,
        "exceptions": 100,
        "error_hours": 9000,
        "logs": 200,
        "logs_1m": 200,
        "logs_1h": 200,
        "log_streams": 224,
        "log_shapes_1m": 200,
        "log_shapes_1h": 200,
        "log_shapes": 224,
        "series": 9024,  # as long as any row of its samples
        "samples": 300,
        "deltas": 300,
        "deltas_1h": 300,
        "samples_5m": 300,
        "samples_1h": 9000,
        "native_histograms": 300,
        "exemplars": 300,
        "metric_metadata": 324,
        "events": 9600,
        "red_10s": 48,
        "red_1m_routes": 744,
        "red_1m_tenants": 744,
        "red_1h_routes": 9000,
        "red_1h_tenants": 9000,
        "red_1m": 744,
        "red_1h": 9000,
        "calls_10s": 48,
        "calls_1m": 744,
        "calls_1m_operations": 744,
        "calls_1m_tenants": 744,
        "calls_1h": 9000,
        "calls_1h_operations": 9000,
        "calls_1h_tenants": 9000,
    }
    apply_retention(engine, RetentionSettings(rates_hours=24))
    found = definitions(engine)
    assert [HOURS.findall(found[name]) for name in ("spans", "red_10s", "red_1h")] == [["720"], ["24"], ["24"]]


@pytest.mark.usefixtures("kept_for_now")
def test_retention_that_holds_already_changes_nothing(engine: ChdbEngine) -> None:
    apply_retention(engine, RetentionSettings(traces_hours=77))

    class ReadOnly:
        def execute(self, sql: str) -> None:
            raise AssertionError(sql)

        def __getattr__(self, name: str) -> Any:
            return getattr(engine, name)

    apply_retention(ReadOnly(), RetentionSettings(traces_hours=77))


@pytest.mark.parametrize("name", ["traces_hours", "logs_hours", "metrics_hours", "rates_hours"])
def test_retention_below_an_hour_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} = 0.5 hours would delete what just arrived"):
        RetentionSettings(**{name: 0.5})


@pytest.mark.usefixtures("kept_for_now")
def test_telemetry_past_its_time_goes_and_the_rest_stays(store: TelemetryStore, engine: ChdbEngine, put: Any) -> None:
    apply_retention(engine, RetentionSettings(traces_hours=72))
    put(trace_request([span("old", start_ns=NOW_NS - 240 * HOUR_NS)]), trace_request([span("new")]))
    engine.execute("OPTIMIZE TABLE spans FINAL")
    assert store.read(PLATFORM, "SELECT name FROM spans").rows == [["new"]]


@pytest.mark.usefixtures("kept_for_now")
def test_longer_retention_also_holds_for_what_is_there(store: TelemetryStore, engine: ChdbEngine, put: Any) -> None:
    apply_retention(engine, RetentionSettings(traces_hours=72))
    engine.execute("SYSTEM STOP TTL MERGES spans")
    put(trace_request([span("old", start_ns=NOW_NS - 240 * HOUR_NS)]))
    apply_retention(engine, RetentionSettings(traces_hours=2400))
    pending = "SELECT count() FROM system.mutations WHERE NOT is_done"
    eventually(lambda: engine.query(pending, {}, {}, 60).rows == [[0]], "no mutation is left")
    engine.execute("SYSTEM START TTL MERGES spans")
    engine.execute("OPTIMIZE TABLE spans FINAL")
    assert store.read(PLATFORM, "SELECT name FROM spans").rows == [["old"]]
