"""Pools of drivers used without SQLAlchemy: how full they are, how long one waits, and who keeps a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter_ns
from typing import Any, NamedTuple

from tocsin.sdk.calls import Operation, current_span, note
from tocsin.sdk.errors import qualified_name
from tocsin.sdk.guard import guarded_hook
from tocsin.sdk.instrument._contract import Gauge
from tocsin.sdk.instrument._holders import Holders
from tocsin.sdk.instrument._pool import limit_gauge, server_of, size_gauges, wait_operation
from tocsin.sdk.settings import Settings

# Open pools of one driver that are followed.
_POOLS = 20


class Sizes(NamedTuple):
    """Connections of a pool; limit is 0 where it has none."""

    active: int
    idle: int
    limit: int


class DriverPools:
    """The pools of one driver that were asked for a connection.

    sizes_of: what a pool has, None once it is closed; database_of: name, host and port of where a connection goes.
    is_kept: whether a connection that was not given back is still out. Without it, it is for as long as its pool is
    open: the place is lost to the pool, and nothing here keeps the connection itself alive.
    """

    def __init__(
        self, settings: Settings, sizes_of: Callable[[Any], Sizes | None],
        database_of: Callable[[Any], tuple[str, str, int]],
        is_kept: Callable[[Any], bool] | None = None,
    ) -> None:  # fmt: skip
        self._sizes_of, self._database_of = sizes_of, database_of
        self._follows_pools = is_kept is None
        self._holders = Holders(settings, is_kept or (lambda pool: sizes_of(pool) is not None))
        # asyncpg's pools cannot be referred to weakly: they are held until they are closed.
        self._pools: dict[int, tuple[Any, tuple[str, str]]] = {}
        self._operations: dict[tuple[str, str], Operation] = {}

    def gauges(self) -> Iterator[Gauge]:
        """Pools of one database together, as far as they are of this process."""
        found: dict[str, Sizes] = {}
        for key, (pool, (name, _)) in list(self._pools.items()):
            sizes, seen = self._sizes_of(pool), found.get(name, Sizes(0, 0, 0))
            if sizes is None:
                self._pools.pop(key, None)
                continue
            found[name] = Sizes(*map(sum, zip(seen, sizes, strict=True)))
        for name, sizes in found.items():
            yield from size_gauges(name, sizes.active, sizes.idle, 0)
            if sizes.limit:
                yield limit_gauge(name, sizes.limit)
        yield from self._holders.gauges()

    def watch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        noted = guarded_hook(self._noted)

        def take(self: Any, *args: Any, **options: Any) -> Any:
            began_ns = perf_counter_ns()
            try:
                connection = original(self, *args, **options)
            except Exception as error:
                noted(self, None, began_ns, error)
                raise
            noted(self, connection, began_ns, None)
            return connection

        return take

    def watch_async(self, original: Callable[..., Any]) -> Callable[..., Any]:
        noted = guarded_hook(self._noted)

        async def take(self: Any, *args: Any, **options: Any) -> Any:
            began_ns = perf_counter_ns()
            try:
                connection = await original(self, *args, **options)
            except BaseException as error:  # also cancelled, which is how timeouts of the app end it
                noted(self, None, began_ns, error)
                raise
            noted(self, connection, began_ns, None)
            return connection

        return take

    def watch_return(self, original: Callable[..., Any]) -> Callable[..., Any]:
        returned = guarded_hook(self._returned)

        def give_back(self: Any, *args: Any, **options: Any) -> Any:
            returned(args, options)
            return original(self, *args, **options)

        return give_back

    def watch_return_async(self, original: Callable[..., Any]) -> Callable[..., Any]:
        returned = guarded_hook(self._returned)

        async def give_back(self: Any, *args: Any, **options: Any) -> Any:
            returned(args, options)
            return await original(self, *args, **options)

        return give_back

    def _noted(self, pool: Any, connection: Any, began_ns: int, error: BaseException | None) -> None:
        ended_ns, span = perf_counter_ns(), current_span()
        named = self._name_and_server(pool, connection)
        operation, name = self._operations.get(named), named[0]
        if operation is None:
            operation = self._operations[named] = wait_operation(*named)
        if error is None:
            self._holders.take(connection, name, span, ended_ns, pool if self._follows_pools else None)
        elif span is not None and self._is_full(pool):
            self._holders.name_on(span, name)
        # Last, because it measures what all of this has cost.
        note(operation, began_ns, ended_ns, span, qualified_name(error) if error is not None else "")

    def _name_and_server(self, pool: Any, connection: Any) -> tuple[str, str]:
        known = self._pools.get(id(pool))
        if known is not None and known[0] is pool:
            return known[1]
        if connection is None:
            return "postgresql", ""
        database, host, port = self._database_of(connection)
        named = f"postgresql/{database}", server_of(host, port)
        if len(self._pools) < _POOLS:
            self._pools[id(pool)] = pool, named
        return named

    def _is_full(self, pool: Any) -> bool:
        """Whether nobody gave a connection back in time; otherwise it is the database that gave none."""
        sizes = self._sizes_of(pool)
        return sizes is not None and 0 < sizes.limit <= sizes.active

    def _returned(self, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        # The connection, by place or under whatever name, perhaps beside a timeout, which nobody has taken.
        for given in (*args, *options.values()):
            self._holders.give_back(given)
