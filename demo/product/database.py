"""The SQLite database: one engine, a bounded pool, short sessions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session, sessionmaker

from demo.product.models import Base

POOL_CONNECTIONS = 10
POOL_TIMEOUT_SECONDS = 1.5


class Database:
    """Sessions on one SQLite file. Used from the threadpool: a synchronous driver, never from the event loop."""

    def __init__(self, path: Path) -> None:
        self.engine = _engine(path)
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


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        pool_size=POOL_CONNECTIONS,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        connect_args={"timeout": 10, "check_same_thread": False},
    )
    event.listen(engine, "connect", _configure_connection)
    return engine


def _configure_connection(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
