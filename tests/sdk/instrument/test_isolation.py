"""The isolation monitor against real databases: every way to load and write, crossings planted and none."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
    create_engine,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)  # fmt: skip
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    Session,
    aliased,
    contains_eager,
    joinedload,
    load_only,
    mapped_column,
    raiseload,
    registry,
    selectinload,
    subqueryload,
)

import tocsin
from sdk.instrument.tenanted import ACME, GLOBEX, Base, Line, Plan, Project, Report, counted, crossings, fill, serve
from sdk.told import told
from tocsin.sdk.agents import current_agent
from tocsin.sdk.isolation import declared
from tocsin.sdk.isolation_findings import findings
from tocsin.testing import Capture, capture_spans


@pytest.fixture(autouse=True)
def _fresh_declaration(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TOCSIN_EXPLAIN", "false")  # a statement more, wherever one was slow
    findings.forget()
    declared.forget()
    tocsin.isolation(tenant_columns=["org_id"])
    yield
    declared.forget()


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[Engine]:
    url = sqlite_url
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url").replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    fill(engine)
    yield engine
    engine.dispose()


def visit(handler: Callable[..., Any], headers: dict[str, str] = ACME) -> tuple[Capture, TestClient]:
    client = serve(handler)
    with capture_spans() as captured:
        assert client.get("/work", headers=headers).status_code == 200
        captured.records  # noqa: B018  drains what the request has left
    return captured, client


LOADS: dict[str, Callable[[Session], Any]] = {
    "select": lambda s: s.scalars(select(Report)).all(),
    "one by key": lambda s: s.get(Report, 20),
    "columns": lambda s: s.execute(select(Report.id, Report.org_id)).all(),
    "labelled column": lambda s: s.execute(select(Report.id, Report.org_id.label("whose"))).all(),
    "join": lambda s: s.execute(select(Report, Project).join(Project.reports).where(Report.id == 20)).all(),
    "joined load": lambda s: s.scalars(select(Project).options(joinedload(Project.reports))).unique().all(),
    "select-in load": lambda s: s.scalars(select(Project).options(selectinload(Project.reports))).all(),
    "subquery load": lambda s: s.scalars(select(Project).options(subqueryload(Project.reports))).all(),
    "contains eager": lambda s: s.scalars(
        select(Project).join(Project.reports).options(contains_eager(Project.reports))
    ).unique().all(),
    "lazy load": lambda s: [r.project.name for r in s.scalars(select(Report).where(Report.id == 20))],
    "alias": lambda s: s.scalars(select(aliased(Report))).all(),
    "subquery": lambda s: s.execute(select(select(Report).limit(20).subquery())).all(),
    "from text": lambda s: s.scalars(select(Report).from_statement(text("SELECT * FROM reports"))).all(),
    "raw text": lambda s: s.execute(text("SELECT id, org_id FROM reports")).all(),
    "driver text": lambda s: s.connection().exec_driver_sql("SELECT * FROM reports").all(),
    "one at a time": lambda s: [*s.execute(text("SELECT * FROM reports")).mappings()],
    "fetchmany": lambda s: s.execute(select(Report.org_id)).fetchmany(4),
    "first": lambda s: s.execute(select(Report.org_id).order_by(Report.id.desc())).first(),
    "scalar": lambda s: s.scalar(select(func.lower(Report.org_id).label("x"), Report.org_id).where(Report.id == 20)),
    "yield per": lambda s: s.scalars(select(Report).execution_options(yield_per=2)).all(),
    "stream": lambda s: list(s.scalars(select(Report), execution_options={"stream_results": True})),
    "partitions": lambda s: list(s.scalars(select(Report)).partitions(3)),
    "union": lambda s: s.execute(select(Report.org_id).union(select(Project.org_id))).all(),
    "legacy query": lambda s: s.query(Report).all(),
    "refresh": lambda s: s.refresh(s.get_one(Report, 20)),
    "update returning": lambda s: s.execute(
        update(Report).where(Report.id == 20).values(title="x").returning(Report.org_id)
    ).all(),
}  # fmt: skip


@pytest.mark.parametrize("way", LOADS)
def test_another_tenants_row_is_found_whatever_way_it_is_loaded(engine: Engine, way: str) -> None:
    def handler() -> None:
        with Session(engine) as session:
            LOADS[way](session)

    captured, _ = visit(handler)
    found = crossings(captured)
    assert found, way
    assert {(tenant, owner) for _, _, tenant, owner in found} == {("acme", "globex")}
    assert {how for how, *_ in found} == {"row"}


OWN: dict[str, Callable[[Session], Any]] = {
    "select": lambda s: s.scalars(select(Report).where(Report.org_id == "acme")).all(),
    "columns": lambda s: s.execute(select(Report.title).where(Report.org_id == "acme")).all(),
    "in": lambda s: s.scalars(select(Report).where(Report.org_id.in_(["acme"]), Report.id.in_([10, 11, 20]))).all(),
    "or null": lambda s: s.scalars(select(Report).where(or_(Report.org_id == "acme", Report.org_id.is_(None)))).all(),
    "join": lambda s: s.execute(select(Report.title).join(Report.project).where(Project.org_id == "acme")).all(),
    "joined load": lambda s: s.scalars(
        select(Project).where(Project.org_id == "acme").options(joinedload(Project.reports).joinedload(Report.lines))
    ).unique().all(),
    "joined load with limit": lambda s: s.scalars(
        select(Project).where(Project.org_id == "acme").limit(5).options(joinedload(Project.reports))
    ).unique().all(),
    "select-in load": lambda s: s.scalars(
        select(Project)
        .where(Project.org_id == "acme")
        .options(selectinload(Project.reports).selectinload(Report.lines))
    ).all(),
    "subquery load": lambda s: s.scalars(
        select(Project).where(Project.org_id == "acme").options(subqueryload(Project.reports))
    ).all(),
    "lazy load": lambda s: [p.reports for p in s.scalars(select(Project).where(Project.org_id == "acme"))],
    "load only": lambda s: s.scalars(
        select(Report).where(Report.org_id == "acme").options(load_only(Report.title), raiseload("*"))
    ).all(),
    "exists": lambda s: s.scalars(
        select(Report).where(Report.project.has(Project.org_id == "acme"))
    ).all(),
    "aggregate": lambda s: s.execute(
        select(func.count()).select_from(Report).where(Report.org_id == "acme").group_by(Report.project_id)
    ).all(),
    "text": lambda s: s.execute(text("SELECT title FROM reports WHERE org_id = :o"), {"o": "acme"}).all(),
    "driver text": lambda s: s.connection().exec_driver_sql("SELECT title FROM reports WHERE org_id = 'acme'").all(),
    "yield per": lambda s: s.scalars(
        select(Report).where(Report.org_id == "acme").execution_options(yield_per=1)
    ).all(),
    "add": lambda s: (s.add(Report(id=99, org_id="acme", project_id=1, title="new")), s.flush()),
    "add all": lambda s: (
        s.add_all([Report(id=n, org_id="acme", project_id=1, title="new") for n in range(100, 120)]), s.flush(),
    ),
    "change": lambda s: (setattr(s.get_one(Report, 10), "title", "new"), s.flush()),
    "delete": lambda s: (s.delete(s.scalars(select(Line).limit(1)).one()), s.flush()),
    "merge": lambda s: (s.merge(Report(id=10, org_id="acme", project_id=1, title="merged")), s.flush()),
    "bulk insert": lambda s: s.execute(
        insert(Report), [{"id": n, "org_id": "acme", "project_id": 1, "title": "b"} for n in range(200, 260)]
    ),
    "bulk update": lambda s: s.execute(update(Report).where(Report.org_id == "acme").values(title="b")),
    "bulk delete": lambda s: s.execute(delete(Line).where(Line.id == 1)),
}  # fmt: skip


@pytest.mark.parametrize("way", OWN)
def test_a_tenants_own_rows_raise_no_alarm_and_no_warning(engine: Engine, way: str) -> None:
    def handler() -> None:
        with Session(engine) as session:
            OWN[way](session)

    captured, client = visit(handler)
    # Others tell of a start, and on a busy machine of a slow statement.
    assert [record.body for record in told(captured) if "isolation" in record.event] == []
    results = counted(client)
    assert not [labels for labels in results if "unscoped" in labels or "not_checked" in labels], results
    if "delete" not in way:
        assert sum(results.values()) >= 1


WRITES: dict[str, Callable[[Session], Any]] = {
    "add": lambda s: (s.add(Report(id=99, org_id="globex", project_id=1, title="new")), s.flush()),
    "add several": lambda s: (
        s.add_all([Report(id=n, org_id="globex", project_id=1, title="new") for n in range(100, 120)]), s.flush(),
    ),
    "bulk insert": lambda s: s.execute(
        insert(Report),
        [{"id": n, "org_id": "globex" if n == 230 else "acme", "project_id": 1, "title": "b"} for n in range(200, 260)],
    ),
    "bulk mappings": lambda s: s.bulk_insert_mappings(
        Report.__mapper__, [{"id": 99, "org_id": "globex", "project_id": 1, "title": "b"}]
    ),
    "moved away": lambda s: (setattr(s.get_one(Report, 10), "org_id", "globex"), s.flush()),
    "values": lambda s: s.execute(
        insert(Report).values([{"id": 99, "org_id": "globex", "project_id": 1, "title": "b"}])
    ),
    "update sets": lambda s: s.execute(update(Report).where(Report.org_id == "acme").values(org_id="globex")),
    "text": lambda s: s.execute(
        text("INSERT INTO reports (id, org_id, project_id, title) VALUES (99, :o, 1, 'x')"), {"o": "globex"}
    ),
    "driver text": lambda s: s.connection().exec_driver_sql(
        "INSERT INTO reports (id, org_id, project_id, title) VALUES (99, 'globex', 1, 'x')"
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WRITES)
def test_a_write_to_another_tenant_is_found(engine: Engine, way: str) -> None:
    def handler() -> None:
        with Session(engine) as session:
            WRITES[way](session)

    captured, _ = visit(handler)
    assert crossings(captured) == [("write", "reports", "acme", "globex")]


@pytest.mark.parametrize("act", [lambda s, r: setattr(r, "title", "x"), lambda s, r: s.delete(r)])
def test_a_foreign_object_changed_or_deleted_is_found_although_it_was_loaded_with_leave(
    engine: Engine, act: Callable[..., Any]
) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM lines"))

    def handler() -> None:
        with Session(engine) as session:
            with tocsin.cross_tenant("copy a template"):
                report = session.get_one(Report, 20)
                assert report.lines == []
            act(session, report)
            session.flush()

    captured, _ = visit(handler)
    assert crossings(captured) == [("write", "reports", "acme", "globex")]


PREDICATES: dict[str, Callable[[Session], Any]] = {
    "equal": lambda s: s.execute(select(Report.title).where(Report.org_id == "globex")).all(),
    "in": lambda s: s.execute(
        select(Report.title).where(Report.org_id.in_(["acme", "globex"]), Report.id.in_([1, 2, 3]))
    ).all(),
    "text": lambda s: s.execute(text("SELECT title FROM reports WHERE org_id = :o"), {"o": "globex"}).all(),
    "literal": lambda s: s.execute(text("SELECT title FROM reports WHERE org_id = 'globex'")).all(),
    "subquery": lambda s: s.execute(
        select(Report.title).where(Report.project_id.in_(select(Project.id).where(Project.org_id == "globex")))
    ).all(),
    "update": lambda s: s.execute(update(Report).where(Report.org_id == "globex").values(title="x")),
    "delete": lambda s: s.execute(delete(Report).where(Report.org_id == "globex", Report.id == 7)),
    "or": lambda s: s.execute(select(Report.title).where(or_(Report.org_id == "globex", Report.title == "x"))).all(),
}  # fmt: skip


@pytest.mark.parametrize("way", PREDICATES)
def test_a_statement_that_names_another_tenant_is_found(engine: Engine, way: str) -> None:
    def handler() -> None:
        with Session(engine) as session:
            PREDICATES[way](session)

    captured, _ = visit(handler)
    assert {(how, tenant, owner) for how, _, tenant, owner in crossings(captured)} == {("predicate", "acme", "globex")}


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_asyncio_sessions_are_watched(postgres_url: str, driver: str) -> None:
    sync = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    fill(sync)
    sync.dispose()
    _check_asyncio(postgres_url.replace("postgresql://", f"postgresql+{driver}://"))


def test_asyncio_on_sqlite_is_watched(sqlite_url: str) -> None:
    sync = create_engine(sqlite_url)
    fill(sync)
    sync.dispose()
    _check_asyncio(sqlite_url.replace("sqlite://", "sqlite+aiosqlite://"))


def _check_asyncio(url: str) -> None:
    async def own() -> None:
        engine = create_async_engine(url)
        async with AsyncSession(engine) as session:
            mine = select(Project).where(Project.org_id == "acme", Project.id.in_([1, 2, 3]))
            projects = (await session.scalars(mine.options(selectinload(Project.reports)))).all()
            assert len(projects) == 2
            streamed = await session.stream_scalars(select(Report).where(Report.org_id == "acme"))
            assert len([report async for report in streamed]) == 4
            projects[0].name = "renamed"
            session.add_all([Report(id=n, org_id="acme", project_id=1, title="n") for n in range(300, 310)])
            await session.flush()
        await engine.dispose()

    async def foreign() -> None:
        engine = create_async_engine(url)
        async with AsyncSession(engine) as session:
            streamed = await session.stream_scalars(select(Report))
            assert len([report async for report in streamed]) == 8
            session.add(Project(id=77, org_id="globex", name="n"))
            await session.flush()
        await engine.dispose()

    captured, client = visit(own)
    assert [record.body for record in told(captured)] == []
    assert not [labels for labels in counted(client) if "unscoped" in labels or "not_checked" in labels]
    captured, _ = visit(foreign)
    assert crossings(captured) == [("row", "reports", "acme", "globex"), ("write", "projects", "acme", "globex")]
    (row,) = [r for r in captured.records if r.attributes.get("tocsin.isolation.how") == "row" and not r.tenant]
    assert row.attributes["code.line.number"] == line_of(foreign, "report async for")


def line_of(function: Callable[..., Any], words: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return next(first + number for number, line in enumerate(lines) if words in line)


def test_a_crossing_says_statement_line_route_both_tenants_and_why(engine: Engine) -> None:
    def handler() -> None:
        tocsin.set_tenant("acme")
        with Session(engine) as session:
            session.execute(select(Report.id, Report.org_id).where(Report.title != "secret")).all()

    captured, _ = visit(handler)
    (event,) = [record for record in captured.records if record.event == "tocsin.isolation.crossing"]
    request = captured.find("GET /work")
    assert event.severity == 21
    assert event.body == "globex's rows in reports were read in a request of acme"
    assert event.trace_id == request.trace_id
    assert event.tenant is None
    said = event.attributes
    assert said["db.query.text"].startswith("SELECT reports.id, reports.org_id")
    assert "secret" not in str(said)
    assert said["code.file.path"].endswith("test_isolation.py")
    assert said["code.line.number"] == line_of(handler, "session.execute")
    assert (said["http.request.method"], said["http.route"]) == ("GET", "/work")
    assert said["tocsin.isolation.cause"] == "no condition on reports.org_id in the statement"
    assert (said["tocsin.isolation.rows"], said["tocsin.isolation.count"]) == (4, 1)
    assert request.attributes["tocsin.isolation.crossing"] == "row:reports"


def test_a_tenant_that_the_client_only_claims_is_said_to_be_claimed(engine: Engine) -> None:
    def handler() -> None:
        with Session(engine) as session:
            session.scalars(select(Report)).all()

    captured, _ = visit(handler)
    (event,) = [record for record in captured.records if record.event == "tocsin.isolation.crossing"]
    assert "what the client claims" in event.attributes["tocsin.isolation.cause"]


def test_names_differ_by_more_than_capitals(engine: Engine) -> None:
    def handler() -> None:
        with Session(engine) as session:
            session.scalars(select(Report).where(Report.org_id == "acme")).all()

    captured, _ = visit(handler, {"X-Tenant-ID": "ACME"})
    assert told(captured) == []


def test_each_of_the_two_tenants_is_told_without_the_others_name(engine: Engine) -> None:
    def handler() -> None:
        with Session(engine) as session:
            session.scalars(select(Report)).all()

    captured, _ = visit(handler)
    told = {record.tenant: record for record in captured.records if record.event == "tocsin.isolation.concern"}
    assert set(told) == {"acme", "globex"}
    assert "globex" not in str((told["acme"].body, told["acme"].attributes))
    assert "acme" not in str((told["globex"].body, told["globex"].attributes))
    assert told["globex"].trace_id == ""
    assert told["globex"].attributes["tocsin.isolation.role"] == "owner"


def test_the_trace_of_a_crossing_is_kept_whatever_is_sampled(engine: Engine) -> None:
    def handler(whose: str) -> None:
        with Session(engine) as session:
            session.scalars(select(Report).where(Report.org_id == whose)).all()

    client = serve(handler, "/work/{whose}", sample_ratio=0.0, sample_minimum_per_second=0)
    with capture_spans() as captured:
        client.get("/work/acme", headers=ACME)
        client.get("/work/globex", headers=ACME)
        kept = [span for span in captured.spans if span.kind == "server"]
    assert [span.attributes["url.path"] for span in kept] == ["/work/globex"]


def test_equal_crossings_are_told_once_and_counted_all(engine: Engine) -> None:
    def handler() -> None:
        with Session(engine) as session:
            session.scalars(select(Report)).all()

    client = serve(handler)
    with capture_spans() as captured:
        for _ in range(5):
            client.get("/work", headers=ACME)
        client.get("/work", headers=GLOBEX)
        assert crossings(captured) == [("row", "reports", "acme", "globex"), ("row", "reports", "globex", "acme")]
        agent = current_agent()
        assert agent is not None
        findings.flush(agent, is_last=True)
        of_acme = [r for r in captured.records if r.attributes.get("tocsin.isolation.tenant") == "acme"]
    assert [r.attributes["tocsin.isolation.count"] for r in of_acme] == [1, 4]
    assert [r.attributes["tocsin.isolation.rows"] for r in of_acme] == [4, 16]
    assert counted(client, "tenant_isolation_crossings_total") == {
        '{role="owner",table="reports",tenant="acme"}': 1,
        '{role="owner",table="reports",tenant="globex"}': 5,
        '{role="reader",table="reports",tenant="acme"}': 5,
        '{role="reader",table="reports",tenant="globex"}': 1,
    }


def test_statements_and_rows_are_counted_by_tenant(engine: Engine) -> None:
    def handler() -> None:
        with Session(engine) as session:
            session.scalars(select(Report).where(Report.org_id == "acme")).all()
            session.scalars(select(Report).where(Report.project_id == 1)).all()
            session.scalar(select(func.count()).where(Report.project_id == 1))
            session.scalars(select(Plan)).all()
            session.execute(text("SELECT 1"))

    _, client = visit(handler)
    assert counted(client) == {
        '{result="rows",tenant="acme"}': 1,
        '{result="scoped",tenant="acme"}': 1,
        '{result="unscoped",tenant="acme"}': 1,
    }
    assert counted(client, "tenant_isolation_rows_total") == {'{tenant="acme"}': 6}


def test_the_numbers_go_out_over_otlp_as_increases(engine: Engine) -> None:
    def handler() -> None:
        with Session(engine) as session:
            session.scalars(select(Report).where(Report.org_id == "acme")).all()

    client = serve(handler)
    with capture_spans():
        client.get("/work", headers=ACME)
        agent = current_agent()
        assert agent is not None
        waiting = agent.increases.collect().sums.numbers
        assert not agent.increases.collect().sums
    sent = {(key.name, tuple(sorted(key.attributes().items()))): number for key, number in waiting.items()}
    assert sent == {
        ("tenant_isolation_statements_total", (("result", "scoped"), ("tocsin.tenant", "acme"))): 1,
        ("tenant_isolation_rows_total", (("tocsin.tenant", "acme"),)): 4,
    }


def test_a_statement_that_nothing_holds_is_warned_about_once_a_route(engine: Engine) -> None:
    def handler() -> None:
        with Session(engine) as session:
            session.scalar(select(func.count()).where(Report.project_id == 1))

    app_client = serve(handler)
    app: Any = app_client.app
    app.get("/other")(handler)
    with capture_spans() as captured:
        for path in ("/work", "/work", "/other"):
            app_client.get(path, headers=ACME)
        warned = [record for record in captured.records if record.event == "tocsin.isolation.unscoped"]
    assert [record.attributes["http.route"] for record in warned] == ["/work", "/other"]
    assert warned[0].severity == 13
    assert warned[0].body == "nothing holds SELECT on reports to a tenant"
    assert warned[0].attributes["code.line.number"] == line_of(handler, "session.scalar")


def test_work_across_tenants_is_let_through_counted_and_noted(engine: Engine) -> None:
    def handler() -> None:
        with Session(engine) as session:
            with tocsin.cross_tenant("nightly invoices"):
                rows = session.execute(select(Report.org_id), execution_options={"yield_per": 1})
                session.execute(delete(Line))
            assert len(rows.all()) == 8  # was run with leave, fetched after it

    captured, client = visit(handler)
    assert [(r.event, r.body, r.tenant) for r in told(captured)] == [
        ("tocsin.isolation.exempt", "work across tenants: nightly invoices", "acme")
    ]
    assert told(captured)[0].attributes["http.route"] == "/work"
    assert counted(client) == {'{result="exempt",tenant="acme"}': 1}


def test_leave_to_cross_ends_with_its_block_also_in_coroutines(engine: Engine) -> None:
    @tocsin.cross_tenant("a decorated job")
    async def job() -> int:
        await asyncio.sleep(0)
        with Session(engine) as session:
            return len(session.scalars(select(Report)).all())

    async def handler() -> None:
        async with tocsin.cross_tenant("in a block"):
            assert await job() == 8
        assert await asyncio.gather(job(), job()) == [8, 8]
        with Session(engine) as session:
            session.scalars(select(Report)).all()

    captured, client = visit(handler)
    assert crossings(captured) == [("row", "reports", "acme", "globex")]
    assert counted(client)['{result="exempt",tenant="acme"}'] == 3


def test_crossing_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="without a reason"):
        tocsin.cross_tenant("  ")


def test_background_work_and_threads_keep_their_tenant_and_are_watched(engine: Engine) -> None:
    def load() -> None:
        with Session(engine) as session:
            session.scalars(select(Report)).all()

    def handler(tasks: BackgroundTasks) -> StreamingResponse:
        tasks.add_task(load)
        thread = threading.Thread(target=tocsin.wrap(load))
        thread.start()
        thread.join()

        def rows() -> Iterator[str]:
            with Session(engine) as session:
                for project in session.scalars(select(Project).execution_options(yield_per=1)):
                    yield project.name

        return StreamingResponse(rows(), background=tasks)

    captured, client = visit(handler)
    assert crossings(captured) == [("row", "projects", "acme", "globex"), ("row", "reports", "acme", "globex")]
    assert counted(client, "tenant_isolation_crossings_total")['{role="reader",table="reports",tenant="acme"}'] == 2


def test_a_job_has_the_tenant_it_says_and_without_one_is_not_checked(engine: Engine) -> None:
    client = serve(lambda: None)

    def job(tenant: str | None) -> None:
        tocsin.set_tenant(tenant)
        with Session(engine) as session:
            session.scalars(select(Report)).all()

    with capture_spans() as captured:
        for tenant in ("acme", None):
            thread = threading.Thread(target=job, args=(tenant,))
            thread.start()
            thread.join()
        assert crossings(captured) == [("row", "reports", "acme", "globex")]
    assert counted(client)['{reason="no_tenant",result="not_checked"}'] == 1


# -- how rows name their tenant


def numbered(engine: Engine) -> Table:
    table = Table("orders", MetaData(), Column("id", Integer, primary_key=True), Column("tenant_id", Integer))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(table), [{"id": n, "tenant_id": 17 + n % 2} for n in range(10)])
    return table


def test_rows_with_numbers_are_no_crossing_of_requests_with_names(engine: Engine) -> None:
    tocsin.isolation(tenant_columns=["tenant_id"])
    table = numbered(engine)

    def handler() -> None:
        with engine.connect() as connection:
            connection.execute(select(table)).all()
            connection.execute(select(table).where(table.c.tenant_id == 17)).all()

    captured, client = visit(handler)
    assert crossings(captured) == []
    assert counted(client)['{reason="unknown_key",result="not_checked",tenant="acme"}'] >= 2


def test_a_table_of_the_same_name_elsewhere_in_the_process_changes_nothing(engine: Engine) -> None:
    elsewhere = registry()

    @elsewhere.mapped
    class Order:
        __tablename__ = "orders"
        id = mapped_column(Integer, primary_key=True)

    tocsin.isolation(tenant_columns=["tenant_id"], tenant_key={"acme": 17}.get)
    table = numbered(engine)

    def handler() -> None:
        with engine.connect() as connection:
            connection.execute(select(Order.id)).all()
            connection.execute(select(table)).all()

    captured, client = visit(handler)
    elsewhere.dispose()
    assert crossings(captured) == [("row", "orders", "acme", "18")]
    assert counted(client) == {'{result="rows",tenant="acme"}': 1}


def test_a_key_function_or_the_tenants_own_number_makes_them_known(engine: Engine) -> None:
    table = numbered(engine)

    def handler(says: str = "") -> None:
        if says:
            tocsin.set_tenant("acme", row_tenant=int(says))
        with engine.connect() as connection:
            connection.execute(select(table).where(table.c.tenant_id == 17)).all()
            connection.execute(select(table)).all()

    client = serve(handler)
    tocsin.isolation(tenant_columns=["tenant_id"])
    with capture_spans() as captured:
        client.get("/work?says=17", headers=ACME)
        assert crossings(captured) == [("row", "orders", "acme", "18")]
    tocsin.isolation(tenant_key={"acme": 17, "globex": 18}.get)
    with capture_spans() as captured:
        client.get("/work", headers=GLOBEX)
        client.get("/work", headers={"X-Tenant-ID": "newcomer"})
        assert set(crossings(captured)) == {
            ("predicate", "orders", "globex", "acme"), ("row", "orders", "globex", "acme"),
        }  # fmt: skip
    assert counted(client)['{reason="unknown_key",result="not_checked",tenant="newcomer"}'] == 2


def test_a_key_function_may_query(engine: Engine) -> None:
    table = numbered(engine)

    def find(tenant: str) -> int:
        with Session(engine) as session:
            return 17 if session.scalars(select(Project).where(Project.org_id == tenant)).first() else 18

    tocsin.isolation(tenant_columns=["tenant_id", "org_id"], tenant_key=find)

    def handler() -> None:
        with engine.connect() as connection:
            connection.execute(select(table).where(table.c.tenant_id == 17)).all()

    captured, _ = visit(handler)
    assert told(captured) == []


def test_uuids_are_equal_in_all_their_forms(engine: Engine) -> None:
    import uuid

    own, other = uuid.uuid4(), uuid.uuid4()
    table = Table("files", MetaData(), Column("id", Integer, primary_key=True), Column("tenant_id", Uuid))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(table), [{"id": 1, "tenant_id": own}, {"id": 2, "tenant_id": other}])
    tocsin.isolation(tenant_columns=["tenant_id"])

    def handler(id: int) -> None:
        with engine.connect() as connection:
            connection.execute(select(table).where(table.c.id == id)).all()

    client = serve(handler)
    with capture_spans() as captured:
        client.get("/work?id=1", headers={"X-Tenant-ID": str(own)})
        assert told(captured) == []
        client.get("/work?id=2", headers={"X-Tenant-ID": str(own)})
        assert crossings(captured) == [("row", "files", str(own), str(other))]


def test_columns_found_by_name_must_first_prove_that_they_name_tenants(engine: Engine) -> None:
    declared.forget()

    def handler(whose: str = "acme") -> None:
        with Session(engine) as session:
            session.scalars(select(Report).where(Report.id < 100)).all() if whose == "all" else session.scalars(
                select(Report).where(Report.org_id == whose)
            ).all()

    client = serve(handler)
    with capture_spans() as captured:
        client.get("/work?whose=all", headers={"X-Tenant-ID": "nobody-has-such-rows"})
        assert crossings(captured) == []
        client.get("/work", headers=ACME)
        client.get("/work?whose=all", headers=ACME)
        assert crossings(captured) == [("row", "reports", "acme", "globex")]
        crossing = next(r for r in captured.records if r.event == "tocsin.isolation.crossing")
    assert (crossing.severity, crossing.attributes["tocsin.isolation.is_declared"]) == (13, False)
    assert counted(client, "tenant_isolation_crossings_total") == {}
    assert counted(client, "tenant_isolation_suspicions_total")


def test_exempt_tables_shared_values_and_models_are_obeyed(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Project(id=50, org_id="*", name="template"))
        session.commit()
    tocsin.isolation(exempt_tables=[Report], shared=["*"], models={Plan: "name"})

    def handler() -> None:
        with Session(engine) as session:
            session.scalars(select(Report)).all()
            session.scalars(select(Project).where(Project.org_id.in_(["*", "acme"]))).all()
            session.scalars(select(Plan)).all()

    captured, _ = visit(handler)
    assert crossings(captured) == [("row", "plans", "acme", "team")]


def test_a_model_names_its_own_column(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    declared.forget()
    monkeypatch.setattr(Plan, "__tocsin_tenant__", "name", raising=False)
    monkeypatch.setattr(Report, "__tocsin_tenant__", False, raising=False)

    def handler() -> None:
        with Session(engine) as session:
            session.scalars(select(Plan)).all()
            session.scalars(select(Report)).all()

    captured, _ = visit(handler)
    assert crossings(captured) == [("row", "plans", "acme", "team")]


def test_tables_without_any_metadata_are_known_by_what_statements_show(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE plain (id INTEGER, org_id VARCHAR(20))"))
        connection.execute(text("INSERT INTO plain (id, org_id) VALUES (1, 'acme'), (2, 'globex')"))

    def handler() -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT * FROM plain").all()

    captured, _ = visit(handler)
    assert crossings(captured) == [("row", "plain", "acme", "globex")]


def test_a_share_of_the_statements_can_be_checked_and_the_rest_is_said(engine: Engine) -> None:
    def handler() -> None:
        with Session(engine) as session:
            for _ in range(200):
                session.execute(select(Report.id).where(Report.org_id == "acme")).all()

    client = serve(handler, isolation_ratio=0.5)
    client.get("/work", headers=ACME)
    results = counted(client)
    assert sum(results.values()) == 200
    assert 50 < results['{reason="sampled",result="not_checked",tenant="acme"}'] < 150


def test_switched_off_nothing_is_looked_at(engine: Engine) -> None:
    def handler() -> None:
        with Session(engine) as session:
            session.scalars(select(Report)).all()

    client = serve(handler, isolation_ratio=0.0)
    with capture_spans() as captured:
        client.get("/work", headers=ACME)
        assert told(captured) == []
    assert counted(client) == {}


def test_the_environment_declares(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    declared.forget()
    monkeypatch.setenv("TOCSIN_ISOLATION_COLUMNS", "title")
    monkeypatch.setenv("TOCSIN_ISOLATION_EXEMPT_TABLES", "projects")

    def handler() -> None:
        with Session(engine) as session:
            session.scalars(select(Report).where(Report.title == "report 0")).all()

    captured, _ = visit(handler)
    assert {owner for *_, owner in crossings(captured)} == {"report 0"}


def test_our_own_faults_never_reach_the_app(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from tocsin.sdk import guard
    from tocsin.sdk.instrument import _isolation_rows

    client = serve(lambda: None)
    app: Any = client.app

    def handler() -> int:
        with Session(engine) as session:
            return len(session.scalars(select(Report)).all())

    app.get("/broken")(handler)
    monkeypatch.setattr(_isolation_rows, "MOST_NOTED", "no number")
    assert client.get("/broken", headers=ACME).json() == 8
    assert sum(guard.faults.values()) >= 1
    guard.faults.clear()


def test_tables_that_come_later_are_known(engine: Engine) -> None:
    client = serve(lambda: None)
    app: FastAPI = client.app  # type: ignore[assignment]
    late = Table("late", Base.metadata, Column("id", Integer, primary_key=True), Column("org_id", String(20)))
    late.create(engine)

    def handler() -> None:
        with engine.begin() as connection:
            connection.execute(insert(late), [{"id": 1, "org_id": "globex"}])

    app.get("/late")(handler)
    with capture_spans() as captured:
        client.get("/late", headers=ACME)
        found = crossings(captured)
    Base.metadata.remove(late)
    assert found == [("write", "late", "acme", "globex")]


def test_an_engine_that_is_left_out_is_left_out_here_as_well(sqlite_url: str) -> None:
    engine = create_engine(sqlite_url, execution_options={"tocsin": False})
    fill(engine)

    def handler() -> None:
        with Session(engine) as session:
            session.scalars(select(Report)).all()

    captured, client = visit(handler)
    engine.dispose()
    assert told(captured) == []
    assert counted(client) == {}
