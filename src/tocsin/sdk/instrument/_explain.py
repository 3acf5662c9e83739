"""The plan of a slow SELECT: asked for once a statement, in a thread and on a connection of its own, read-only.

Never ANALYZE: nothing is run a second time. Literals and parameters in the plan become ?, as in the statement.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from tocsin.sdk.calls import Operation
from tocsin.sdk.guard import guarded
from tocsin.sdk.instrument._pool import IGNORED
from tocsin.sdk.sql import without_literals

# The plan as an event, found by the statement's fingerprint for as long as events are kept.
PLAN_EVENT = "tocsin.db.plan"
# Between two EXPLAINs of this process, whatever the statements.
PAUSE_SECONDS = 5.0
_PLAN_CHARACTERS = 3000
_STATEMENT_CHARACTERS = 20_000

# Sent before, so that a plan neither waits for a lock nor takes long; and the word itself.
_WAYS: dict[str, tuple[tuple[str, ...], str]] = {
    "postgresql": (
        ("SET TRANSACTION READ ONLY", "SET LOCAL lock_timeout = '100ms'", "SET LOCAL statement_timeout = '2s'"),
        "EXPLAIN ",
    ),
    "mysql": (("SET SESSION TRANSACTION READ ONLY", "SET SESSION max_execution_time = 2000"), "EXPLAIN "),
    "mariadb": (("SET SESSION TRANSACTION READ ONLY", "SET SESSION max_statement_time = 2"), "EXPLAIN "),
    "sqlite": ((), "EXPLAIN QUERY PLAN "),
}
_SELECT = re.compile(r"\s*(?:/\*.*?\*/\s*)*SELECT\b", re.IGNORECASE | re.DOTALL)
# PostgreSQL: `  Filter: (name = 'x'::text)`, `  Index Cond: (id = 5)`.
_DETAIL = re.compile(r"(\s*[A-Z][A-Za-z ]+: )(.*)", re.DOTALL)
_QUOTED = re.compile(r"'(?:[^']|'')*'")


class Explainer:
    """Asks for plans, one at a time; a plan is put among the notes of its operation."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: weakref.WeakSet[Operation] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._not_before = 0.0

    def explain(self, engine: Any, operation: Operation, statement: str, parameters: Any) -> bool:
        """Starts a thread that asks for the plan; False when it may not, or not now."""
        name = engine.dialect.name
        if name not in _WAYS or not is_explainable(statement):
            return False
        with self._lock:
            now = self._clock()
            if operation in self._asked or now < self._not_before:
                return False
            self._not_before = now + PAUSE_SECONDS
            self._asked.add(operation)
        thread = threading.Thread(
            target=_ask, args=(engine, operation, statement, parameters), name="tocsin-explain", daemon=True
        )
        thread.start()
        return True


def is_explainable(statement: str) -> bool:
    """One plain SELECT, and of a sensible size."""
    is_one = ";" not in statement.rstrip().rstrip(";")
    return is_one and len(statement) <= _STATEMENT_CHARACTERS and _SELECT.match(statement) is not None


@guarded(None)
def _ask(engine: Any, operation: Operation, statement: str, parameters: Any) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    from tocsin.sdk.agent import current_agent

    failures: Any = (SQLAlchemyError, OSError)
    if engine.dialect.dbapi is not None:
        failures = (*failures, engine.dialect.dbapi.Error)
    try:
        if engine.dialect.is_async:
            from sqlalchemy.util import greenlet_spawn

            rows = asyncio.run(_spawned(greenlet_spawn, engine, statement, parameters))
        else:
            rows = _rows(engine, statement, parameters)
    except failures:
        return  # a database in memory, a right that is missing: then there is no plan
    plan = plan_text(engine.dialect.name, rows)[:_PLAN_CHARACTERS]
    if plan:
        operation.notes = {"tocsin.db.query.plan": plan}
        agent = current_agent()
        if agent is not None:
            agent.emit(PLAN_EVENT, plan, operation.attributes, tenant="")


async def _spawned(spawn: Any, engine: Any, statement: str, parameters: Any) -> Any:
    return await spawn(_rows, engine, statement, parameters)


def _rows(engine: Any, statement: str, parameters: Any) -> list[Any]:
    """What EXPLAIN answers, on a fresh connection made the way the engine makes its own."""
    is_mariadb = getattr(engine.dialect, "is_mariadb", False)  # also behind a `mysql://` address
    before, explain = _WAYS["mariadb" if is_mariadb else engine.dialect.name]
    pool = engine.pool.recreate()
    pool.__dict__[IGNORED] = True
    connection = pool.connect()
    try:
        cursor = connection.cursor()
        for command in before:
            cursor.execute(command)
        if parameters:
            cursor.execute(explain + statement, parameters)
        else:
            cursor.execute(explain + statement)
        rows = list(cursor.fetchall())
        cursor.close()
        connection.rollback()
    finally:
        connection.invalidate()
        pool.dispose()
    return rows


def plan_text(dialect: str, rows: list[Any]) -> str:
    """A plan as lines without any literal."""
    if dialect == "postgresql":
        return "\n".join(_masked(str(row[0])) for row in rows)
    if dialect == "sqlite":
        depths: dict[int, int] = {0: 0}
        lines = []
        for number, parent, _, detail in rows:
            depth = depths[number] = depths.get(parent, 0) + 1
            lines.append("  " * (depth - 1) + _QUOTED.sub("?", detail))
        return "\n".join(lines)
    return "\n".join(_QUOTED.sub("?", json.dumps([str(value) for value in row])) for row in rows)


def _masked(line: str) -> str:
    found = _DETAIL.fullmatch(line)
    if found is not None:
        return found[1] + without_literals(found[2])
    return _QUOTED.sub("?", line)
