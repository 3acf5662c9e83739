"""SQLAlchemy's connection pools: how full they are, how long one waits for a connection, and who keeps one too long."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Callable, Iterator
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.calls import Kind, Operation, current_span, note
from tocsin.sdk.errors import qualified_name
from tocsin.sdk.guard import guarded_hook
from tocsin.sdk.instrument._contract import Gauge, Patches
from tocsin.sdk.instrument._holders import Holders
from tocsin.sdk.settings import Settings

# Waits shorter than this are counted and make no span.
_SHORT_NS = 1_000_000
# Set on pools and dialects that are not to be watched.
IGNORED = "_tocsin_ignored"

_WAIT = Kind(
    "db.client.connection.wait_time",
    "database_connection_wait_seconds",
    "Seconds until a connection is had from the pool.",
    "database_connection_checkouts_total",
    "Connections taken from the pool, by tenant and error.",
    "database_connection_waited_seconds_total",
    "Seconds waited for connections, by tenant.",
    least_ns=_SHORT_NS,
    group="pool",
)


def size_gauges(name: str, active: int, idle: int, overflow: int) -> Iterator[Gauge]:
    words = "Connections of the pool: in use, idle, and in use beyond its size."
    for state, value in (("active", active), ("idle", idle), ("overflow", overflow)):
        yield Gauge("database_connection_pool_size", words, "{connection}", value, {"pool": name, "state": state})


def limit_gauge(name: str, most: int) -> Gauge:
    words = "Connections that the pool may have at once."
    return Gauge("database_connection_pool_limit", words, "{connection}", most, {"pool": name})


def server_of(host: str, port: int | str) -> str:
    """How services that use the same server call it alike, `db1:5432`: this machine by its name, not as localhost."""
    if not host or host.startswith(("/", "@", "127.")) or host in ("localhost", "::1"):
        host = socket.gethostname()
    return f"{host}:{port}" if port else host


def wait_operation(pool: str, server: str) -> Operation:
    """Waiting for a connection of the pool of this name. server: `db1:5432`, '' when it is unknown."""
    attributes = {"db.client.connection.pool.name": pool}
    labels = {"pool": pool, "server": server} if server else {"pool": pool}
    return Operation(_WAIT, "connection wait", attributes, attributes, labels)


class PoolWatch:
    """Follows connections from the moment they are taken until they are given back."""

    def __init__(self, settings: Settings, name_and_server_of: Callable[[Any], tuple[str, str]]) -> None:
        self._name_and_server_of = name_and_server_of
        self._pools: weakref.WeakSet[Any] = weakref.WeakSet()
        # Of each connection its record; one that was detached is its pool's no more.
        self._holders = Holders(settings, lambda record: record.fairy_ref is not None)
        self._operations: dict[tuple[str, str], Operation] = {}

    def switch_on(self, patches: Patches) -> None:
        from sqlalchemy.pool import Pool

        patches.wrap(Pool, "connect", self._watch_connect)
        patches.wrap(Pool, "_return_conn", self._watch_return)

    def gauges(self) -> Iterator[Gauge]:
        for pool in list(self._pools):
            yield from self._sizes(pool)
        yield from self._holders.gauges()

    def _sizes(self, pool: Any) -> Iterator[Gauge]:
        """Only pools that keep connections can tell."""
        if not hasattr(pool, "checkedin") or not hasattr(pool, "overflow"):
            return
        name = self._name(pool)
        yield from size_gauges(name, pool.checkedout(), pool.checkedin(), max(0, pool.overflow()))
        most = pool.size() + pool._max_overflow if pool._max_overflow >= 0 else 0
        if most:
            yield limit_gauge(name, most)

    def _name(self, pool: Any) -> str:
        return self._name_and_server_of(pool._dialect)[0] or pool.logging_name or "default"

    def _watch_connect(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        taken, failed = guarded_hook(self._taken), guarded_hook(self._failed)

        def connect(pool: Any) -> Any:
            began_ns = perf_counter_ns()
            try:
                connection = original(pool)
            except Exception as error:
                failed(pool, began_ns, error)
                raise
            taken(pool, connection, began_ns)
            return connection

        return connect

    def _watch_return(self, original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        returned = guarded_hook(self._holders.give_back)

        def _return_conn(pool: Any, record: Any) -> None:
            returned(record)
            original(pool, record)

        return _return_conn

    def _taken(self, pool: Any, connection: Any, began_ns: int) -> None:
        if IGNORED in pool.__dict__ or hasattr(pool._dialect, IGNORED):
            return
        now_ns, span = perf_counter_ns(), current_span()
        if pool not in self._pools:
            self._pools.add(pool)
        name = self._name(pool)
        self._holders.take(connection._connection_record, name, span, now_ns)
        # Last, because it measures what all of this has cost.
        note(self._operation(pool, name), began_ns, now_ns, span)

    def _failed(self, pool: Any, began_ns: int, error: Exception) -> None:
        """Nobody gave a connection back in time, or the database refused one. The former is the holders' fault."""
        if IGNORED in pool.__dict__ or hasattr(pool._dialect, IGNORED):
            return
        span = current_span()
        note(self._operation(pool, self._name(pool)), began_ns, perf_counter_ns(), span, qualified_name(error))
        if span is not None and type(error).__name__ == "TimeoutError":
            self._holders.name_on(span, self._name(pool))

    def _operation(self, pool: Any, name: str) -> Operation:
        key = name, self._name_and_server_of(pool._dialect)[1]
        operation = self._operations.get(key)
        if operation is None:
            operation = self._operations[key] = wait_operation(*key)
        return operation
