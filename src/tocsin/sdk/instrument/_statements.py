"""What every way to run SQL has in common: a database's operations by statement, and the note after each statement."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from tocsin.sdk.caller import Line, own_line
from tocsin.sdk.calls import Kind, Operation, current_span, note
from tocsin.sdk.errors import qualified_name
from tocsin.sdk.instrument._explain import Ask, Explainer
from tocsin.sdk.settings import Settings
from tocsin.sdk.spans import RecordingSpan
from tocsin.sdk.sql import fingerprint

# Statement texts whose operation is remembered per database; statements with literals in them would be endless.
_TEXTS = 2000
# Operations of one database; beyond it statements are counted by verb alone.
_OPERATIONS = 1000

# How the plan of a statement is asked for: of the connection that ran it, its text and its parameters.
AskOf = Callable[[Any, str, Any], Ask]

READ = Kind(
    "db.client.operation.duration",
    "database_query_duration_seconds",
    "Seconds a statement takes in the database and on the way there, by verb and table.",
    "database_queries_total",
    "Statements run, by verb, table, tenant and error.",
    "database_seconds_total",
    "Seconds that statements have taken, by tenant.",
    amount="db.response.returned_rows",
    amounts="db.client.response.returned_rows",
    repeats="tocsin.n_plus_one",
    group="db",
)
WRITE = READ._replace(amount="tocsin.db.response.affected_rows", amounts="")


class Statements:
    """One database, and the operations seen on it. facts: OpenTelemetry's attributes of it."""

    def __init__(self, facts: dict[str, Any], *, is_mysql: bool = False) -> None:
        self.is_mysql = is_mysql
        self.facts = {key: value for key, value in facts.items() if value not in ("", None)}
        self.operations: dict[str, Operation] = {}
        self._by_digest: dict[str, Operation] = {}

    def find(self, statement: str, compiled: str = "") -> Operation:
        """The operation of a text that is not known yet; remembered from now on.

        compiled: what it was expanded from. Lists and batches of VALUES differ each time, that does not.
        """
        text = compiled or statement
        operation = self.operations.get(text) or self._make(text)
        if text is statement or len(self.operations) < _TEXTS:
            if len(self.operations) >= _TEXTS:
                self.operations.clear()
            self.operations[text] = operation
            self.operations[statement] = operation
        return operation

    def _make(self, text: str) -> Operation:
        found = fingerprint(text, mysql=self.is_mysql)
        operation = self._by_digest.get(found.digest)
        if operation is not None:
            return operation
        verb, table = found.operation or "OTHER", found.table
        if len(self._by_digest) >= _OPERATIONS:
            found = found._replace(digest=verb, text="", table="")
            operation = self._by_digest.get(verb)
            if operation is not None:
                return operation
            table = ""
        summary = f"{verb} {table}".strip()
        common = {**self.facts, "db.operation.name": verb, **({"db.collection.name": table} if table else {})}
        attributes = {**common, "db.query.summary": summary, "db.query.text": found.text}
        attributes["tocsin.db.fingerprint"] = found.digest
        kind = READ if verb in ("SELECT", "WITH") else WRITE
        labels = {"operation": verb, "table": table}
        facts = {**common, "tocsin.db.fingerprint": found.digest}
        operation = self._by_digest[found.digest] = Operation(kind, summary, attributes, facts, labels)
        return operation


def statement_noter(settings: Settings, ask_of: AskOf) -> Callable[..., None]:
    """What happens after each statement that a driver of PostgreSQL ran; its hook guards it.

    (database, statement, began_ns, ended_ns, rows, error, connection, parameters); parameters is None for a statement
    that was run many times at once. ask_of: how the plan of one that was slow is asked for.
    """
    slow_ns = settings.slow_query_seconds * 1e9
    repeated = settings.repeated_queries
    explainer = Explainer() if settings.explain else None

    def noted(
        source: Statements, statement: str, began_ns: int, ended_ns: int, rows: int, error: BaseException | None,
        connection: Any, parameters: Any,
    ) -> None:  # fmt: skip
        operation = source.operations.get(statement) or source.find(statement)
        span = current_span()
        line, facts, name = None, None, ""
        is_slow = ended_ns - began_ns >= slow_ns
        if error is not None or is_slow:
            line = own_line()
            facts = rare_facts(span, operation, line, (ended_ns - began_ns) / 1e6, is_slow)
            name = qualified_name(error) if error is not None else ""
        group = note(operation, began_ns, ended_ns, span, name, -1 if name else rows, facts=facts)
        if group is not None and len(group) >= repeated > 0:
            remember_line(span, operation, line)
        if is_slow and not name and explainer is not None and parameters is not None:
            explainer.explain("postgresql", operation, statement, partial(ask_of, connection, statement, parameters))

    return noted


def rare_facts(
    span: RecordingSpan | None, operation: Operation, line: Line | None, spent_ms: float, is_slow: bool
) -> dict[str, Any]:
    """The attributes of a statement that failed or was slow; a slow one is named on its request, too."""
    facts: dict[str, Any] = line.attributes() if line is not None else {}
    if is_slow:
        facts["tocsin.slow"] = True
        if span is not None:
            _name_slow(span.root, operation, line, spent_ms)
    return facts


def remember_line(span: Any, operation: Operation, line: Line | None) -> None:
    """Notes, once in a trace, where an operation is repeated from."""
    calls = span.root.calls
    if calls is not None and operation not in calls.lines:
        calls.lines[operation] = line or own_line()


def is_no_call_of_the_app(own: tuple[str, ...]) -> bool:
    """Whether the caller of our caller is the driver itself or we, in one of the modules `own`, or SQLAlchemy, whose
    statements are noted where its dialects run them."""
    name = str(sys._getframe(2).f_globals.get("__name__", ""))
    if name in own:
        return True
    if not name.startswith("sqlalchemy."):
        return False
    from tocsin.sdk import instrument

    return instrument.is_on("sqlalchemy")


def _name_slow(root: RecordingSpan, operation: Operation, line: Line | None, spent_ms: float) -> None:
    """Puts the slowest statement on the request."""
    if spent_ms > (root.attributes or {}).get("tocsin.slow_query.duration_ms", 0.0):
        root.set_attribute("tocsin.slow_query.duration_ms", round(spent_ms, 3))
        root.set_attribute("tocsin.slow_query.query", operation.attributes["db.query.text"])
        root.set_attribute("tocsin.slow_query.line", str(line) if line is not None else "")
