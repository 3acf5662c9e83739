"""psycopg 3 used without SQLAlchemy: every statement of its cursors, synchronous and asyncio."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.guard import guarded
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._statements import Statements, is_no_call_of_the_app, statement_noter
from tocsin.sdk.settings import Settings

_SOURCE = "_tocsin_source"
# What psycopg asks for itself: how types are called.
_OWN = ("psycopg._typeinfo",)


class Instrument(_contract.Instrument):
    """Statements as spans and numbers, equal ones in one request, slow ones with their line."""

    modules = ("psycopg",)
    contrib = "opentelemetry.instrumentation.psycopg"

    def switch_on(self, settings: Settings) -> None:
        import psycopg

        if int(psycopg.__version__.partition(".")[0]) < 3:
            raise _contract.UnsupportedError(f"psycopg {psycopg.__version__} is older than 3")
        self._noted = statement_noter(settings)
        self._sources: dict[tuple[Any, ...], Statements] = {}
        for kind in (psycopg.Cursor, getattr(psycopg, "ServerCursor", None)):
            for name in ("execute", "executemany"):
                if name in vars(kind):
                    self.patches.wrap(kind, name, self._watch)
        for kind in (psycopg.AsyncCursor, getattr(psycopg, "AsyncServerCursor", None)):
            for name in ("execute", "executemany"):
                if name in vars(kind):
                    self.patches.wrap(kind, name, self._watch_async)

    def _watch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        note = self._note

        def execute(self: Any, query: Any, *args: Any, **options: Any) -> Any:
            if is_no_call_of_the_app(_OWN):
                return original(self, query, *args, **options)
            began_ns = perf_counter_ns()
            try:
                given = original(self, query, *args, **options)
            except BaseException as error:
                note(self, query, began_ns, error)
                raise
            note(self, query, began_ns, None)
            return given

        return execute

    def _watch_async(self, original: Callable[..., Any]) -> Callable[..., Any]:
        note = self._note

        async def watched(cursor: Any, query: Any, args: Any, options: Any) -> Any:
            began_ns = perf_counter_ns()
            try:
                given = await original(cursor, query, *args, **options)
            except BaseException as error:
                note(cursor, query, began_ns, error)
                raise
            note(cursor, query, began_ns, None)
            return given

        def execute(self: Any, query: Any, *args: Any, **options: Any) -> Any:
            # Who calls is only to be seen here: the coroutine may run in another greenlet.
            if is_no_call_of_the_app(_OWN):
                return original(self, query, *args, **options)
            return watched(self, query, args, options)

        return execute

    def _note(self, cursor: Any, query: Any, began_ns: int, error: BaseException | None) -> None:
        source = cursor._conn.__dict__.get(_SOURCE) or self._source_of(cursor._conn)
        if source is not None:
            text = query if type(query) is str else _text(query, cursor)
            self._noted(source, text, began_ns, cursor.rowcount if error is None else -1, error)

    @guarded(None)
    def _source_of(self, connection: Any) -> Statements:
        """Of the database a connection goes to; connections to the same one share what is known of it."""
        info = connection.info
        host = info.host
        facts = {
            "db.system.name": "postgresql",
            "db.namespace": info.dbname,
            "server.address": host,
            # A socket in a folder has no port worth telling.
            "server.port": "" if host.startswith("/") else info.port,
        }
        source = self._sources.setdefault(tuple(facts.values()), Statements(facts))
        connection.__dict__[_SOURCE] = source
        return source


@guarded("")
def _text(query: Any, cursor: Any) -> str:
    """Bytes and psycopg.sql's compositions as text."""
    if isinstance(query, bytes):
        return query.decode("utf-8", "replace")
    return str(query.as_string(cursor)) if hasattr(query, "as_string") else str(query)
