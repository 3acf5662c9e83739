"""The store opens, migrates once, and refuses what it cannot use."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from control_people import quick_passwords
from sqlalchemy import create_engine, text

from tocsin.model.access import Role
from tocsin.model.control import SYSTEM
from tocsin.storage.control import ControlSettings, ControlStore, InvalidInput, StoreUnusable, WrongCredentials
from tocsin.storage.control.migrate import newest_revision
from tocsin.storage.control.schema import Base


def test_opening_again_keeps_what_is_there(store: ControlStore, url: str) -> None:
    store.keys.create(SYSTEM, name="acme")
    again = ControlStore.open(url, passwords=quick_passwords())
    assert [key.name for key in again.keys.all()] == ["acme"]
    again.check()
    again.close()


def test_migrations_give_the_tables_of_the_models(store: ControlStore, url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == newest_revision()
    engine.dispose()


def test_store_that_is_current_is_opened_without_alembic(
    store: ControlStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "alembic", None)
    ControlStore.open(url, passwords=quick_passwords()).close()


def test_servers_that_start_together_migrate_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        for opened in list(pool.map(lambda _: ControlStore.open(url, passwords=quick_passwords()), range(4))):
            opened.check()
            opened.close()


def test_store_of_a_newer_version_is_refused(store: ControlStore, url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreUnusable, match="written by a newer Tocsin"):
        ControlStore.open(url)


def test_unreachable_store_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="check that it is there"):
        ControlStore.open(f"sqlite:///{tmp_path}/missing/control.db")
    with pytest.raises(StoreUnusable) as caught:
        ControlStore.open("postgresql://tocsin:hunter2@127.0.0.1:1/tocsin")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "oracle+nope://x"])
def test_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(StoreUnusable, match="write sqlite:///path or postgresql://"):
        ControlStore.open(url)


def test_without_a_url_the_store_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    folder = tmp_path / "with space %20"
    folder.mkdir()
    ControlStore.open(ControlSettings().url_with(folder)).close()
    assert (folder / "control.sqlite").exists()
    assert ControlSettings(url="postgresql://db/tocsin").url_with(folder) == "postgresql://db/tocsin"


def test_what_a_database_cannot_hold_is_bad_input(store: ControlStore) -> None:
    with suppress(InvalidInput):  # SQLite holds it
        store.keys.create(SYSTEM, name="acme", environment="nul \x00 byte")
    with pytest.raises(WrongCredentials):
        store.sessions.sign_in("a\x00b" * 500, "whatever it is", ip="192.0.2.1", agent="t")


def test_writers_in_parallel_wait_for_each_other(store: ControlStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.keys.create(SYSTEM, name=f"key {number}"), range(40)))
    assert len(store.keys.all()) == 40
    assert len(store.audit.entries(action="key.create")) == 40


def test_change_that_fails_leaves_no_audit_entry(store: ControlStore) -> None:
    with pytest.raises(InvalidInput):
        store.users.create(SYSTEM, email="eve@globex.example", name="", role=Role.TENANT_VIEWER)
    assert store.audit.entries() == []


def test_every_entry_of_the_log_pages_newest_first(store: ControlStore) -> None:
    for number in range(5):
        store.keys.create(SYSTEM, name=f"key {number}")
    page = store.audit.entries(limit=2)
    rest = store.audit.entries(limit=10, before_id=page[-1].id)
    assert [entry.detail["name"] for entry in page + rest] == [f"key {number}" for number in (4, 3, 2, 1, 0)]
    assert page[0].actor == "tocsin"
    assert page[0].at.tzinfo is not None
