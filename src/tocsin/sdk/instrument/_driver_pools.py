"""Pools of drivers used without SQLAlchemy: how full they are and how long one waits for a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter_ns
from typing import Any, NamedTuple

from tocsin.sdk.calls import Operation, current_span, note
from tocsin.sdk.errors import qualified_name
from tocsin.sdk.guard import guarded_hook
from tocsin.sdk.instrument._contract import Gauge
from tocsin.sdk.instrument._pool import limit_gauge, size_gauges, wait_operation

# Open pools of one driver that are followed.
_POOLS = 20


class Sizes(NamedTuple):
    """Connections of a pool; limit is 0 where it has none."""

    active: int
    idle: int
    limit: int


class DriverPools:
    """The pools of one driver that were asked for a connection.

    sizes_of: what a pool has, None once it is closed; database_of: the database that a connection goes to.
    """

    def __init__(self, sizes_of: Callable[[Any], Sizes | None], database_of: Callable[[Any], str]) -> None:
        self._sizes_of, self._database_of = sizes_of, database_of
        # asyncpg's pools cannot be referred to weakly: they are held until they are closed.
        self._pools: dict[int, tuple[Any, str]] = {}
        self._operations: dict[str, Operation] = {}

    def gauges(self) -> Iterator[Gauge]:
        """Pools of one database together, as far as they are of this process."""
        found: dict[str, Sizes] = {}
        for key, (pool, name) in list(self._pools.items()):
            sizes, seen = self._sizes_of(pool), found.get(name, Sizes(0, 0, 0))
            if sizes is None:
                self._pools.pop(key, None)
                continue
            found[name] = Sizes(*map(sum, zip(seen, sizes, strict=True)))
        for name, sizes in found.items():
            yield from size_gauges(name, sizes.active, sizes.idle, 0)
            if sizes.limit:
                yield limit_gauge(name, sizes.limit)

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
            except Exception as error:
                noted(self, None, began_ns, error)
                raise
            noted(self, connection, began_ns, None)
            return connection

        return take

    def _noted(self, pool: Any, connection: Any, began_ns: int, error: Exception | None) -> None:
        ended_ns = perf_counter_ns()
        known = self._pools.get(id(pool))
        if known is not None and known[0] is pool:
            name = known[1]
        elif connection is not None:
            name = f"postgresql/{self._database_of(connection)}"
            if len(self._pools) < _POOLS:
                self._pools[id(pool)] = pool, name
        else:
            name = "postgresql"
        operation = self._operations.get(name)
        if operation is None:
            operation = self._operations[name] = wait_operation(name)
        note(operation, began_ns, ended_ns, current_span(), qualified_name(error) if error is not None else "")
