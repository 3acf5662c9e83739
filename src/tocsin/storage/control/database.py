"""The connection to the control database: transactions for reading and writing, and the clock that stamps them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DataError, NoSuchModuleError
from sqlalchemy.orm import Session

from tocsin.model.clock import Clock
from tocsin.storage.control.errors import InvalidInput, StoreUnusable
from tocsin.storage.control.settings import ControlSettings

WRITES = "tocsin_writes"
# Where the server runs inside of a product that is watched, its own statements are none of the product's.
_UNWATCHED = {"tocsin": False}


class Database:
    """One control database. `read()` and `write()` give a session in a transaction that ends with the block."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self.clock = clock
        self._writing = engine.execution_options(**{WRITES: True})

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def now(self) -> datetime:
        return self.clock()

    @contextmanager
    def read(self) -> Iterator[Session]:
        with _refusing_data(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that holds the write lock from the start on SQLite; committed unless the block raises."""
        with _refusing_data(), Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    def lock(self, session: Session, number: int) -> None:
        """Waits until no other transaction holds this lock; SQLite has one for all writing anyway."""
        if not self.is_sqlite:
            session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A bare connection in a writing transaction, for migrations."""
        with self._writing.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def _refusing_data() -> Iterator[None]:
    """PostgreSQL refuses a NUL or what is too long where SQLite does not; either way the caller's input is at fault."""
    try:
        yield
    except DataError as error:
        raise InvalidInput("cannot store this value: it is too long or has control characters; change it") from error


def connect(url: str, settings: ControlSettings, clock: Clock) -> Database:
    """The database behind `url` (sqlite:///… or postgresql://…); nothing is read yet.

    Raises StoreUnusable for a URL of another kind or when the PostgreSQL driver is not installed.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise NoSuchModuleError(parsed.drivername)
        engine = _engine(parsed, settings)
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreUnusable(
            "cannot use the control database URL: it names neither SQLite nor PostgreSQL; "
            "write sqlite:///path or postgresql://user@host/name"
        ) from error
    except ModuleNotFoundError as error:
        raise StoreUnusable(f"cannot reach PostgreSQL: {error}; install tocsin[postgresql]") from error
    return Database(engine, clock)


def _engine(url: URL, settings: ControlSettings) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(url, pool_pre_ping=True, execution_options=_UNWATCHED)
    arguments = {"timeout": settings.busy_timeout_seconds}
    engine = create_engine(url, connect_args=arguments, execution_options=_UNWATCHED)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # It holds password hashes and the key of web push; the files beside it that WAL makes take over the mode.
    if path := connection.execute("PRAGMA database_list").fetchone()[2]:
        with suppress(OSError):  # somebody else's, whom it is left to
            os.chmod(path, 0o600)
    connection.isolation_level = None  # the driver would otherwise begin by itself, and too late for a write lock
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    # Taking the write lock at the start waits for other writers; taking it later would fail at once instead.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
