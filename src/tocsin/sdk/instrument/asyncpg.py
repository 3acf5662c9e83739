"""asyncpg used without SQLAlchemy: every statement of its connections, pools and prepared statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.guard import guarded, guarded_hook
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._driver_pools import DriverPools, Sizes
from tocsin.sdk.instrument._statements import Statements, is_no_call_of_the_app, statement_noter
from tocsin.sdk.settings import Settings

_OF_CONNECTIONS = ("execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany")
# What asyncpg runs for itself: the reset of a connection that goes back to its pool, BEGIN and COMMIT.
_OWN = ("asyncpg.connection", "asyncpg.transaction")
_OF_STATEMENTS = ("fetch", "fetchrow", "fetchval", "fetchmany", "executemany")


class Instrument(_contract.Instrument):
    """Statements as spans and numbers, equal ones in one request, slow ones with their line."""

    modules = ("asyncpg",)
    contrib = "opentelemetry.instrumentation.asyncpg"

    def switch_on(self, settings: Settings) -> None:
        from asyncpg.connection import Connection
        from asyncpg.pool import Pool
        from asyncpg.prepared_stmt import PreparedStatement

        noted = statement_noter(settings)
        sources: dict[Any, Statements | None] = {}

        @guarded(None)
        def source_of(connection: Any) -> Statements | None:
            key = (connection._addr, connection._params.database)
            source = sources[key] = Statements(_facts(*key))
            return source

        @guarded_hook
        def note(connection: Any, query: str, began_ns: int, answer: Any, error: BaseException | None) -> None:
            key = (connection._addr, connection._params.database)
            source = sources.get(key) or source_of(connection)
            if source is not None:
                noted(source, query, began_ns, _rows(answer), error)

        self._pools = DriverPools(_sizes, lambda connection: str(connection._params.database))
        if all(hasattr(Pool, name) for name in ("get_size", "get_idle_size", "get_max_size")):
            self.patches.wrap(Pool, "_acquire", self._pools.watch_async)
        for name in _OF_CONNECTIONS:
            if hasattr(Connection, name):
                self.patches.wrap(Connection, name, lambda original: _watch_connection(original, note))
        for name in _OF_STATEMENTS:
            if hasattr(PreparedStatement, name):
                self.patches.wrap(PreparedStatement, name, lambda original: _watch_prepared(original, note))

    def gauges(self) -> Iterable[_contract.Gauge]:
        return self._pools.gauges()


def _sizes(pool: Any) -> Sizes | None:
    if pool._closed:
        return None
    size, idle = pool.get_size(), pool.get_idle_size()
    return Sizes(max(0, size - idle), idle, pool.get_max_size())


def _watch_connection(original: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
    async def watched(connection: Any, query: Any, args: Any, options: Any) -> Any:
        began_ns = perf_counter_ns()
        try:
            answer = await original(connection, query, *args, **options)
        except BaseException as error:
            note(connection, query, began_ns, None, error)
            raise
        note(connection, query, began_ns, answer, None)
        return answer

    def run(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        # Who calls is only to be seen here: the coroutine may run in another greenlet.
        if is_no_call_of_the_app(_OWN):
            return original(self, query, *args, **options)
        return watched(self, query, args, options)

    return run


def _watch_prepared(original: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
    async def watched(statement: Any, args: Any, options: Any) -> Any:
        began_ns = perf_counter_ns()
        try:
            answer = await original(statement, *args, **options)
        except BaseException as error:
            note(statement._connection, statement._query, began_ns, None, error)
            raise
        note(statement._connection, statement._query, began_ns, answer, None)
        return answer

    def run(self: Any, *args: Any, **options: Any) -> Any:
        if is_no_call_of_the_app(_OWN):
            return original(self, *args, **options)
        return watched(self, args, options)

    return run


def _facts(address: Any, database: str) -> dict[str, Any]:
    """address: (host, port), or the path of a socket."""
    host, port = address if isinstance(address, tuple) else (str(address).rpartition("/")[0], "")
    return {"db.system.name": "postgresql", "db.namespace": database, "server.address": host, "server.port": port}


def _rows(answer: Any) -> int:
    """Rows as `fetch` gives them, or as the status of `execute` tells (`INSERT 0 5`); -1 when nothing does."""
    if type(answer) is list:
        return len(answer)
    if type(answer) is str:
        count = answer.rpartition(" ")[2]
        return int(count) if count.isdigit() else -1
    return -1 if answer is None else 1
