"""psycopg and asyncpg without SQLAlchemy: each number is what PostgreSQL has counted, and nothing counts twice."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from psycopg import sql
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

import tocsin
from tocsin.sdk import agents, guard, instrument
from tocsin.sdk.call_digest import CallCollection
from tocsin.sdk.instrument import _explain
from tocsin.testing import Capture, CapturedSpan, capture_spans
from waiting import eventually

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


@pytest.mark.parametrize("kind", [psycopg.Cursor, psycopg.AsyncCursor])
def test_a_cursor_that_is_not_as_we_know_it_harms_nobody(url: str, kind: type[Any]) -> None:
    class Odd(kind):  # type: ignore[misc]  # of either
        @property
        def rowcount(self) -> int:
            raise LookupError

    async def handler() -> list[Any]:
        if kind is psycopg.Cursor:
            with psycopg.connect(url, cursor_factory=Odd) as connection:
                return connection.execute("SELECT 7").fetchall()
        async with await psycopg.AsyncConnection.connect(url, cursor_factory=Odd) as awaited:
            return await (await awaited.execute("SELECT 7")).fetchall()

    client = serve(handler)
    with capture_spans():
        assert client.get("/work").json() == [[7]]
    assert sum(guard.faults.values()) == 1
    guard.faults.clear()


def test_switched_off_the_drivers_are_what_they_were() -> None:
    before = psycopg.Cursor.execute, asyncpg.Connection.fetch
    serve(lambda: None)
    assert instrument.states()["psycopg"] == instrument.states()["asyncpg"] == "on"
    assert psycopg.Cursor.execute is not before[0]
    instrument.switch_all_off()
    assert (psycopg.Cursor.execute, asyncpg.Connection.fetch) == before


SLOW = "SELECT pg_sleep(0.03) FROM customers WHERE name = %s AND id < 4242"


async def slowly_by_psycopg(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(SLOW, ("customer 3",)).fetchall()


async def slowly_by_psycopg_named(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.cursor().execute(query=SLOW.replace("%s", "%(name)s"), params={"name": "customer 3"})


async def slowly_by_psycopg_composed(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL(SLOW.replace("%s", "{}")).format("customer 3"))


async def slowly_by_psycopg_async(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await (await connection.execute(SLOW, ("customer 3",))).fetchall()


async def slowly_by_asyncpg(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.fetch(SLOW.replace("%s", "$1"), "customer 3")
    await connection.close()


async def slowly_by_asyncpg_prepared(url: str) -> None:
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool, pool.acquire() as connection:
        statement = await connection.prepare(SLOW.replace("%s", "$1"))
        await statement.fetch("customer 3")


ENGINES: dict[str, Engine] = {}
"""What is learned of a statement is its engine's: one made anew for each request would know nothing."""


async def slowly_by_sqlalchemy_on_psycopg(url: str) -> None:
    engine = ENGINES.setdefault(url, create_engine(url.replace("postgresql://", "postgresql+psycopg://")))
    with engine.connect() as connection:
        connection.execute(text(SLOW.replace("%s", ":name")), {"name": "customer 3"})
    engine.dispose()


SLOWLY = [
    slowly_by_psycopg, slowly_by_psycopg_named, slowly_by_psycopg_composed, slowly_by_psycopg_async, slowly_by_asyncpg,
    slowly_by_asyncpg_prepared, slowly_by_sqlalchemy_on_psycopg,
]  # fmt: skip


@pytest.fixture
def customers(url: str) -> str:
    """The same database, with a table in it."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE customers AS SELECT n AS id, 'customer ' || n AS name FROM generate_series(1, 5) n"
        )
    return url


@pytest.mark.parametrize("run", SLOWLY, ids=lambda run: run.__name__)
def test_a_slow_statement_brings_its_plan_without_values(
    customers: str, run: Callable[[str], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_explain, "PAUSE_SECONDS", 0.0)

    async def handler() -> None:
        await run(customers)

    client, asked = serve(handler, slow_query_seconds=0.02), []
    with capture_spans() as captured:

        def plan() -> Any:
            captured.clear()
            asked.append(client.get("/work", headers=ACME))
            return queries(captured)[0].attributes.get("tocsin.db.query.plan")

        found = eventually(plan, "the plan is told")
        counted = {
            (tenant, caller, key.attributes["db.query.summary"]): row.count
            for (key, tenant, _, caller), row in collected().by_caller.items() if key.kind.group == "db"
        }  # fmt: skip
    assert "customers" in found
    assert "cost=" in found
    assert "customer 3" not in found
    assert "4242" not in found
    assert "actual time" not in found
    # What asks for the plan is nobody's statement, and nothing was run a second time.
    assert counted["acme", "GET /work", "SELECT customers"] == len(asked)
    assert not [summary for _, _, summary in counted if summary.startswith(("EXPLAIN", "SET"))]
    assert counted_by_postgresql(customers, "pg_sleep(")[1] == len(asked)


@pytest.mark.parametrize("run", [slowly_by_psycopg, slowly_by_asyncpg], ids=lambda run: run.__name__)
def test_a_statement_is_explained_once_and_two_not_within_five_seconds(
    customers: str, run: Callable[[str], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(_explain, "_learn", lambda ask, dialect, operation: asked.append(operation.name))

    async def handler() -> None:
        for _ in range(3):
            await run(customers)

    client = serve(handler, slow_query_seconds=0.01)
    with capture_spans():
        client.get("/work")
        eventually(lambda: asked, "a plan is asked for")
        client.get("/work")
    assert asked == ["SELECT customers"]


def test_a_plan_is_never_asked_for_where_the_settings_forbid_it(
    customers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_explain, "_learn", lambda *_: pytest.fail("asked"))

    async def handler() -> None:
        await slowly_by_psycopg(customers)
        await slowly_by_asyncpg(customers)

    client = serve(handler, slow_query_seconds=0.01, explain=False)
    with capture_spans():
        client.get("/work")


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_a_write_and_a_batch_are_never_explained(customers: str, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(_explain, "_learn", lambda *given: asked.append(given))
    monkeypatch.setattr(_explain, "PAUSE_SECONDS", 0.0)
    write = "WITH slow AS (SELECT pg_sleep(0.03)) UPDATE customers SET name = name FROM slow"

    async def handler() -> None:
        if driver == "psycopg":
            with psycopg.connect(customers) as connection:
                connection.execute(write)
                connection.cursor().executemany(SLOW, [("a",), ("customer 3",)])
        else:
            opened = await asyncpg.connect(customers)
            await opened.execute(write)
            await opened.executemany(SLOW.replace("%s", "$1"), [("a",), ("customer 3",)])
            await opened.close()

    client = serve(handler, slow_query_seconds=0.01)
    with capture_spans() as captured:
        assert client.get("/work").status_code == 200
        assert [span.attributes["tocsin.slow"] for span in queries(captured)][:2] == [True, True]
    assert asked == []


def test_a_plan_that_cannot_be_had_is_no_fault_and_harms_nobody(
    customers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role that may log in only once at a time: the connection for EXPLAIN is refused."""
    from tocsin.sdk import guard

    monkeypatch.setattr(_explain, "PAUSE_SECONDS", 0.0)
    learned: list[str] = []
    learn = _explain._learn
    monkeypatch.setattr(_explain, "_learn", lambda *given: learned.append(str(learn(*given))))
    role = f"narrow_{uuid.uuid4().hex}"
    with psycopg.connect(customers, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1")
        owner.execute(f"GRANT SELECT ON customers TO {role}")
        narrow = psycopg.conninfo.make_conninfo(customers, user=role)
        opened = psycopg.connect(narrow)

        def handler() -> int:
            return len(opened.execute(SLOW, ("customer 3",)).fetchall())

        client = serve(handler, slow_query_seconds=0.01)
        with capture_spans() as captured:
            assert client.get("/work").json() == 1
            eventually(lambda: learned, "the plan was asked for")
            (span,) = [one for one in queries(captured) if "pg_sleep" in one.attributes["db.query.text"]]
        opened.close()
        owner.execute(f"DROP OWNED BY {role}")
        owner.execute(f"DROP ROLE {role}")
    assert "tocsin.db.query.plan" not in span.attributes
    assert not guard.faults
