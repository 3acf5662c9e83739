"""psycopg's own connection pools, synchronous and asyncio."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._driver_pools import DriverPools, Sizes
from tocsin.sdk.settings import Settings


class Instrument(_contract.Instrument):
    """How full each pool is, and how long one waits for a connection."""

    modules = ("psycopg_pool",)

    def switch_on(self, settings: Settings) -> None:
        import psycopg_pool

        self._pools = DriverPools(_sizes, lambda connection: str(connection.info.dbname))
        self.patches.wrap(psycopg_pool.ConnectionPool, "getconn", self._pools.watch)
        self.patches.wrap(psycopg_pool.AsyncConnectionPool, "getconn", self._pools.watch_async)

    def gauges(self) -> Iterable[_contract.Gauge]:
        return self._pools.gauges()


def _sizes(pool: Any) -> Sizes | None:
    if pool.closed:
        return None
    stats = pool.get_stats()
    size, idle = stats["pool_size"], stats["pool_available"]
    return Sizes(max(0, size - idle), idle, pool.max_size)
