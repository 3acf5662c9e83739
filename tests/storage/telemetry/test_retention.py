"""How long telemetry is kept: by signal, level and tenant, with tenants on hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.retention import RetentionSettings, apply_retention, kept_tables, quoted

NAMED = RetentionSettings(
    logs_days_by_level=(("debug", 3), ("info", 14)), days_by_tenant=(("acme", 365.0), ("o'neil\\", 2.0))
)


@pytest.fixture
def kept(engine: ChdbEngine) -> Iterator[ChdbEngine]:
    """The engine, with its usual retention again afterwards."""
    apply_retention(engine, RetentionSettings(), wait=True)
    yield engine
    apply_retention(engine, RetentionSettings(), wait=True)


def put_logs(engine: ChdbEngine, *lines: tuple[str, str, int]) -> None:
    """Lines of (tenant, level, age in days), each in a part of its own."""
    engine.execute("SYSTEM STOP MERGES logs")
    for tenant, level, days in lines:
        engine.execute(
            "INSERT INTO logs (time, tenant, severity_text, body) VALUES "
            f"(now() - INTERVAL {days} DAY, {quoted(tenant)}, '{level}', '{level} {days}')"
        )
    engine.execute("SYSTEM START MERGES logs")


def left(engine: ChdbEngine) -> dict[str, set[str]]:
    """Bodies by tenant, after the engine deleted what expired."""
    for (day,) in engine.query(
        "SELECT DISTINCT partition FROM system.parts WHERE active AND database = currentDatabase() AND table = 'logs'",
        {}, {}, 30,
    ).rows:  # fmt: skip
        engine.execute(f"OPTIMIZE TABLE logs PARTITION '{day}' FINAL")
    rows = engine.query("SELECT tenant, groupArray(body) FROM logs GROUP BY tenant", {}, {}, 30).rows
    return {tenant: set(bodies) for tenant, bodies in rows}


def test_levels_and_tenants_are_kept_as_long_as_they_say(kept: ChdbEngine) -> None:
    apply_retention(kept, NAMED, wait=True)
    ages = [(level, days) for level in ("debug", "info", "error") for days in (1, 5, 20, 100)]
    put_logs(kept, *((tenant, *one) for tenant in ("globex", "acme", "o'neil\\") for one in ages))
    found = left(kept)
    assert found["acme"] == {f"{level} {days}" for level, days in ages}
    assert found["o'neil\\"] == {"debug 1", "info 1", "error 1"}
    assert found["globex"] == {"debug 1", "info 1", "info 5", "error 1", "error 5", "error 20"}


def test_other_settings_hold_for_what_is_stored_already(kept: ChdbEngine) -> None:
    apply_retention(kept, RetentionSettings(logs_hours=400 * 24), wait=True)
    put_logs(kept, ("acme", "debug", 100), ("globex", "debug", 100), ("globex", "error", 20))
    assert left(kept) == {"acme": {"debug 100"}, "globex": {"debug 100", "error 20"}}
    apply_retention(kept, NAMED, wait=True)
    assert left(kept) == {"acme": {"debug 100"}, "globex": {"error 20"}}


def test_a_tenant_on_hold_keeps_everything_until_it_is_released(kept: ChdbEngine) -> None:
    apply_retention(kept, RetentionSettings(logs_hours=400 * 24), wait=True)
    put_logs(kept, ("acme", "debug", 100), ("globex", "debug", 100))
    apply_retention(kept, NAMED, {"globex"}, wait=True)
    assert left(kept) == {"acme": {"debug 100"}, "globex": {"debug 100"}}
    apply_retention(kept, NAMED, wait=True)
    assert left(kept) == {"acme": {"debug 100"}}


@pytest.mark.parametrize("held", [(), ("acme", "o'neil\\")])
def test_what_is_in_force_is_not_changed_again(kept: ChdbEngine, held: tuple[str, ...]) -> None:
    apply_retention(kept, NAMED, held, wait=True)
    before = changes(kept)
    apply_retention(kept, NAMED, held, wait=True)
    assert changes(kept) == before


def test_a_hold_reaches_every_table_of_a_tenant(kept: ChdbEngine) -> None:
    apply_retention(kept, NAMED, {"globex"}, wait=True)
    sql = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
    without = {name for name, text in kept.query(sql, {}, {}, 30).rows if " TTL " in text and "globex" not in text}
    assert without == {name for name, one in kept_tables(NAMED).items() if not one.has_tenant}


def test_whole_parts_are_dropped_where_all_rows_end_alike(kept: ChdbEngine) -> None:
    assert drops_whole(kept) == "1"
    apply_retention(kept, NAMED, wait=True)
    assert drops_whole(kept) == "0"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"logs_days_by_level": (("loud", 3.0),)}, "'loud'"),
        ({"days_by_tenant": (("acme", 0.01),)}, "days_by_tenant.acme"),
        ({"days_by_tenant": (("acme", 99_999.0),)}, "50 years"),
    ],
)
def test_a_retention_that_makes_no_sense_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RetentionSettings(**given)  # type: ignore[arg-type]  # settings by name


def drops_whole(engine: ChdbEngine) -> str:
    text = engine.query("SHOW CREATE TABLE logs", {}, {}, 30).rows[0][0]
    return str(text).partition("ttl_only_drop_parts = ")[2][:1]


def changes(engine: ChdbEngine) -> list[list[object]]:
    sql = "SELECT name, metadata_modification_time FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    mutations = "SELECT 'mutations', count() FROM system.mutations WHERE database = currentDatabase()"
    return engine.query(sql, {}, {}, 30).rows + engine.query(mutations, {}, {}, 30).rows
