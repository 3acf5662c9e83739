"""`tocsin collectors check` and `tocsin data verify`: gaps are found, broken parts are named."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from running import Run

from tocsin.cli.collectors import _looked_at
from tocsin.query.verify import stored_tables, verify
from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.store import TelemetryStore

pytestmark = pytest.mark.xdist_group("commands")


def test_steady_series_are_well(run: Run) -> None:
    result = run("collectors", "check", "--metric", "fleet_up")
    assert result.exit_code == 0, result.output
    assert "instance=a:1, job=fleet" in result.output
    assert json.loads(run("collectors", "check", "--metric", "fleet_up", "--json").output)["series"][0]["gaps"] == []
    assert "no series match nothing within 1h" in run("collectors", "check", "--metric", "nothing").output


def test_collectors_are_restarted_and_go_on(run: Run) -> None:
    result = run("collectors", "restart")
    assert (result.exit_code, result.output) == (0, "restarted 2 jobs: host, tocsin\n")
    assert "cannot" in run("collectors", "restart", token="").output
    assert run("collectors", "check", "--metric", "fleet_up").exit_code == 0


def test_gaps_lateness_and_what_is_down_are_told() -> None:
    now = time.time()
    times = [now - 600 + place * 15 for place in range(40) if not 10 <= place < 14]
    row = {"metric": {"__name__": "up"}, "values": [[at, "1"] for at in times]}
    found = _looked_at(row, now)
    assert (found["missing"], len(found["gaps"]), found["is_late"], found["is_down"]) == (4, 1, False, False)
    row["values"][-1][1] = "0"
    assert _looked_at(row, now)["is_down"]
    assert _looked_at(row, now + 1000)["is_late"]


def test_what_is_stored_is_as_it_was_written(run: Run) -> None:
    result = run("data", "verify", "--table", "samples", "--table", "logs")
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split() for line in result.output.strip().split("\n")[1:]}
    assert rows["samples"][-1] == "ok"
    assert rows["logs"][-1] == "empty"


def test_a_flipped_byte_is_found(engine: ChdbEngine) -> None:
    store = TelemetryStore(engine)
    engine.execute("INSERT INTO samples SELECT 'a', number, '', now(), 1 FROM numbers(10)")
    sql = "SELECT path FROM system.parts WHERE active AND database = currentDatabase() AND table = 'samples'"
    file = next(Path(engine.query(sql, {}, {}, 10).rows[0][0]).glob("*.bin"))
    before = file.read_bytes()
    assert verify(store, "samples").broken == []
    file.write_bytes(before[:40] + bytes([before[40] ^ 255]) + before[41:])
    try:
        (broken,) = verify(store, "samples").broken
    finally:
        file.write_bytes(before)
    assert "Checksum mismatch" in broken.reason
    assert {table.name: table.rows for table in stored_tables(store)}["samples"] == 10
