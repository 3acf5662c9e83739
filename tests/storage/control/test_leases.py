"""A lease is somebody's until it ends, and a row that nobody needs any more goes."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tocsin.storage.control import ControlStore


def test_ended_leases_do_not_pile_up(tmp_path: Path) -> None:
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    store = ControlStore.open(f"sqlite:///{tmp_path}/control.db", clock=lambda: now)
    try:
        assert store.leases.take("a", "one", 600)
        assert not store.leases.take("a", "other", 600)
        now += timedelta(hours=2)
        assert store.leases.holder("a") == ""
        assert store.leases.take("b", "one", 600)
        with sqlite3.connect(tmp_path / "control.db") as rows:
            assert rows.execute("SELECT name FROM leases").fetchall() == [("b",)]
    finally:
        store.close()
