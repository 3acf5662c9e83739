"""Arguments of jobs held against the tenant that queues and runs them, in every queue that is watched."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC
from typing import Any

import pytest
from fastapi import BackgroundTasks
from fastapi.testclient import TestClient

import tocsin
from sdk.instrument.tenanted import ACME, GLOBEX, counted, crossings, serve
from tocsin.sdk.isolation import declared
from tocsin.sdk.isolation_findings import findings
from tocsin.testing import Capture, capture_spans
from waiting import eventually

JOBS = "tenant_isolation_jobs_total"
DONE: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh_declaration() -> Iterator[None]:
    findings.forget()
    declared.forget()
    DONE.clear()
    tocsin.isolation(tenant_columns=["org_id"])
    yield
    declared.forget()


def invoice(number: int, org_id: Any = None, customer: str = "") -> None:
    DONE.append(org_id)


def visit(handler: Callable[..., Any], *visits: dict[str, str]) -> tuple[list[Any], TestClient, Capture]:
    client = serve(handler)
    with capture_spans() as captured:
        for headers in visits or (ACME,):
            assert client.get("/work", headers=headers).status_code == 200
        captured.records  # noqa: B018  drains what the request has left
    return crossings(captured), client, captured


@pytest.mark.parametrize("by_name", [True, False])
def test_a_background_task_for_another_tenant_is_found_twice(by_name: bool) -> None:
    def handler(tasks: BackgroundTasks) -> None:
        if by_name:
            tasks.add_task(invoice, 7, org_id="globex")
        else:
            tasks.add_task(invoice, 7, "globex")
        tasks.add_task(invoice, 8, org_id="acme")
        tasks.add_task(invoice, 9)

    found, client, captured = visit(handler)
    name = "test_isolation_jobs.invoice"
    assert found == [("queued", name, "acme", "globex"), ("run", name, "acme", "globex")]
    assert counted(client, JOBS) == {'{result="scoped",tenant="acme"}': 4}
    events = [record for record in captured.records if record.event == "tocsin.isolation.crossing"]
    assert {record.severity for record in events} == {21}
    assert {record.body for record in events} == {
        f"globex's job {name} was queued in a request of acme",
        f"globex's job {name} was run in a job of acme",
    }
    [queued] = [record for record in events if record.attributes["tocsin.isolation.how"] == "queued"]
    assert queued.attributes["code.file.path"].endswith("test_isolation_jobs.py")
    assert queued.attributes["tocsin.isolation.column"] == "org_id"


def test_leave_to_cross_goes_with_the_job() -> None:
    def handler(tasks: BackgroundTasks) -> None:
        with tocsin.cross_tenant("invoices of all"):
            tasks.add_task(invoice, 7, org_id="globex")

    found, client, _ = visit(handler)
    assert found == []
    assert DONE == ["globex"]
    assert counted(client, JOBS) == {'{result="exempt",tenant="acme"}': 2}


def test_other_arguments_and_other_kinds_of_names_are_no_tenants() -> None:
    def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(invoice, 7, org_id=18, customer="globex")
        tasks.add_task(invoice, 7, org_id=uuid.uuid4())
        tasks.add_task(invoice, 7, org_id=["globex"])
        tasks.add_task(invoice, 7, org_id="")

    found, client, _ = visit(handler)
    assert found == []
    assert counted(client, JOBS) == {'{reason="unknown_key",result="not_checked",tenant="acme"}': 4}


def test_a_declared_argument_is_held() -> None:
    tocsin.isolation(job_arguments=["customer"])

    def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(invoice, 7, customer="globex")

    found, *_ = visit(handler)
    assert [(how, owner) for how, _, _, owner in found] == [("queued", "globex"), ("run", "globex")]


def test_without_a_declaration_it_takes_proof_and_a_known_tenant() -> None:
    declared.forget()

    def handler(tasks: BackgroundTasks, org: str) -> None:
        tasks.add_task(invoice, 7, org_id=org)

    client = serve(handler)
    with capture_spans() as captured:
        for org, headers, expected in (
            ("globex", ACME, 0), ("acme", ACME, 0), ("everybody", ACME, 0), ("globex", GLOBEX, 0), ("globex", ACME, 2),
        ):  # fmt: skip
            client.get("/work", params={"org": org}, headers=headers)
            assert len(crossings(captured)) == expected, org
    assert {record.severity for record in captured.records if record.event == "tocsin.isolation.crossing"} == {13}


def test_a_job_of_ones_own_with_a_tenant_is_held() -> None:
    @tocsin.job("close-month", tenant="acme")
    def close(org_id: str) -> None: ...

    @tocsin.job("close-day")
    async def close_day(org_id: str) -> None: ...

    def handler() -> None:
        close("acme")
        close("globex")
        asyncio.run(close_day(org_id="acme"))

    found, *_ = visit(handler, GLOBEX)
    assert found == [("run", "close-day", "globex", "acme"), ("run", "close-month", "acme", "globex")]


def test_the_mapping_of_rows_goes_with_the_job() -> None:
    def handler(tasks: BackgroundTasks) -> None:
        tocsin.set_tenant("acme", row_tenant=17)
        tasks.add_task(invoice, 7, org_id=17)
        tasks.add_task(invoice, 8, org_id=18)

    found, *_ = visit(handler)
    assert [(how, owner) for how, _, _, owner in found] == [("queued", "18"), ("run", "18")]


def test_apscheduler() -> None:
    pytest.importorskip("apscheduler")
    from apscheduler.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.start()

    def handler() -> None:
        scheduler.add_job(invoice, "date", args=[7], kwargs={"org_id": "globex"}, id="late-invoice")
        eventually(lambda: DONE, "the job has run")

    found, *_ = visit(handler)
    scheduler.shutdown()
    assert found == [("queued", "late-invoice", "acme", "globex"), ("run", "late-invoice", "acme", "globex")]


def test_rq(redis_port: int) -> None:
    rq = pytest.importorskip("rq")
    import redis

    server = redis.Redis(port=redis_port)
    server.flushall()

    def handler() -> None:
        rq.Queue(connection=server).enqueue(invoice, 7, org_id="globex")
        rq.Queue(connection=server).enqueue(invoice, 7, org_id="acme")

    client = serve(handler)
    with capture_spans() as captured:
        client.get("/work", headers=ACME)
        rq.SimpleWorker(["default"], connection=server).work(burst=True)
        found = crossings(captured)
    name = "sdk.instrument.test_isolation_jobs.invoice"
    assert found == [("queued", name, "acme", "globex"), ("run", name, "acme", "globex")]
    assert counted(client, JOBS) == {'{result="scoped",tenant="acme"}': 4}


@pytest.mark.filterwarnings("ignore:Call to '__init__' function with deprecated usage:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")  # arq itself does
def test_arq(redis_port: int) -> None:
    arq = pytest.importorskip("arq")
    import redis
    from arq.connections import RedisSettings
    from arq.worker import Worker

    redis.Redis(port=redis_port).flushall()
    settings = RedisSettings(port=redis_port)

    async def run_invoice(ctx: Any, org_id: str) -> None:
        DONE.append(org_id)

    async def handler() -> None:
        pool = await arq.create_pool(settings)
        await pool.enqueue_job("run_invoice", org_id="globex")
        await pool.aclose()

    async def work() -> None:
        worker = Worker([arq.func(run_invoice, name="run_invoice")], redis_settings=settings, burst=True)
        worker._handle_signals = False
        await worker.main()
        await worker.close()

    client = serve(handler)
    with capture_spans() as captured:
        client.get("/work", headers=ACME)
        asyncio.run(work())
        found = crossings(captured)
    assert DONE == ["globex"]
    assert found == [("queued", "run_invoice", "acme", "globex"), ("run", "run_invoice", "acme", "globex")]


def test_celery() -> None:
    celery = pytest.importorskip("celery")
    app = celery.Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)

    @app.task(name="shop.invoice", bind=True)  # type: ignore[untyped-decorator]  # Celery has no types
    def task(self: Any, number: int, org_id: str) -> None:
        DONE.append(org_id)

    def handler() -> None:
        task.apply_async((7,), {"org_id": "globex"})
        task.apply((7, "globex"))

    found, *_ = visit(handler)
    assert DONE == ["globex"]
    assert found == [("queued", "shop.invoice", "acme", "globex"), ("run", "shop.invoice", "acme", "globex")]
