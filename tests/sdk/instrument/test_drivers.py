"""psycopg and asyncpg without SQLAlchemy: each number is what PostgreSQL has counted, and nothing counts twice."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from psycopg import sql
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

import tocsin
from tocsin.sdk import agent as agents
from tocsin.sdk import instrument
from tocsin.sdk.call_digest import CallCollection
from tocsin.testing import Capture, CapturedSpan, capture_spans

ACME, GLOBEX = {"X-Tenant-ID": "acme"}, {"X-Tenant-ID": "globex"}
SELECTED = "SELECT n FROM generate_series(1, %s) AS n"
Run = Callable[[str, int], Awaitable[None]]


def serve(handler: Callable[..., Any], **settings: Any) -> TestClient:
    app = FastAPI()
    tocsin.instrument(app, tenant="header:X-Tenant-ID", **settings)
    app.get("/work")(handler)
    return TestClient(app)


def queries(captured: Capture) -> list[CapturedSpan]:
    return [span for span in captured.spans if span.attributes.get("db.system.name") == "postgresql"]


def collected() -> CallCollection:
    (agent,) = agents.all_agents()
    agent.digest()
    return agent.collect_calls()


def counted_by_postgresql(url: str, words: str) -> tuple[int, int]:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT coalesce(sum(calls), 0), coalesce(sum(rows), 0) FROM pg_stat_statements "
            "WHERE query LIKE %s AND query NOT LIKE '%%pg_stat%%'",
            (f"%{words}%",),
        ).fetchone()
    assert found is not None
    return int(found[0]), int(found[1])


@pytest.fixture
def url(postgres_url: str) -> str:
    try:
        with psycopg.connect(postgres_url) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
            connection.execute("SELECT pg_stat_statements_reset()")
    except psycopg.errors.UndefinedFile:
        pytest.skip("pg_stat_statements is not installed; run scripts/debian-packages")
    return postgres_url


async def by_psycopg(url: str, n: int) -> None:
    with psycopg.connect(url) as connection:
        for _ in range(n):
            connection.execute(SELECTED, (3,)).fetchall()


async def by_psycopg_async(url: str, n: int) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        for _ in range(n):
            await (await connection.execute(SELECTED, (3,))).fetchall()


async def by_asyncpg(url: str, n: int) -> None:
    connection = await asyncpg.connect(url)
    for _ in range(n):
        await connection.fetch(SELECTED.replace("%s", "$1"), 3)
    await connection.close()


async def by_asyncpg_pool(url: str, n: int) -> None:
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        for _ in range(n):
            await pool.fetch(SELECTED.replace("%s", "$1"), 3)


async def by_asyncpg_prepared(url: str, n: int) -> None:
    connection = await asyncpg.connect(url)
    statement = await connection.prepare(SELECTED.replace("%s", "$1"))
    for _ in range(n):
        await statement.fetch(3)
    await connection.close()


async def by_sqlalchemy_on_psycopg(url: str, n: int) -> None:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        for _ in range(n):
            connection.execute(text(SELECTED.replace("%s", ":n")), {"n": 3}).all()
    engine.dispose()


async def by_sqlalchemy_on_asyncpg(url: str, n: int) -> None:
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.connect() as connection:
        for _ in range(n):
            (await connection.execute(text(SELECTED.replace("%s", ":n")), {"n": 3})).all()
    await engine.dispose()


WAYS = [
    by_psycopg, by_psycopg_async, by_asyncpg, by_asyncpg_pool, by_asyncpg_prepared, by_sqlalchemy_on_psycopg,
    by_sqlalchemy_on_asyncpg,
]  # fmt: skip


@pytest.mark.parametrize("run", WAYS, ids=lambda run: run.__name__)
def test_calls_and_rows_are_those_of_postgresql_itself(url: str, run: Run) -> None:
    async def handler(n: int) -> None:
        await run(url, n)

    client = serve(handler)
    with capture_spans():
        client.get("/work?n=3", headers=ACME)
        client.get("/work?n=4", headers=GLOBEX)
        rows = {key: row for key, row in collected().by_caller.items() if "generate_series" in str(key[0].attributes)}
    calls, returned = counted_by_postgresql(url, "generate_series")
    assert (calls, returned) == (7, 21)
    assert {(tenant, caller, row.count, row.amount) for (_, tenant, _, caller), row in rows.items()} == {
        ("acme", "GET /work", 3, 9),
        ("globex", "GET /work", 4, 12),
    }
    assert len({key[0].attributes["tocsin.db.fingerprint"] for key in rows}) == 1


@pytest.mark.parametrize("run", WAYS, ids=lambda run: run.__name__)
def test_repeats_are_named_by_their_line(url: str, run: Run) -> None:
    async def handler() -> None:
        await run(url, 12)

    client = serve(handler)
    with capture_spans():
        client.get("/work", headers=ACME)
        places = {key: row for key, row in collected().places.items() if row.repeat_requests}
    lines, first = inspect.getsourcelines(run)
    at = first + next(index for index, line in enumerate(lines) if "SELECTED" in line or "fetch(3)" in line)
    if run is by_asyncpg_prepared:
        at = first + next(index for index, line in enumerate(lines) if "fetch(3)" in line)
    ((key, row),) = places.items()
    assert (row.repeat_requests, row.repeat_calls) == (1, 12)
    assert key.line == f"sdk/instrument/test_drivers.py:{at} in {run.__name__}"


def test_without_sqlalchemys_instrument_its_statements_are_the_drivers(url: str) -> None:
    async def handler() -> None:
        await by_sqlalchemy_on_psycopg(url, 2)

    client = serve(handler, instruments="-sqlalchemy")
    with capture_spans() as captured:
        client.get("/work", headers=ACME)
        spans = [span for span in queries(captured) if "generate_series" in span.attributes["db.query.text"]]
    assert len(spans) == 2


@pytest.mark.parametrize("driver", ["psycopg", "psycopg_async", "asyncpg"])
def test_an_error_is_the_apps_and_is_counted(url: str, driver: str) -> None:
    failed = "SELECT 1 / 0 AS nothing"

    async def handler() -> str:
        try:
            if driver == "psycopg":
                with psycopg.connect(url) as connection:
                    connection.execute(failed)
            elif driver == "psycopg_async":
                async with await psycopg.AsyncConnection.connect(url) as awaited:
                    await awaited.execute(failed)
            else:
                async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
                    await pool.fetch(failed)
        except (psycopg.Error, asyncpg.PostgresError) as error:
            return type(error).__name__
        return "nothing"

    client = serve(handler)
    with capture_spans() as captured:
        name = client.get("/work", headers=ACME).json()
        (span,) = [span for span in queries(captured) if "nothing" in span.attributes["db.query.text"]]
    assert (name, span.status) == (span.attributes["error.type"].rpartition(".")[2], "error")
    assert span.attributes["db.query.text"] == "SELECT ? / ? AS nothing"


def test_compositions_and_bytes_are_statements_like_others(url: str) -> None:
    def handler() -> None:
        with psycopg.connect(url) as connection:
            connection.execute(sql.SQL("SELECT {} AS {}").format(1, sql.Identifier("one")))
            connection.execute(b"SELECT 2 AS two")
            connection.cursor().executemany("SELECT %s AS many", [(1,), (2,)])

    client = serve(handler)
    with capture_spans() as captured:
        client.get("/work", headers=ACME)
        texts = [span.attributes["db.query.text"] for span in queries(captured)]
    assert texts == ['SELECT ? AS "one"', "SELECT ? AS two", "SELECT ? AS many"]


def test_switched_off_the_drivers_are_what_they_were() -> None:
    before = psycopg.Cursor.execute, asyncpg.Connection.fetch
    serve(lambda: None)
    assert instrument.states()["psycopg"] == instrument.states()["asyncpg"] == "on"
    assert psycopg.Cursor.execute is not before[0]
    instrument.switch_all_off()
    assert (psycopg.Cursor.execute, asyncpg.Connection.fetch) == before
