"""Pools of asyncpg and psycopg without SQLAlchemy: how full they are, how long one waits, and who has connections."""

from __future__ import annotations

import asyncio
import gc
import inspect
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import asyncpg
import psycopg_pool
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import create_engine

import tocsin
from tocsin.sdk import agents, instrument
from tocsin.sdk.instrument._contract import Gauge
from tocsin.testing import capture_spans
from waiting import eventually

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


class AsyncpgPool:
    """One connection, and how the app takes it and gives it back."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def open(self) -> None:
        self.pool = await asyncpg.create_pool(self.url, min_size=1, max_size=1)

    async def take(self) -> Any:
        return await self.pool.acquire()

    async def take_within(self, seconds: float) -> Any:
        return await self.pool.acquire(timeout=seconds)

    async def give_back(self, connection: Any) -> None:
        await self.pool.release(connection)

    async def close(self) -> None:
        self.pool.terminate()


class PsycopgPool(AsyncpgPool):
    async def open(self) -> None:
        self.pool = psycopg_pool.ConnectionPool(self.url, min_size=1, max_size=1, open=True)

    async def take(self) -> Any:
        return self.pool.getconn()

    async def take_within(self, seconds: float) -> Any:
        return self.pool.getconn(timeout=seconds)

    async def give_back(self, connection: Any) -> None:
        self.pool.putconn(connection)

    async def close(self) -> None:
        self.pool.close()


class PsycopgAsyncPool(AsyncpgPool):
    async def open(self) -> None:
        self.pool = psycopg_pool.AsyncConnectionPool(self.url, min_size=1, max_size=1, open=False)
        await self.pool.open()

    async def take(self) -> Any:
        return await self.pool.getconn()

    async def take_within(self, seconds: float) -> Any:
        return await self.pool.getconn(timeout=seconds)

    async def give_back(self, connection: Any) -> None:
        await self.pool.putconn(connection)

    async def close(self) -> None:
        await self.pool.close()


POOLS = [AsyncpgPool, PsycopgPool, PsycopgAsyncPool]


def shop(kind: type[AsyncpgPool], url: str) -> tuple[FastAPI, AsyncpgPool, list[Any]]:
    """A product whose route `/keep` forgets to give its connection back before `/return` is called."""
    app, pool, kept = FastAPI(), kind(url), []
    tocsin.instrument(app, tenant="header:X-Tenant-ID", held_connection_seconds=0.0)
    app.include_router(tocsin.metrics_router)
    app.router.add_event_handler("startup", pool.open)
    app.router.add_event_handler("shutdown", pool.close)

    @app.get("/keep")
    async def keep() -> None:
        kept.append(await pool.take())

    @app.get("/return")
    async def give_back() -> None:
        await pool.give_back(kept.pop())

    @app.get("/borrow")
    async def borrow() -> None:
        await pool.give_back(await pool.take())

    return app, pool, kept


def at(function: Callable[..., Any], words: str) -> str:
    lines, first = inspect.getsourcelines(function)
    number = first + next(index for index, line in enumerate(lines) if words in line)
    return f"test_driver_pools.py:{number} in {function.__name__}"


def held(shown: str) -> list[str]:
    return [row for row in shown.splitlines() if row.startswith("database_connection_held_seconds{")]


@pytest.mark.parametrize("kind", POOLS)
def test_who_keeps_a_connection_is_told_until_it_comes_back(url: str, kind: type[AsyncpgPool]) -> None:
    app, _, _ = shop(kind, url)
    with TestClient(app) as client, capture_spans() as captured:
        client.get("/keep", headers={"X-Tenant-ID": "acme"})
        (row,) = held(client.get("/metrics").text)
        assert at(kind.take, "self.pool") in row
        assert 'route="GET /keep"' in row
        assert client.get("/return").status_code == 200
        assert held(client.get("/metrics").text) == []
        client.get("/borrow")
        (event,) = [one for one in captured.find("GET /borrow").events if one.name == "tocsin.db.connection_held"]
        assert event.attributes["code.function.name"] == "take"
        assert event.attributes["tocsin.db.pool.name"].startswith("postgresql/")


@pytest.mark.parametrize("kind", POOLS)
def test_a_request_that_gets_no_connection_names_who_holds_them(url: str, kind: type[AsyncpgPool]) -> None:
    app, pool, _ = shop(kind, url)

    @app.get("/wait")
    async def wait() -> str:
        try:
            await pool.take_within(0.05)
        except (TimeoutError, psycopg_pool.PoolTimeout) as error:
            return type(error).__name__
        return ""

    with TestClient(app) as client, capture_spans() as captured:
        client.get("/keep")
        assert client.get("/wait").json() in ("TimeoutError", "PoolTimeout")
        (holder,) = captured.find("GET /wait").attributes["tocsin.db.pool.holders"]
        client.get("/return")
    assert holder.startswith("GET /keep at ")
    assert f"{at(kind.take, 'self.pool')} for 0." in holder


def test_a_wait_ended_by_the_apps_own_timeout_names_the_holders_as_well(url: str) -> None:
    app, pool, _ = shop(AsyncpgPool, url)

    @app.get("/wait")
    async def wait() -> str:
        try:
            async with asyncio.timeout(0.05):
                await pool.take()
        except TimeoutError:
            return "too late"
        return ""

    with TestClient(app) as client, capture_spans() as captured:
        client.get("/keep")
        assert client.get("/wait").json() == "too late"
        assert captured.find("GET /wait").attributes["tocsin.db.pool.holders"]
        assert captured.find("connection wait").attributes["error.type"] == "asyncio.exceptions.CancelledError"
        client.get("/return")


def test_a_connection_that_was_closed_instead_of_released_is_kept_by_nobody(url: str) -> None:
    app, _, kept = shop(AsyncpgPool, url)

    @app.get("/close")
    async def close() -> None:
        await kept.pop().close()

    with TestClient(app) as client, capture_spans():
        client.get("/keep")
        assert held(client.get("/metrics").text)
        client.get("/close")
        assert held(client.get("/metrics").text) == []


@pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning")
def test_a_connection_that_psycopgs_pool_has_lost_is_told_and_not_kept_alive(url: str) -> None:
    app, pool, kept = shop(PsycopgPool, url)
    with TestClient(app) as client, capture_spans():
        client.get("/keep")
        lost = weakref.ref(kept.pop())
        eventually(lambda: gc.collect() >= 0 and lost() is None, "nobody keeps it")
        # Its place in the pool is lost for good, and who lost it is known.
        assert at(PsycopgPool.take, "self.pool") in held(client.get("/metrics").text)[0]
    assert pool.pool.closed
    assert [one for one in instrument.gauges() if one.name == "database_connection_held_seconds"] == []


def test_pools_of_one_server_call_it_alike_whatever_the_driver(url: str, sqlite_url: str) -> None:
    """What services that share a database are known by."""
    app, servers = FastAPI(), dict[str, list[str | None]]()
    tocsin.instrument(app)

    @app.get("/all")
    async def ask_all() -> None:
        for kind in (AsyncpgPool, PsycopgPool):
            pool = kind(url)
            await pool.open()
            await pool.give_back(await pool.take())
            await pool.close()
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        engine.connect().close()
        engine.dispose()
        create_engine(sqlite_url).connect().close()

    with capture_spans():
        assert TestClient(app).get("/all").status_code == 200
        [agent] = agents.all_agents()
        agent.digest()
        waited = [operation for operation, _, _ in agent.collect_calls().rows if operation.kind.group == "pool"]
    for operation in waited:
        servers.setdefault(operation.labels["pool"].partition("/")[0], []).append(operation.labels.get("server"))
    assert servers == {"postgresql": [f"{socket.gethostname()}:5432"] * 3, "sqlite": [None]}


@pytest.mark.parametrize("kind", POOLS)
def test_a_fault_of_ours_takes_no_connection_from_the_app(
    url: str, kind: type[AsyncpgPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tocsin.sdk import guard
    from tocsin.sdk.instrument._holders import Holders

    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(Holders, "take", broken)
    monkeypatch.setattr(Holders, "give_back", broken)
    app, _, _ = shop(kind, url)
    with TestClient(app) as client:
        assert [client.get("/borrow").status_code for _ in range(3)] == [200, 200, 200]
    assert sum(guard.faults.values()) == 6
    guard.faults.clear()
