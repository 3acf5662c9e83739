"""A control store on SQLite and on a real PostgreSQL, with a clock that tests turn."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from control_people import TurnedClock, quick_passwords

from tocsin.storage.control import ControlStore


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/control.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(url: str, clock: TurnedClock) -> Iterator[ControlStore]:
    opened = ControlStore.open(url, passwords=quick_passwords(), clock=clock)
    yield opened
    opened.close()


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
    _run([programs / "initdb", "-D", folder / "data", "-A", "trust", "-U", "tocsin", "--no-sync"], as_user, folder)
    start = [programs / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", options, "start"]
    _run(start, as_user, folder)
    yield folder
    _run([programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"], as_user, folder)
    shutil.rmtree(folder)


@pytest.fixture
def postgres_url(postgres_socket: Path) -> Iterator[str]:
    """A fresh database in the cluster."""
    import psycopg

    name = f"t{os.urandom(6).hex()}"
    with psycopg.connect(host=str(postgres_socket), user="tocsin", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield f"postgresql://tocsin@/{name}?host={postgres_socket}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _run(command: list[str | Path], user: str | None, folder: Path) -> None:
    subprocess.run(list(map(str, command)), check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)
