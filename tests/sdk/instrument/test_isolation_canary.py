"""Canary rows: whoever reads one outside of `cross_tenant` is told of, in whatever work; nobody else is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import BackgroundTasks
from sqlalchemy import Engine, create_engine, func, select, text
from sqlalchemy.orm import Session

import tocsin
from sdk.instrument.tenanted import ACME, Project, Report, crossings, fill, serve
from tocsin.sdk.isolation import declared
from tocsin.sdk.isolation_findings import findings
from tocsin.testing import Capture, capture_spans

CANARY = "canary-5d1e"


@pytest.fixture(autouse=True)
def _fresh_declaration() -> Iterator[None]:
    findings.forget()
    declared.forget()
    tocsin.isolation(tenant_columns=["org_id"], canary=[CANARY])
    yield
    declared.forget()


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[Engine]:
    url = sqlite_url
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url").replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    fill(engine)
    with tocsin.cross_tenant("plant canaries"), Session(engine) as session:
        session.add(Project(id=90, org_id=CANARY, name="", reports=[Report(id=900, org_id=CANARY, title="")]))
        session.commit()
    yield engine
    engine.dispose()


def visit(handler: Callable[..., Any], headers: dict[str, str], **settings: Any) -> tuple[list[Any], Capture]:
    client = serve(handler, **settings)
    with capture_spans() as captured:
        assert client.get("/work", headers=headers).status_code == 200
        captured.records  # noqa: B018  drains what the request has left
    return crossings(captured), captured


WAYS: dict[str, Callable[[Session], Any]] = {
    "entities": lambda s: s.scalars(select(Report)).all(),
    "one by key": lambda s: s.get(Report, 900),
    "raw text": lambda s: s.execute(text("SELECT id, org_id FROM reports")).all(),
    "subquery": lambda s: s.execute(
        text("SELECT org_id FROM reports WHERE id IN (SELECT max(id) FROM reports)")
    ).all(),
    "stream": lambda s: list(s.scalars(select(Report).execution_options(yield_per=2))),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_canary_is_found_in_work_without_a_tenant(engine: Engine, way: str) -> None:
    def handler() -> None:
        with Session(engine) as session:
            WAYS[way](session)

    found, captured = visit(handler, {})
    assert found == [("row", "reports", "", CANARY)]
    [event] = [record for record in captured.records if record.event == "tocsin.isolation.crossing"]
    assert event.severity == 21
    assert event.body == f"{CANARY}'s rows in reports were read in work without a tenant"
    assert f"{CANARY} is a canary" in event.attributes["tocsin.isolation.cause"]
    told = [record.tenant for record in captured.records if record.event == "tocsin.isolation.concern"]
    assert told == [CANARY]


def read_all(engine: Engine) -> Callable[[], None]:
    def handler() -> None:
        with Session(engine) as session:
            session.scalars(select(Report)).all()

    return handler


@pytest.mark.parametrize("headers", [ACME, {"X-Tenant-ID": CANARY}, {"X-Tenant-ID": "17"}])
def test_a_canary_is_found_whosever_request_it_is(engine: Engine, headers: dict[str, str]) -> None:
    found, _ = visit(read_all(engine), headers)
    assert ("row", "reports", headers["X-Tenant-ID"], CANARY) in found


def test_a_canary_is_found_although_its_statement_is_left_out(engine: Engine) -> None:
    found, _ = visit(read_all(engine), ACME, isolation_ratio=1e-9)
    assert found == [("row", "reports", "acme", CANARY)]


def test_a_canary_is_found_where_nobody_has_declared_a_column(engine: Engine) -> None:
    declared.forget()
    found, captured = visit(read_all(engine), {"X-Tenant-ID": "initech"}, isolation_canary=(CANARY,))
    assert found == [("row", "reports", "initech", CANARY)]
    assert {record.severity for record in captured.records if "crossing" in (record.event or "")} == {21}


def test_own_rows_sums_and_work_across_tenants_trip_nothing(engine: Engine) -> None:
    def count(tasks: BackgroundTasks) -> None:
        with Session(engine) as session:
            session.scalars(select(Report).where(Report.org_id == "acme")).all()
            session.scalar(select(func.count()).select_from(Report))
        with tocsin.cross_tenant("nightly"), Session(engine) as session:
            session.scalars(select(Report)).all()

    for headers in (ACME, {}):
        found, _ = visit(count, headers)
        assert found == []


def test_a_key_and_a_job_of_a_canary_are_found_without_a_tenant(redis_port: int) -> None:
    redis = pytest.importorskip("redis")
    with redis.Redis(port=redis_port) as client:

        def handler(tasks: BackgroundTasks) -> None:
            client.get(f"org:{CANARY}:a")
            tasks.add_task(print, "", end="")
            tasks.add_task(_invoice, org_id=CANARY)

        found, _ = visit(handler, {})
    job = "test_isolation_canary._invoice"
    assert found == [
        ("key", "org:{tenant}:*", "", CANARY), ("queued", job, "", CANARY), ("run", job, "", CANARY),
    ]  # fmt: skip


def _invoice(org_id: str) -> None: ...
