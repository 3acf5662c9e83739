"""Pools of asyncpg and psycopg without SQLAlchemy: as full as they are, and as long a wait as there was."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import asyncpg
import psycopg_pool
import pytest

import tocsin
from tocsin.sdk import agent as agents
from tocsin.sdk import instrument
from tocsin.sdk.instrument._contract import Gauge
from tocsin.testing import capture_spans

WAITED_SECONDS = 0.3


@pytest.fixture
def url(postgres_url: str) -> str:
    return postgres_url.replace("postgresql+psycopg://", "postgresql://")


def gauges() -> dict[tuple[str, str], float]:
    """Those of pools by name and state."""
    found: list[Gauge] = [one for one in instrument.gauges() if one.name.startswith("database_connection_pool")]
    assert {one.labels["pool"].partition("/")[0] for one in found} <= {"postgresql"}
    return {
        (one.name.removeprefix("database_connection_pool_"), one.labels.get("state", "")): one.value for one in found
    }


def waits() -> list[tuple[str, float, str]]:
    """(pool's kind, seconds, error) of each wait with a span."""
    [agent] = agents.all_agents()
    agent.digest()
    return [
        (operation.kind.group, row.seconds, error) for (operation, _, error), row in agent.collect_calls().rows.items()
        if operation.kind.group == "pool"
    ]  # fmt: skip


def test_a_pool_of_asyncpg_tells_sizes_and_waits(url: str) -> None:
    tocsin.start(service="worker")
    seen: list[dict[tuple[str, str], float]] = []

    async def work() -> None:
        pool = await asyncpg.create_pool(url, min_size=2, max_size=2)
        first, second = await pool.acquire(), await pool.acquire()
        seen.append(gauges())
        with pytest.raises(asyncio.TimeoutError):
            await pool.acquire(timeout=0.05)
        asyncio.get_running_loop().call_later(WAITED_SECONDS, lambda: asyncio.ensure_future(pool.release(first)))
        third = await pool.acquire()
        await pool.release(second)
        seen.append(gauges())
        await pool.release(third)
        await pool.close()

    with capture_spans():
        asyncio.run(work())
        found = {error: seconds for _, seconds, error in waits()}
    full, freed = seen
    assert full == {("size", "active"): 2, ("size", "idle"): 0, ("size", "overflow"): 0, ("limit", ""): 2}
    assert freed["size", "idle"] == 1
    assert found[""] >= WAITED_SECONDS * 0.9
    assert [error for error in found if "TimeoutError" in error]


def test_a_pool_of_psycopg_tells_sizes_and_waits(url: str) -> None:
    tocsin.start(service="worker")
    with capture_spans(), psycopg_pool.ConnectionPool(url, min_size=2, max_size=2, open=True) as pool:
        pool.wait(10)
        with pool.connection(), pool.connection() as second:
            assert gauges() == {("size", "active"): 2, ("size", "idle"): 0, ("size", "overflow"): 0, ("limit", ""): 2}
            with pytest.raises(psycopg_pool.PoolTimeout):
                pool.getconn(timeout=0.05)
            taken: list[Any] = []
            waiter = threading.Thread(target=lambda: taken.append(pool.getconn()), daemon=True)
            waiter.start()
            time.sleep(WAITED_SECONDS)
            assert not taken
            assert second.info.dbname
        waiter.join(10)
        pool.putconn(taken[0])
        found = {error: seconds for _, seconds, error in waits()}
    assert found[""] >= WAITED_SECONDS * 0.9
    assert [error for error in found if "PoolTimeout" in error]


def test_an_asyncio_pool_of_psycopg_is_watched_as_well(url: str) -> None:
    tocsin.start(service="worker")

    async def work() -> None:
        async with psycopg_pool.AsyncConnectionPool(url, min_size=1, max_size=3, open=False) as pool:
            await pool.wait(10)
            async with pool.connection():
                assert gauges()["size", "active"] == 1
                assert gauges()["limit", ""] == 3

    with capture_spans():
        asyncio.run(work())
        assert waits()
