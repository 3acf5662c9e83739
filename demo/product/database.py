"""The SQLite database: one engine, a bounded pool, short sessions.

SQLite runs in the process and in memory; products have a network between them and their database, and a disk behind it.
So every statement waits for a short round trip, without which a hundred small statements would cost as little as one,
and the more it reads the longer it waits for pages: a full scan is slow without burning the CPU of whoever tries this.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session, sessionmaker

from demo.product.models import Base

log = logging.getLogger("tallyroom.database")

POOL_CONNECTIONS = 10
POOL_TIMEOUT_SECONDS = 1.5
ROUND_TRIP_SECONDS = 0.0006
STEPS_PER_ROUND_TRIP = 3_000
SLOW_QUERY_SECONDS = 0.1
_STATEMENT_CHARACTERS = 500


class Database:
    """Sessions on one SQLite file. Used from the threadpool: a synchronous driver, never from the event loop."""

    def __init__(self, path: Path, round_trip_seconds: float = ROUND_TRIP_SECONDS) -> None:
        self.engine = _engine(path, round_trip_seconds)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    def create_tables(self) -> None:
        """Every table, where it is missing."""
        Base.metadata.create_all(self.engine)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session that gives its connection back at the end; commit inside what should stay."""
        with self._sessions() as session:
            yield session

    def open_session(self) -> Session:
        """A session the caller must close."""
        return self._sessions()

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()


def _engine(path: Path, round_trip_seconds: float) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        pool_size=POOL_CONNECTIONS,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        connect_args={"timeout": 10, "check_same_thread": False, "factory": _distant_connection(round_trip_seconds)},
    )
    event.listen(engine, "connect", _configure_connection)
    event.listen(engine, "before_cursor_execute", _note_begin)
    event.listen(engine, "after_cursor_execute", _tell_slow)
    return engine


def _distant_connection(round_trip_seconds: float) -> type[sqlite3.Connection]:
    class DistantCursor(sqlite3.Cursor):
        def execute(self, *args: Any) -> Self:
            time.sleep(round_trip_seconds)
            return super().execute(*args)

    def read_page() -> int:
        time.sleep(round_trip_seconds)
        return 0

    class DistantConnection(sqlite3.Connection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.set_progress_handler(read_page, STEPS_PER_ROUND_TRIP)

        def cursor(self, *_: Any) -> DistantCursor:  # type: ignore[override]  # one kind of cursor is all we open
            return super().cursor(DistantCursor)

    return DistantConnection


def _note_begin(connection: Any, *_: Any) -> None:
    connection.info["began"] = time.perf_counter()


def _tell_slow(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    seconds = time.perf_counter() - connection.info["began"]
    if seconds >= SLOW_QUERY_SECONDS:
        text = " ".join(statement.split())[:_STATEMENT_CHARACTERS]
        facts = {"event": "query.slow", "duration_ms": round(seconds * 1000, 1), "statement": text}
        log.warning("slow query: %.0f ms for %s", seconds * 1000, text, extra=facts)


def _configure_connection(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
