"""asyncpg used without SQLAlchemy: every statement of its connections, pools and prepared statements."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.guard import guarded, guarded_hook
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._driver_pools import DriverPools, Sizes
from tocsin.sdk.instrument._explain import Ask, Way
from tocsin.sdk.instrument._statements import Statements, is_no_call_of_the_app, statement_noter
from tocsin.sdk.settings import Settings

_OF_CONNECTIONS = ("execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany")
# What asyncpg runs for itself, the reset of a connection that goes back to its pool, BEGIN and COMMIT; and who asks for
# plans.
_OWN = ("asyncpg.connection", "asyncpg.transaction", __name__)
# Their second argument is a list of what others take one by one.
_MANY = ("executemany", "fetchmany")
_CONNECT_SECONDS = 5
_OF_STATEMENTS = ("fetch", "fetchrow", "fetchval", "fetchmany", "executemany")


class Instrument(_contract.Instrument):
    """Statements as spans and numbers, equal ones in one request, slow ones with their line and their plan."""

    modules = ("asyncpg",)
    contrib = "opentelemetry.instrumentation.asyncpg"

    def switch_on(self, settings: Settings) -> None:
        from asyncpg.connection import Connection
        from asyncpg.pool import Pool
        from asyncpg.prepared_stmt import PreparedStatement

        noted = statement_noter(settings, _ask_of)
        sources: dict[Any, Statements | None] = {}

        @guarded(None)
        def source_of(connection: Any) -> Statements | None:
            key = (connection._addr, connection._params.database)
            source = sources[key] = Statements(_facts(*key))
            return source

        @guarded_hook
        def note(
            connection: Any, query: str, began_ns: int, answer: Any, error: BaseException | None, parameters: Any
        ) -> None:
            ended_ns, key = perf_counter_ns(), (connection._addr, connection._params.database)
            source = sources.get(key) or source_of(connection)
            if source is not None:
                noted(source, query, began_ns, ended_ns, _rows(answer), error, connection, parameters)

        self._pools = DriverPools(settings, _sizes, _database_of, _is_kept)
        if all(hasattr(Pool, name) for name in ("get_size", "get_idle_size", "get_max_size")):
            self.patches.wrap(Pool, "_acquire", self._pools.watch_async)
            self.patches.wrap(Pool, "release", self._pools.watch_return_async)
        for name in _OF_CONNECTIONS:
            if hasattr(Connection, name):
                self.patches.wrap(Connection, name, partial(_watch_connection, note))
        for name in _OF_STATEMENTS:
            if hasattr(PreparedStatement, name):
                self.patches.wrap(PreparedStatement, name, partial(_watch_prepared, note))

    def gauges(self) -> Iterable[_contract.Gauge]:
        return self._pools.gauges()


def _sizes(pool: Any) -> Sizes | None:
    if pool._closed:
        return None
    size, idle = pool.get_size(), pool.get_idle_size()
    return Sizes(max(0, size - idle), idle, pool.get_max_size())


def _database_of(connection: Any) -> tuple[str, str, int]:
    return (str(connection._params.database), *_host_and_port(connection._addr))


def _is_kept(proxy: Any) -> bool:
    """Whether whoever took a connection still has it: one that was closed instead of released is gone as well."""
    return proxy._con is not None


def _watch_connection(note: Callable[..., None], original: Callable[..., Any]) -> Callable[..., Any]:
    is_many = original.__name__ in _MANY

    async def watched(connection: Any, query: Any, args: Any, options: Any) -> Any:
        began_ns = perf_counter_ns()
        try:
            answer = await original(connection, query, *args, **options)
        except BaseException as error:
            note(connection, query, began_ns, None, error, None)
            raise
        note(connection, query, began_ns, answer, None, None if is_many else args)
        return answer

    def run(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        # Who calls is only to be seen here: the coroutine may run in another greenlet.
        if is_no_call_of_the_app(_OWN):
            return original(self, query, *args, **options)
        return watched(self, query, args, options)

    return run


def _watch_prepared(note: Callable[..., None], original: Callable[..., Any]) -> Callable[..., Any]:
    is_many = original.__name__ in _MANY

    async def watched(statement: Any, args: Any, options: Any) -> Any:
        began_ns = perf_counter_ns()
        try:
            answer = await original(statement, *args, **options)
        except BaseException as error:
            note(statement._connection, statement._query, began_ns, None, error, None)
            raise
        note(statement._connection, statement._query, began_ns, answer, None, None if is_many else args)
        return answer

    def run(self: Any, *args: Any, **options: Any) -> Any:
        if is_no_call_of_the_app(_OWN):
            return original(self, *args, **options)
        return watched(self, args, options)

    return run


def _ask_of(connection: Any, statement: str, parameters: tuple[Any, ...]) -> Ask:
    """Asks for a plan where a connection goes, with TLS as it has it."""
    params, (host, port) = connection._params, _host_and_port(connection._addr)
    has_tls = connection._transport.get_extra_info("ssl_object") is not None
    where = {
        "host": host, "port": port, "user": params.user, "password": params.password, "database": params.database,
        "ssl": params.ssl if has_tls else False, "server_settings": params.server_settings,
        "timeout": _CONNECT_SECONDS, "statement_cache_size": 0,
    }  # fmt: skip
    return lambda way: asyncio.run(_ask(where, statement, parameters, way))


async def _ask(where: dict[str, Any], statement: str, parameters: tuple[Any, ...], way: Way) -> list[Any]:
    import asyncpg

    try:
        connection = await asyncpg.connect(**where)
        try:
            async with connection.transaction():
                for command in way.before:
                    await connection.execute(command)
                return list(await connection.fetch(way.word + statement, *parameters))
        finally:
            await connection.close(timeout=_CONNECT_SECONDS)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return []


def _host_and_port(address: Any) -> tuple[str, int]:
    """Of (host, port), or of the path of a socket, whose name ends in the port."""
    if isinstance(address, tuple):
        return address[0], address[1]
    folder, _, name = str(address).rpartition("/")
    return folder, int(name.rpartition(".")[2])


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
