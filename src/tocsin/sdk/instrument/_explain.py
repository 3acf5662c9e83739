"""The plan of a slow SELECT: asked for once a statement, in a thread and on a connection of its own, read-only.

Never ANALYZE: nothing is run a second time. Literals and parameters in the plan become ?, as in the statement.
"""

from __future__ import annotations

import json
import re
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from tocsin.sdk.agents import current_agent
from tocsin.sdk.calls import Operation
from tocsin.sdk.guard import guarded
from tocsin.sdk.sql import without_literals

# The plan as an event, found by the statement's fingerprint for as long as events are kept.
PLAN_EVENT = "tocsin.db.plan"
# Between two EXPLAINs of this process, whatever the statements.
PAUSE_SECONDS = 5.0
_PLAN_CHARACTERS = 3000
_STATEMENT_CHARACTERS = 20_000

_SELECT = re.compile(r"\s*(?:/\*.*?\*/\s*)*SELECT\b", re.IGNORECASE | re.DOTALL)
# PostgreSQL: `  Filter: (name = 'x'::text)`, `  Index Cond: (id = 5)`.
_DETAIL = re.compile(r"(\s*[A-Z][A-Za-z ]+: )(.*)", re.DOTALL)
_QUOTED = re.compile(r"'(?:[^']|'')*'")


class Way(NamedTuple):
    """How a database is asked for a plan. before: statements sent first; word: what stands before the statement."""

    before: tuple[str, ...]
    word: str


# Sent before, so that a plan neither waits for a lock nor takes long; and the word itself.
_WAYS = {
    "postgresql": Way(
        ("SET TRANSACTION READ ONLY", "SET LOCAL lock_timeout = '100ms'", "SET LOCAL statement_timeout = '2s'"),
        "EXPLAIN ",
    ),
    "mysql": Way(("SET SESSION TRANSACTION READ ONLY", "SET SESSION max_execution_time = 2000"), "EXPLAIN "),
    "mariadb": Way(("SET SESSION TRANSACTION READ ONLY", "SET SESSION max_statement_time = 2"), "EXPLAIN "),
    "sqlite": Way((), "EXPLAIN QUERY PLAN "),
}


# Asks for the plan on a connection of its own and gives what EXPLAIN answered, or nothing where there is no plan.
Ask = Callable[[Way], list[Any]]


class Explainer:
    """Asks for plans, one at a time; a plan is put among the notes of its operation."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: weakref.WeakSet[Operation] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._not_before = 0.0

    def explain(self, dialect: str, operation: Operation, statement: str, prepare: Callable[[], Ask]) -> bool:
        """Starts a thread that asks for the plan; False when it may not, or not now.

        prepare: called here and now, where the connection of the slow statement is still at hand.
        """
        if dialect not in _WAYS or not is_explainable(statement):
            return False
        with self._lock:
            now = self._clock()
            if operation in self._asked or now < self._not_before:
                return False
            self._not_before = now + PAUSE_SECONDS
            self._asked.add(operation)
        arguments = (prepare(), dialect, operation)
        threading.Thread(target=_learn, args=arguments, name="tocsin-explain", daemon=True).start()
        return True


def is_explainable(statement: str) -> bool:
    """One plain SELECT, and of a sensible size."""
    is_one = ";" not in statement.rstrip().rstrip(";")
    return is_one and len(statement) <= _STATEMENT_CHARACTERS and _SELECT.match(statement) is not None


@guarded(None)
def _learn(ask: Ask, dialect: str, operation: Operation) -> None:
    """Puts the plan on the operation, and tells it once."""
    plan = plan_text(dialect, ask(_WAYS[dialect]))[:_PLAN_CHARACTERS]
    if plan:
        operation.notes = {"tocsin.db.query.plan": plan}
        agent = current_agent()
        if agent is not None:
            agent.emit(PLAN_EVENT, plan, operation.attributes, tenant="")


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
