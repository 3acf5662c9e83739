"""SQLAlchemy 2: every statement of every engine, synchronous or not, at the one place where dialects run them.

Wrapping the dialect's `do_execute` was measured at a sixth of what cursor events cost.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.caller import own_line
from tocsin.sdk.calls import Operation, current_span, note
from tocsin.sdk.errors import qualified_name
from tocsin.sdk.guard import guarded_hook
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._explain import Explainer
from tocsin.sdk.instrument._explain_engine import ask, dialect_of
from tocsin.sdk.instrument._pool import IGNORED, PoolWatch, server_of
from tocsin.sdk.instrument._statements import Statements, rare_facts, remember_line
from tocsin.sdk.settings import Settings
from tocsin.sdk.spans import RecordingSpan

_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "mssql": 1433, "oracle": 1521}
_SYSTEMS = {"mssql": "microsoft.sql_server", "oracle": "oracle.db"}


class Source(Statements):
    """One database as its engine knows it, and the operations seen on it."""

    def __init__(self, engine: Any) -> None:
        self.engine = weakref.ref(engine)
        url, dialect = engine.url, engine.dialect
        system = _SYSTEMS.get(dialect.name, dialect.name)
        # The file of SQLite is a path of this machine: its end says enough.
        namespace = str(url.database or "").replace("\\", "/").rpartition("/")[2]
        host = url.host or url.query.get("host", "")
        facts = {
            "db.system.name": system,
            "db.namespace": namespace,
            "server.address": host if isinstance(host, str) else ",".join(host),
            "server.port": url.port or "",
        }
        super().__init__(facts, is_mysql=dialect.name in ("mysql", "mariadb"))
        self.name = f"{system}/{namespace}" if namespace else system
        port = url.port or _PORTS.get(dialect.name, "")
        self.server = "" if dialect.name == "sqlite" else server_of(str(facts["server.address"]), port)


def source_of(dialect: Any, engine: Any) -> Source | None:
    """What is known of the database of a dialect; an engine has one of its own. None for engines left out."""
    source: Source | None = getattr(dialect, "_tocsin_source", None)
    if source is None and engine is not None and IGNORED not in dialect.__dict__:
        if engine.get_execution_options().get("tocsin") is False:
            dialect.__dict__[IGNORED] = True
            return None
        source = dialect.__dict__["_tocsin_source"] = Source(engine)
    return source


def _name_and_server(dialect: Any) -> tuple[str, str]:
    source = source_of(dialect, None)
    return (source.name, source.server) if source is not None else ("", "")


class Instrument(_contract.Instrument):
    """Statements as spans and numbers, equal ones in one request, slow ones with their plan, and the pool."""

    modules = ("sqlalchemy",)
    contrib = "opentelemetry.instrumentation.sqlalchemy"

    def switch_on(self, settings: Settings) -> None:
        import sqlalchemy
        from sqlalchemy.engine import Engine
        from sqlalchemy.engine.default import DefaultDialect

        if int(sqlalchemy.__version__.partition(".")[0]) < 2:
            raise _contract.UnsupportedError(f"SQLAlchemy {sqlalchemy.__version__} is older than 2.0")
        self._pools = PoolWatch(settings, _name_and_server)
        self._noted = _noted(settings, Explainer() if settings.explain else None)
        self.patches.wrap(DefaultDialect, "do_execute", self._watch_execute)
        self.patches.wrap(DefaultDialect, "do_execute_no_params", self._watch_no_params)
        self.patches.wrap(DefaultDialect, "do_executemany", self._watch_many)
        for kind in _subclasses(DefaultDialect):
            self._watch_overrides(kind)
        self.patches.wrap(DefaultDialect, "engine_created", self._watch_created)
        # Engines that were made before, which is usual: they refer to their class.
        for engine in gc.get_referrers(Engine):
            if isinstance(engine, Engine):
                source_of(engine.dialect, engine)
        self._pools.switch_on(self.patches)

    def gauges(self) -> Iterable[_contract.Gauge]:
        return self._pools.gauges()

    def _watch_overrides(self, kind: type) -> None:
        """Dialects with a way of their own to run statements: psycopg2, mysqlclient, pyodbc and others."""
        ways = {
            "do_execute": self._watch_execute,
            "do_execute_no_params": self._watch_no_params,
            "do_executemany": self._watch_many,
        }
        for name, watch in ways.items():
            if name in vars(kind):
                self.patches.wrap(kind, name, watch)

    def _watch_created(self, original: Callable[..., None]) -> Any:
        """`create_engine` reads the signature of the engine's `__init__`, and tells the dialect when it is done."""

        @guarded_hook
        def prepare(engine: Any) -> None:
            source_of(engine.dialect, engine)
            for kind in type(engine.dialect).__mro__:
                if any(base.__name__ == "DefaultDialect" for base in kind.__mro__[1:]):
                    self._watch_overrides(kind)

        def engine_created(cls: Any, engine: Any) -> None:
            original.__func__(cls, engine)  # type: ignore[attr-defined]  # a class method
            prepare(engine)

        return classmethod(engine_created)

    def _watch_execute(self, original: Any) -> Any:
        noted = self._noted

        def do_execute(self: Any, cursor: Any, statement: str, parameters: Any, context: Any = None) -> Any:
            began_ns = perf_counter_ns()
            try:
                given = original(self, cursor, statement, parameters, context)
            except BaseException as error:
                noted(self, cursor, statement, parameters, context, began_ns, error)
                raise
            noted(self, cursor, statement, parameters, context, began_ns, None)
            return given

        return do_execute

    def _watch_no_params(self, original: Any) -> Any:
        noted = self._noted

        def do_execute_no_params(self: Any, cursor: Any, statement: str, context: Any = None) -> Any:
            began_ns = perf_counter_ns()
            try:
                given = original(self, cursor, statement, context)
            except BaseException as error:
                noted(self, cursor, statement, None, context, began_ns, error)
                raise
            noted(self, cursor, statement, None, context, began_ns, None)
            return given

        return do_execute_no_params

    def _watch_many(self, original: Any) -> Any:
        noted = self._noted

        @guarded_hook
        def note_once(dialect: Any, cursor: Any, statement: str, context: Any, began_ns: int, error: Any) -> None:
            # An override may call the one that it overrides, which is watched as well.
            if context is None or not context.__dict__.get("_tocsin_noted"):
                noted(dialect, cursor, statement, None, context, began_ns, error)
            if context is not None:
                context.__dict__["_tocsin_noted"] = True

        def do_executemany(self: Any, cursor: Any, statement: str, parameters: Any, context: Any = None) -> Any:
            began_ns = perf_counter_ns()
            try:
                given = original(self, cursor, statement, parameters, context)
            except BaseException as error:
                note_once(self, cursor, statement, context, began_ns, error)
                raise
            note_once(self, cursor, statement, context, began_ns, None)
            return given

        return do_executemany


def _subclasses(kind: Any) -> Iterator[Any]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)


def _noted(settings: Settings, explainer: Explainer | None) -> Callable[..., None]:
    """What happens after each statement."""
    slow_ns = settings.slow_query_seconds * 1e9
    repeated = settings.repeated_queries

    @guarded_hook
    def noted(
        dialect: Any, cursor: Any, statement: str, parameters: Any, context: Any, began_ns: int, error: Any
    ) -> None:
        ended_ns = perf_counter_ns()
        source = dialect.__dict__.get("_tocsin_source") or source_of(dialect, getattr(context, "engine", None))
        if source is None:
            return
        operation = source.operations.get(statement) or source.find(statement, _compiled_from(context))
        span = current_span()
        if error is not None or ended_ns - began_ns >= slow_ns:
            noted_rare(source, operation, cursor, statement, parameters, began_ns, ended_ns, error, span)
            return
        group = note(operation, began_ns, ended_ns, span, "", cursor.rowcount)
        if group is not None and len(group) >= repeated > 0:
            remember_line(span, operation, None)

    def noted_rare(
        source: Source, operation: Operation, cursor: Any, statement: str, parameters: Any,
        began_ns: int, ended_ns: int, error: Any, span: RecordingSpan | None,
    ) -> None:  # fmt: skip
        """A statement that failed, or was slow: both can afford to say where they were called from."""
        line, is_slow = own_line(), ended_ns - began_ns >= slow_ns
        facts = rare_facts(span, operation, line, (ended_ns - began_ns) / 1e6, is_slow)
        name = qualified_name(error) if error is not None else ""
        group = note(operation, began_ns, ended_ns, span, name, -1 if name else cursor.rowcount, facts=facts)
        if group is not None and len(group) >= repeated > 0:
            remember_line(span, operation, line)
        engine = source.engine()
        if is_slow and not name and explainer is not None and engine is not None:
            prepare = partial(partial, ask, engine, statement, parameters)
            explainer.explain(dialect_of(engine), operation, statement, prepare)

    return noted


def _compiled_from(context: Any) -> str:
    """Expanded IN lists and batches of VALUES differ each time; what they were compiled from does not."""
    return getattr(getattr(context, "compiled", None), "string", None) or ""
