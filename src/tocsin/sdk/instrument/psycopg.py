"""psycopg 3 used without SQLAlchemy: every statement of its cursors, synchronous and asyncio."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.guard import guarded, guarded_hook
from tocsin.sdk.instrument import _contract, _explain_engine
from tocsin.sdk.instrument._explain import Ask, Way
from tocsin.sdk.instrument._statements import Statements, is_no_call_of_the_app, statement_noter
from tocsin.sdk.settings import Settings

_SOURCE = "_tocsin_source"
# What psycopg asks for itself, how types are called; and who asks for plans.
_OWN = ("psycopg._typeinfo", __name__, _explain_engine.__name__)
_CONNECT_SECONDS = 5


class Instrument(_contract.Instrument):
    """Statements as spans and numbers, equal ones in one request, slow ones with their line and their plan."""

    modules = ("psycopg",)
    contrib = "opentelemetry.instrumentation.psycopg"

    def switch_on(self, settings: Settings) -> None:
        import psycopg

        if int(psycopg.__version__.partition(".")[0]) < 3:
            raise _contract.UnsupportedError(f"psycopg {psycopg.__version__} is older than 3")
        self._noted = statement_noter(settings, _ask_of)
        self._sources: dict[tuple[Any, ...], Statements] = {}
        for kind in (psycopg.Cursor, getattr(psycopg, "ServerCursor", None)):
            for name in ("execute", "executemany"):
                if name in vars(kind):
                    self.patches.wrap(kind, name, partial(self._watch, name == "executemany"))
        for kind in (psycopg.AsyncCursor, getattr(psycopg, "AsyncServerCursor", None)):
            for name in ("execute", "executemany"):
                if name in vars(kind):
                    self.patches.wrap(kind, name, partial(self._watch_async, name == "executemany"))

    def _watch(self, is_many: bool, original: Callable[..., Any]) -> Callable[..., Any]:
        note = guarded_hook(self._note)

        def execute(self: Any, query: Any, *args: Any, **options: Any) -> Any:
            if is_no_call_of_the_app(_OWN):
                return original(self, query, *args, **options)
            began_ns = perf_counter_ns()
            try:
                given = original(self, query, *args, **options)
            except BaseException as error:
                note(self, query, began_ns, error, None)
                raise
            note(self, query, began_ns, None, None if is_many else args or options)
            return given

        return execute

    def _watch_async(self, is_many: bool, original: Callable[..., Any]) -> Callable[..., Any]:
        note = guarded_hook(self._note)

        async def watched(cursor: Any, query: Any, args: Any, options: Any) -> Any:
            began_ns = perf_counter_ns()
            try:
                given = await original(cursor, query, *args, **options)
            except BaseException as error:
                note(cursor, query, began_ns, error, None)
                raise
            note(cursor, query, began_ns, None, None if is_many else args or options)
            return given

        def execute(self: Any, query: Any, *args: Any, **options: Any) -> Any:
            # Who calls is only to be seen here: the coroutine may run in another greenlet.
            if is_no_call_of_the_app(_OWN):
                return original(self, query, *args, **options)
            return watched(self, query, args, options)

        return execute

    def _note(self, cursor: Any, query: Any, began_ns: int, error: BaseException | None, parameters: Any) -> None:
        ended_ns, connection = perf_counter_ns(), cursor._conn
        source = connection.__dict__.get(_SOURCE) or self._source_of(connection)
        if source is not None:
            text = query if type(query) is str else _text(query, cursor)
            rows = cursor.rowcount if error is None else -1
            self._noted(source, text, began_ns, ended_ns, rows, error, connection, parameters)

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


def _ask_of(connection: Any, statement: str, parameters: Any) -> Ask:
    """Asks for a plan where a connection goes. parameters: what followed the statement, by place or by name."""
    info = connection.info
    where = {"connect_timeout": _CONNECT_SECONDS, **info.get_parameters()}
    if info.password:
        where["password"] = info.password
    given = parameters[0] if isinstance(parameters, tuple) else parameters.get("params")
    # The connection as context: values of the app's own types are sent as it has taught this connection to.
    where["context"] = connection
    return partial(_ask, where, statement, given)


def _ask(where: dict[str, Any], statement: str, parameters: Any, way: Way) -> list[Any]:
    import psycopg

    try:
        # Our own cursor, because what we call ourselves is nobody's statement.
        with psycopg.connect(**where) as connection, connection.cursor() as cursor:
            for command in way.before:
                cursor.execute(command.encode())
            return cursor.execute((way.word + statement).encode(), parameters).fetchall()
    except psycopg.Error:
        return []
