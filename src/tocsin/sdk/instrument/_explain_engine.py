"""The plan of a statement that SQLAlchemy ran: asked for on a connection made the way its engine makes its own."""

from __future__ import annotations

import asyncio
from typing import Any

from tocsin.sdk.instrument._explain import Way
from tocsin.sdk.instrument._pool import IGNORED


def dialect_of(engine: Any) -> str:
    """Its name; MariaDB's own also behind a `mysql://` address."""
    return "mariadb" if getattr(engine.dialect, "is_mariadb", False) else str(engine.dialect.name)


def ask(engine: Any, statement: str, parameters: Any, way: Way) -> list[Any]:
    """What EXPLAIN answers; nothing for a database in memory, or where a right is missing."""
    from sqlalchemy.exc import SQLAlchemyError

    failures: Any = (SQLAlchemyError, OSError)
    if engine.dialect.dbapi is not None:
        failures = (*failures, engine.dialect.dbapi.Error)
    try:
        if engine.dialect.is_async:
            return asyncio.run(_spawned(engine, statement, parameters, way))
        return _rows(engine, statement, parameters, way)
    except failures:
        return []


async def _spawned(engine: Any, statement: str, parameters: Any, way: Way) -> list[Any]:
    from sqlalchemy.util import greenlet_spawn

    return await greenlet_spawn(_rows, engine, statement, parameters, way)


def _rows(engine: Any, statement: str, parameters: Any, way: Way) -> list[Any]:
    pool = engine.pool.recreate()
    pool.__dict__[IGNORED] = True
    connection = pool.connect()
    try:
        cursor = connection.cursor()
        for command in way.before:
            cursor.execute(command)
        if parameters:
            cursor.execute(way.word + statement, parameters)
        else:
            cursor.execute(way.word + statement)
        rows = list(cursor.fetchall())
        cursor.close()
        connection.rollback()
    finally:
        connection.invalidate()
        pool.dispose()
    return rows
