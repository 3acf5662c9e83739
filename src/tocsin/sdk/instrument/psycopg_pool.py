"""psycopg's own connection pools, synchronous and asyncio."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._driver_pools import DriverPools, Sizes
from tocsin.sdk.settings import Settings


class Instrument(_contract.Instrument):
    """How full each pool is, how long one waits for a connection, and who keeps one too long."""

    modules = ("psycopg_pool",)

    def switch_on(self, settings: Settings) -> None:
        import psycopg_pool

        self._pools = DriverPools(settings, _sizes, _database_of)
        kinds = (
            (psycopg_pool.ConnectionPool, self._pools.watch, self._pools.watch_return),
            (psycopg_pool.AsyncConnectionPool, self._pools.watch_async, self._pools.watch_return_async),
        )
        for kind, watch_taken, watch_returned in kinds:
            self.patches.wrap(kind, "getconn", watch_taken)
            self.patches.wrap(kind, "putconn", watch_returned)

    def gauges(self) -> Iterable[_contract.Gauge]:
        return self._pools.gauges()


def _database_of(connection: Any) -> tuple[str, str, int]:
    info = connection.info
    return str(info.dbname), info.host, info.port


def _sizes(pool: Any) -> Sizes | None:
    if pool.closed:
        return None
    stats = pool.get_stats()
    size, idle = stats["pool_size"], stats["pool_available"]
    return Sizes(max(0, size - idle), idle, pool.max_size)
