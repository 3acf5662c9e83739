"""What tests of several parts share: the embedded engine, of which one process can hold one, and a PostgreSQL."""

from __future__ import annotations

import gc
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine_slot import EngineSlot
from group_servers import GroupServer, group_of
from spooled import spooled
from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.spool import write_messages
from tocsin.storage.telemetry.store import TelemetryStore

Put = Callable[..., None]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is loaded stays for good: the collector would walk over all of it again and again, through the whole run."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    yield
    if nextitem is None or group_of(item) != group_of(nextitem):
        GroupServer.end_all()


@pytest.fixture(scope="session")
def engine_slot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineSlot]:
    slot = EngineSlot(tmp_path_factory.mktemp("engine"))
    yield slot
    slot.vacate()


@pytest.fixture
def no_engine(engine_slot: EngineSlot) -> EngineSlot:
    """For tests that open an engine, or a whole server, in this process."""
    engine_slot.vacate()
    return engine_slot


@pytest.fixture
def engine(engine_slot: EngineSlot) -> ChdbEngine:
    """The engine with its schema and empty tables."""
    engine = engine_slot.occupied()
    filled = "SELECT DISTINCT table FROM system.parts WHERE active AND database = currentDatabase()"
    for (table,) in engine.query(filled, {}, {}, 30).rows:
        if table != "migrations":
            engine.execute(f"TRUNCATE TABLE {table}")
    return engine


@pytest.fixture
def store(engine: ChdbEngine) -> TelemetryStore:
    return TelemetryStore(engine)


_tokens = itertools.count()


@pytest.fixture
def put(engine: ChdbEngine, tmp_path: Path) -> Put:
    """put(request, …) stores OTLP requests, each signal as one segment."""

    def put(*requests: Any) -> None:
        for signal, messages in spooled(requests).items():
            if messages:
                segment = tmp_path / f"{signal}.segment"
                write_messages(segment, messages)
                engine.insert_segment(signal, segment, f"put-{tmp_path}-{next(_tokens)}")

    return put


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    """A PostgreSQL cluster in a temporary folder, listening on a Unix socket there."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    programs = Path(found[-1]) if found else Path(shutil.which("initdb") or "/nowhere").parent
    if not (programs / "initdb").exists():
        pytest.skip("PostgreSQL's initdb is not installed; the control store was tested on SQLite only")
    as_user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="tocsin-pg-"))
    if as_user:
        os.chown(folder, pwd.getpwnam(as_user).pw_uid, -1)
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    if (programs.parent / "lib" / "pg_stat_statements.so").exists():
        options += " -c shared_preload_libraries=pg_stat_statements"
    _run([programs / "initdb", "-D", folder / "data", "-A", "trust", "-U", "tocsin", "--no-sync"], as_user, folder)
    start = [programs / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", options, "start"]
    _run(start, as_user, folder)
    yield folder
    _run([programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"], as_user, folder)
    shutil.rmtree(folder)


@pytest.fixture
def postgres_url(postgres_socket: Path) -> str:
    """An empty database in the cluster. It is always the same: to empty one takes a fifth of the time of another."""
    import psycopg

    def connect(name: str) -> psycopg.Connection[tuple[str]]:
        return psycopg.connect(host=str(postgres_socket), user="tocsin", dbname=name, autocommit=True)

    with connect("postgres") as connection:
        if not connection.execute("SELECT datname FROM pg_database WHERE datname = 'tests'").fetchone():
            connection.execute("CREATE DATABASE tests")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'tests'")
    with connect("tests") as connection:
        own = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
        for (schema,) in connection.execute(own).fetchall():
            connection.execute(f'DROP SCHEMA "{schema}" CASCADE'.encode())
        connection.execute("CREATE SCHEMA public")
        connection.execute("GRANT USAGE ON SCHEMA public TO public")
    return f"postgresql://tocsin@/tests?host={postgres_socket}"


def _run(command: list[str | Path], user: str | None, folder: Path) -> None:
    subprocess.run(list(map(str, command)), check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)
