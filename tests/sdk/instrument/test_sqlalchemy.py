"""SQLAlchemy watched from inside, against real databases: each number is what the database itself has counted."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from sqlalchemy import Column, Engine, ForeignKey, Integer, String, create_engine, event, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, TimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Session, relationship
from sqlalchemy.pool import QueuePool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import tocsin
from tocsin.sdk import instrument
from tocsin.sdk.agents import current_agent
from tocsin.sdk.instrument import _explain
from tocsin.testing import Capture, CapturedSpan, capture_spans
from waiting import eventually

ACME, GLOBEX = {"X-Tenant-ID": "acme"}, {"X-Tenant-ID": "globex"}


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id = Column(Integer, primary_key=True)
    name = Column(String(50), unique=True)
    orders = relationship("Order")


class Order(Base):
    __tablename__ = "orders"
    id = Column(Integer, primary_key=True)
    customer_id = Column(Integer, ForeignKey("customers.id"))


def fill(engine: Engine, customers: int = 15) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for number in range(customers):
            session.add(Customer(id=number, name=f"customer {number}", orders=[Order(), Order()]))
        session.commit()


def product(**settings: Any) -> FastAPI:
    app = FastAPI()
    tocsin.instrument(app, tenant="header:X-Tenant-ID", **settings)
    app.include_router(tocsin.metrics_router)
    return app


def serve(app: FastAPI, handler: Callable[..., Any], path: str = "/work") -> TestClient:
    app.get(path)(handler)
    return TestClient(app, raise_server_exceptions=False)


def queries(captured: Capture) -> list[CapturedSpan]:
    return [span for span in captured.spans if "db.query.text" in span.attributes]


def line_of(function: Callable[..., Any], words: str) -> int:
    """The line of a function that contains these words."""
    lines, first = inspect.getsourcelines(function)
    return next(first + number for number, line in enumerate(lines) if words in line)


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    engine = create_engine(sqlite_url)
    fill(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Engine]:
    engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    fill(engine)
    yield engine
    engine.dispose()


def test_a_query_is_a_span_below_its_request_without_its_values(engine: Engine) -> None:
    def handler() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT name FROM customers WHERE id = 7 AND name != :name"), {"name": "s3cret"})

    client = serve(product(), handler)
    with capture_spans() as captured:
        client.get("/work", headers=ACME)
        client.get("/work", headers=GLOBEX)
        first, second = queries(captured)
    assert (first.name, first.kind, first.parent) == ("SELECT customers", "client", "GET /work")
    assert (first.tenant, second.tenant) == ("acme", "globex")
    assert first.trace_id != second.trace_id
    assert first.attributes["db.query.text"] == "SELECT name FROM customers WHERE id = ? AND name != ?"
    assert first.attributes["db.system.name"] == "sqlite"
    assert first.attributes["db.namespace"] == "shop.db"
    assert "s3cret" not in str(captured.spans)
    request = next(span for span in captured.spans if span.span_id == first.parent_id)
    assert request.start_ns <= first.start_ns <= first.end_ns <= request.end_ns


def test_a_query_below_a_span_of_the_app_is_its_child(engine: Engine) -> None:
    def handler() -> None:
        with tocsin.span("report"), engine.connect() as connection:
            connection.execute(select(Customer.id))

    client = serve(product(), handler)
    with capture_spans() as captured:
        client.get("/work")
        [query] = queries(captured)
    assert query.parent == "report"


def test_a_query_outside_of_everything_is_counted_and_makes_no_span(engine: Engine) -> None:
    app = product()
    tocsin.set_tenant("acme")
    with capture_spans() as captured:
        with engine.connect() as connection:
            connection.execute(select(Customer.id))
        tocsin.set_tenant(None)
        assert queries(captured) == []
    shown = TestClient(app).get("/metrics").text
    assert 'database_queries_total{operation="SELECT",table="customers",tenant="acme"} 1' in shown


def test_a_job_with_a_span_of_its_own_is_watched_like_a_request(engine: Engine) -> None:
    product()
    with capture_spans() as captured:
        with tocsin.span("nightly"), engine.connect() as connection:
            for number in range(12):
                connection.execute(select(Customer).where(Customer.id == number))
        assert len(queries(captured)) == 12
        assert captured.find("nightly").attributes["tocsin.n_plus_one.count"] == 12


def test_lazy_loading_in_a_loop_is_named_with_count_time_and_line(engine: Engine) -> None:
    def handler() -> int:
        with Session(engine) as session:
            return sum(len(customer.orders) for customer in session.scalars(select(Customer)))

    client = serve(product(), handler)
    with capture_spans() as captured:
        client.get("/work", headers=ACME)
        request = captured.find("GET /work")
        spans = queries(captured)
    assert request.attributes["tocsin.n_plus_one.count"] == 15
    assert "FROM orders" in request.attributes["tocsin.n_plus_one.query"]
    line = line_of(handler, "customer.orders")
    assert f"test_sqlalchemy.py:{line} in " in request.attributes["tocsin.n_plus_one.line"]
    [found] = [event for event in request.events if event.name == "tocsin.n_plus_one"]
    assert found.attributes["code.line.number"] == line
    lazy = [span for span in spans if "FROM orders" in span.attributes["db.query.text"]]
    assert found.attributes["tocsin.repeat.duration_ms"] == pytest.approx(
        sum(span.duration_seconds for span in lazy) * 1e3, rel=0.01
    )


def test_nine_equal_queries_are_no_n_plus_one_and_the_limit_is_a_setting(engine: Engine) -> None:
    def handler(n: int) -> None:
        with engine.connect() as connection:
            for number in range(n):
                connection.execute(select(Customer).where(Customer.id == number))

    client = serve(product(repeated_queries=5), handler)
    with capture_spans() as captured:
        client.get("/work?n=4")
        assert "tocsin.n_plus_one.count" not in captured.find("GET /work").attributes
        captured.clear()
        client.get("/work?n=5")
        assert captured.find("GET /work").attributes["tocsin.n_plus_one.count"] == 5


def test_in_lists_of_any_length_are_one_operation(engine: Engine) -> None:
    def handler() -> None:
        with engine.connect() as connection:
            for length in range(1, 20):
                connection.execute(select(Customer.id).where(Customer.id.in_(range(length))))

    client = serve(product(), handler)
    with capture_spans() as captured:
        client.get("/work")
        assert len({span.attributes["tocsin.db.fingerprint"] for span in queries(captured)}) == 1


def test_a_failing_statement_is_an_error_with_its_line_and_passes_on(engine: Engine) -> None:
    def handler() -> str:
        with engine.connect() as connection:
            try:
                connection.execute(insert(Customer).values(id=1, name="double"))
            except IntegrityError:
                return "refused"
        return "taken"

    client = serve(product(), handler)
    with capture_spans() as captured:
        assert client.get("/work", headers=ACME).json() == "refused"
        [query] = queries(captured)
    assert (query.status, query.attributes["error.type"]) == ("error", "sqlite3.IntegrityError")
    assert query.attributes["code.line.number"] == line_of(handler, "insert(Customer)")
    shown = client.get("/metrics").text
    assert 'error_type="sqlite3.IntegrityError",operation="INSERT",table="customers",tenant="acme"} 1' in shown


def test_beside_an_opentelemetry_sdk_of_the_app_queries_hang_below_our_request(engine: Engine) -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    theirs = TracerProvider()
    trace.set_tracer_provider(theirs)

    def handler(_request: Request) -> Response:
        with theirs.get_tracer("app").start_as_current_span("inner"), engine.connect() as connection:
            connection.execute(select(Customer.id))
        return Response()

    # Starlette, because FastAPI would record the request itself, with their SDK.
    app = tocsin.instrument(Starlette(routes=[Route("/work", handler)]), tenant="header:X-Tenant-ID")
    client = TestClient(app)
    with capture_spans() as captured:
        client.get("/work", headers=ACME)
        [query] = queries(captured)
    assert (query.parent, query.tenant) == ("GET /work", "acme")


def test_one_request_in_some_measures_what_noting_its_queries_costs(engine: Engine) -> None:
    def handler() -> None:
        with engine.connect() as connection:
            for _ in range(5):
                connection.execute(select(Customer.id))

    client = serve(product(), handler)
    for _ in range(64):
        client.get("/work")
    agent = current_agent()
    assert agent is not None
    assert 0 < agent.meter.costs()["db"] < 1e-3


def test_executemany_is_one_query(engine: Engine) -> None:
    def handler() -> None:
        with engine.begin() as connection:
            connection.execute(text("UPDATE orders SET customer_id = :c WHERE id = :i"), [{"c": 1, "i": 1}] * 3)

    client = serve(product(), handler)
    with capture_spans() as captured:
        client.get("/work")
        [query] = queries(captured)
    assert (query.name, query.attributes["tocsin.db.response.affected_rows"]) == ("UPDATE orders", 3)


def slow_handler(engine: Engine) -> Callable[[], None]:
    def handler() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT name FROM customers WHERE pause(:seconds) > 0"), {"seconds": 0.02}).all()

    return handler


def test_a_slow_statement_brings_its_line_and_its_plan(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_explain, "PAUSE_SECONDS", 0.0)

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.create_function("pause", 1, threading.Event().wait)

    engine.dispose()
    handler = slow_handler(engine)
    client = serve(product(slow_query_seconds=0.01), handler)
    with capture_spans() as captured:

        def plan() -> Any:
            captured.clear()
            client.get("/work", headers=ACME)
            return queries(captured)[0].attributes.get("tocsin.db.query.plan")

        assert eventually(plan, "the plan is told") == "SCAN customers"
        [query] = queries(captured)
        request = captured.find("GET /work")
    line = line_of(slow_handler, "pause(:seconds)")
    assert query.attributes["code.line.number"] == line
    assert query.attributes["tocsin.slow"] is True
    assert f":{line} in handler" in request.attributes["tocsin.slow_query.line"]
    assert request.attributes["tocsin.slow_query.duration_ms"] >= 10


def test_explain_can_be_switched_off(engine: Engine) -> None:
    asked: list[str] = []

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.create_function("pause", 1, threading.Event().wait)
        connection.set_trace_callback(asked.append)

    engine.dispose()
    client = serve(product(slow_query_seconds=0.01, explain=False), slow_handler(engine))
    client.get("/work")
    assert "tocsin-explain" not in {thread.name for thread in threading.enumerate()}
    assert asked
    assert not [statement for statement in asked if "EXPLAIN" in statement]


@pytest.mark.parametrize(
    "statement", ["DELETE FROM t", "WITH x AS (DELETE FROM t) SELECT 1", "SELECT 1; DROP TABLE t", "", "CALL f()"]
)
def test_only_a_single_select_is_ever_explained(statement: str) -> None:
    assert not _explain.is_explainable(statement)
    assert _explain.is_explainable("/* app */ SELECT 1;")


def test_a_plan_of_postgresql_tells_no_value(postgres: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_explain, "PAUSE_SECONDS", 0.0)

    def handler() -> None:
        with postgres.connect() as connection:
            connection.execute(
                text("SELECT pg_sleep(0.03) FROM customers WHERE name = :name AND id < 4242"), {"name": "customer 3"}
            )

    client = serve(product(slow_query_seconds=0.02), handler)
    with capture_spans() as captured:

        def plan() -> Any:
            captured.clear()
            client.get("/work")
            return queries(captured)[0].attributes.get("tocsin.db.query.plan")

        found = eventually(plan, "the plan is told")
    assert "customers" in found
    assert "cost=" in found
    assert "customer 3" not in found
    assert "4242" not in found
    assert "actual time" not in found


def counted_by_postgresql(engine: Engine, words: str) -> tuple[int, int]:
    """(calls, rows) of the statements with these words, as pg_stat_statements has them."""
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT coalesce(sum(calls), 0), coalesce(sum(rows), 0) FROM pg_stat_statements WHERE query LIKE :words"
            ),
            {"words": f"%{words}%"},
        )
        calls, rows = found.one()
        return int(calls), int(rows)


def test_calls_and_rows_are_those_of_postgresql_itself(postgres: Engine) -> None:
    try:
        with postgres.begin() as connection:
            connection.execute(text("CREATE EXTENSION pg_stat_statements"))
            connection.execute(text("SELECT pg_stat_statements_reset()"))
    except OperationalError:
        pytest.skip("pg_stat_statements is not installed; run scripts/debian-packages")

    def handler(n: int) -> int:
        with Session(postgres) as session:
            return sum(len(session.scalars(select(Customer).where(Customer.id < 9)).all()) for _ in range(n))

    client = serve(product(), handler)
    with capture_spans() as captured:
        assert client.get("/work?n=3", headers=ACME).json() == 27
        client.get("/work?n=4", headers=GLOBEX)
        spans = [span for span in queries(captured) if span.name == "SELECT customers"]
    calls, rows = counted_by_postgresql(postgres, "FROM customers%WHERE customers.id <")
    assert (calls, rows) == (7, 63)
    assert len(spans) == calls
    assert sum(span.attributes["db.response.returned_rows"] for span in spans) == rows
    shown = client.get("/metrics").text
    assert 'database_queries_total{operation="SELECT",table="customers",tenant="acme"} 3' in shown
    assert 'database_queries_total{operation="SELECT",table="customers",tenant="globex"} 4' in shown
    assert 'database_query_duration_seconds_count{operation="SELECT",table="customers"} 7' in shown


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_an_async_engine_is_watched_with_the_line_that_awaits(postgres_url: str, driver: str) -> None:
    if driver == "asyncpg":
        pytest.importorskip("asyncpg")
    url = postgres_url.replace("postgresql://", f"postgresql+{driver}://")

    async def handler() -> int:
        engine: AsyncEngine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            for number in range(11):
                await connection.execute(select(Customer).where(Customer.id == number))
        await engine.dispose()
        return 1

    client = serve(product(), handler)
    with capture_spans() as captured:
        assert client.get("/work", headers=ACME).json() == 1
        spans = [span for span in queries(captured) if span.name == "SELECT customers"]
        request = captured.find("GET /work")
    assert len(spans) == 11
    assert {span.tenant for span in spans} == {"acme"}
    line = line_of(handler, "Customer.id == number")
    assert f"test_sqlalchemy.py:{line} in handler" in request.attributes["tocsin.n_plus_one.line"]


def test_the_numbers_go_out_with_operation_table_fingerprint_tenant_and_error(engine: Engine) -> None:
    def handler() -> None:
        with engine.connect() as connection:
            connection.execute(select(Customer.id))

    client = serve(product(), handler)
    client.get("/work", headers=ACME)
    client.get("/work", headers=GLOBEX)
    agent = current_agent()
    assert agent is not None
    body, _ = agent._encode_metrics() or (b"", 0)
    request = ExportMetricsServiceRequest.FromString(body)
    [metric] = [
        metric
        for metric in request.resource_metrics[0].scope_metrics[0].metrics
        if metric.name == "db.client.operation.duration"
    ]
    points = metric.exponential_histogram.data_points
    found = [{a.key: a.value.string_value for a in point.attributes} for point in points]
    assert {point["tocsin.tenant"] for point in found} == {"acme", "globex"}
    assert {(p["db.operation.name"], p["db.collection.name"]) for p in found} == {("SELECT", "customers")}
    assert all(len(point["tocsin.db.fingerprint"]) == 16 for point in found)
    assert [point.count for point in points] == [1, 1]
    [classic] = [
        metric
        for metric in request.resource_metrics[0].scope_metrics[0].metrics
        if metric.name == "database_query_duration_seconds"
    ]
    assert [(point.count, sum(point.bucket_counts)) for point in classic.histogram.data_points] == [(1, 1), (1, 1)]
    labels = [{a.key: a.value.string_value for a in point.attributes} for point in classic.histogram.data_points]
    assert {(found["operation"], found["table"]) for found in labels} == {("SELECT", "customers")}
    assert {found["tocsin.tenant"] for found in labels} == {"acme", "globex"}
    names = [metric.name for metric in request.resource_metrics[0].scope_metrics[0].metrics]
    assert "" not in names


def test_more_calls_than_are_kept_are_still_counted(engine: Engine) -> None:
    def handler() -> None:
        with engine.connect() as connection:
            for _ in range(700):
                connection.execute(text("SELECT 1 FROM orders WHERE id = 0"))

    client = serve(product(), handler)
    with capture_spans() as captured:
        client.get("/work", headers=ACME)
        request = captured.find("GET /work")
        assert len(queries(captured)) == 512
    assert request.attributes["tocsin.n_plus_one.count"] == 700
    assert 'database_queries_total{operation="SELECT",table="orders",tenant="acme"} 700' in client.get("/metrics").text


def test_threads_lose_no_query(engine: Engine) -> None:
    def work() -> None:
        for _ in range(50):
            with engine.connect() as connection:
                connection.execute(text("SELECT 1 FROM orders"))

    def handler() -> None:
        threads = [threading.Thread(target=tocsin.wrap(work)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    client = serve(product(), handler)
    client.get("/work", headers=ACME)
    assert 'database_queries_total{operation="SELECT",table="orders",tenant="acme"} 200' in client.get("/metrics").text


def test_the_pool_says_how_full_it_is(engine: Engine) -> None:
    client = serve(product(), lambda: 1)
    with engine.connect(), engine.connect():
        shown = client.get("/metrics").text
    assert 'database_connection_pool_size{pool="sqlite/shop.db",state="active"} 2' in shown
    assert 'database_connection_pool_size{pool="sqlite/shop.db",state="overflow"} 0' in shown
    assert 'database_connection_pool_limit{pool="sqlite/shop.db"} 15' in shown
    assert 'state="idle"} 2' in client.get("/metrics").text


def test_a_request_that_gets_no_connection_names_who_holds_them(sqlite_url: str) -> None:
    engine = create_engine(sqlite_url, pool_size=1, max_overflow=0, pool_timeout=0.05, poolclass=QueuePool)
    app = product(held_connection_seconds=0.0)
    kept: list[Any] = []

    @app.get("/keep")
    def keep() -> None:
        kept.append(engine.connect())

    def handler() -> None:
        with pytest.raises(TimeoutError):
            engine.connect()

    client = serve(app, handler)
    with capture_spans() as captured:
        client.get("/keep", headers=ACME)
        client.get("/work", headers=GLOBEX)
        [holder] = captured.find("GET /work").attributes["tocsin.db.pool.holders"]
    line = line_of(keep, "kept.append")
    assert holder.startswith("GET /keep at ")
    assert f"test_sqlalchemy.py:{line} in keep for 0." in holder
    shown = client.get("/metrics").text
    assert f":{line} in keep" in next(row for row in shown.splitlines() if row.startswith("database_connection_held"))
    kept.pop().close()
    assert "\ndatabase_connection_held_seconds{" not in client.get("/metrics").text
    engine.dispose()


def test_a_pool_without_an_engine_is_watched_alike(tmp_path: Path) -> None:
    pool = QueuePool(lambda: sqlite3.connect(tmp_path / "plain.db", check_same_thread=False), pool_size=2)

    def handler() -> None:
        connection = pool.connect()
        connection.cursor().execute("SELECT 1")
        connection.close()

    client = serve(product(), handler)
    client.get("/work", headers=ACME)
    shown = client.get("/metrics").text
    assert 'database_connection_checkouts_total{pool="default",tenant="acme"} 1' in shown
    assert 'database_connection_pool_size{pool="default",state="idle"} 1' in shown
    pool.dispose()


def test_a_wait_for_a_connection_is_a_span(sqlite_url: str) -> None:
    engine = create_engine(sqlite_url, pool_size=1, max_overflow=0, poolclass=QueuePool)
    holder = engine.connect()

    def handler() -> None:
        threading.Timer(0.05, holder.close).start()
        engine.connect().close()

    client = serve(product(), handler)
    with capture_spans() as captured:
        client.get("/work", headers=ACME)
        span = captured.find("connection wait")
    assert span.duration_seconds >= 0.04
    assert span.attributes["db.client.connection.pool.name"] == "sqlite/shop.db"
    engine.dispose()


def test_a_database_that_is_gone_raises_what_it_raised(postgres_url: str) -> None:
    engine = create_engine("postgresql+psycopg://nobody@127.0.0.1:9/gone", connect_args={"connect_timeout": 1})

    def handler() -> None:
        with pytest.raises(OperationalError):
            engine.connect()

    client = serve(product(), handler)
    with capture_spans() as captured:
        assert client.get("/work").status_code == 200
        assert captured.find("connection wait").attributes["error.type"] == "psycopg.OperationalError"


def test_it_is_left_out_when_the_settings_say_so(engine: Engine) -> None:
    def handler() -> None:
        with engine.connect() as connection:
            connection.execute(select(Customer.id))

    client = serve(product(instruments="-sqlalchemy"), handler)
    with capture_spans() as captured:
        client.get("/work")
        assert queries(captured) == []
    assert instrument.states()["sqlalchemy"] == "off: left out in the settings"


def test_an_engine_is_made_with_every_argument_that_it_takes(sqlite_url: str) -> None:
    product()
    engine = create_engine(
        sqlite_url, echo=False, hide_parameters=True, execution_options={"own": 1}, logging_name="shop", pool_size=3,
        query_cache_size=10, pool_pre_ping=True, future=True,
    )  # fmt: skip
    assert engine.hide_parameters
    assert engine.get_execution_options()["own"] == 1


def test_an_engine_can_be_left_out(sqlite_url: str, engine: Engine) -> None:
    private = create_engine(sqlite_url, execution_options={"tocsin": False})

    def handler() -> None:
        with private.connect() as connection:
            connection.execute(select(Customer.id))

    client = serve(product(), handler)
    with capture_spans() as captured:
        client.get("/work")
        assert queries(captured) == []
    assert "database_queries_total{" not in client.get("/metrics").text
    private.dispose()


def test_a_fault_of_ours_never_reaches_the_app(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from tocsin.sdk import guard
    from tocsin.sdk.instrument import sqlalchemy

    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    def handler() -> int:
        with engine.connect() as connection:
            return len(connection.execute(select(Customer.id)).all())

    client = serve(product(), handler)
    monkeypatch.setattr(sqlalchemy, "note", broken)
    assert client.get("/work").json() == 15
    assert sum(guard.faults.values()) == 1
    guard.faults.clear()


def test_asyncio_engine_on_sqlite(sqlite_url: str, engine: Engine) -> None:
    pytest.importorskip("aiosqlite")
    product()

    async def work() -> None:
        other = create_async_engine(sqlite_url.replace("sqlite://", "sqlite+aiosqlite://"))
        with tocsin.span("job"):
            async with other.connect() as connection:
                await connection.execute(select(Order.id))
        await other.dispose()

    with capture_spans() as captured:
        asyncio.run(work())
        assert [span.parent for span in queries(captured)] == ["job"]
