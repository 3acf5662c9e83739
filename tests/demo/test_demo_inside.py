"""Tocsin inside the demo product: its statements are in its traces, and its faults are named by their line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

import httpx2
import pytest
from demo.product import ledger
from demo.product.app import create_app
from demo.product.routes import dashboard, live, projects
from demo.product.settings import ProductSettings
from demo.renderer import create_renderer
from demo.tenants import PASSWORD, user_email
from fastapi.testclient import TestClient
from tallyroom_user import User

from demo import faults
from tocsin.sdk import instrument
from tocsin.testing import Capture, capture_spans

pytestmark = pytest.mark.xdist_group("demo inside")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    instrument.switch_all_off()  # what another test left on would keep its own settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOCSIN_ENABLED", "true")
        patch.setenv("TOCSIN_ENDPOINT", "http://127.0.0.1:9")
        # The test's ledger is small: what takes 100 ms in the demo takes next to nothing here.
        patch.setenv("TOCSIN_SLOW_QUERY_SECONDS", "0.00001")
        settings = ProductSettings(
            tmp_path_factory.mktemp("watched"), renderer_url="http://renderer", latency_scale=0, seed_size=0.3
        )
        renderer = httpx2.ASGITransport(app=create_renderer(latency_scale=0))
        client = httpx2.AsyncClient(mounts={"http://renderer": renderer}, trust_env=False)
        with TestClient(create_app(settings, client), raise_server_exceptions=False) as running:
            yield running


@pytest.fixture
def captured(watched: TestClient) -> Iterator[Capture]:
    with capture_spans() as capture:
        yield capture
    faults.switch_all_off()


@pytest.fixture
def sign_in(watched: TestClient) -> Callable[[str], User]:
    def sign_in(tenant: str) -> User:
        answer = watched.post("/api/v1/auth/login", json={"email": user_email(tenant, 1), "password": PASSWORD})
        return User(watched, answer.json()["token"])

    return sign_in


def line(function: Callable[..., object], words: str) -> str:
    """`ledger.py:73 in account_ranks`: the line of a function with these words."""
    rows, first = inspect.getsourcelines(function)
    number = next(number for number, row in enumerate(rows, first) if words in row)
    return f"{inspect.getfile(function).rpartition('/')[2]}:{number} in {function.__name__}"


def test_each_tenant_s_statements_are_below_its_own_requests(captured: Capture, sign_in: Callable[[str], User]) -> None:
    for tenant in ("acme", "globex"):
        user = sign_in(tenant)
        captured.clear()
        user.get("/api/v1/projects")
        spans = captured.spans
        request = captured.find("GET /api/v1/projects")
        statements = [span for span in spans if "db.query.text" in span.attributes]
        assert {"SELECT projects", "SELECT reports"} <= {span.name for span in statements}
        assert {(span.tenant, span.parent_id) for span in statements} == {(tenant, request.span_id)}
        assert "tocsin.n_plus_one.count" not in request.attributes


def test_n_plus_one_is_named_with_the_line_that_loads(captured: Capture, sign_in: Callable[[str], User]) -> None:
    user = sign_in("acme")
    faults.N_PLUS_ONE.switch(True)
    captured.clear()
    count = len(user.get("/api/v1/projects").json())
    request = captured.find("GET /api/v1/projects")
    repeated = [event for event in request.events if "db.collection.name" in event.attributes]
    named = {event.attributes["db.collection.name"]: event for event in repeated}
    assert named["reports"].attributes["tocsin.repeat.count"] == count
    number = named["reports"].attributes["code.line.number"]
    assert f"projects.py:{number} in _summary" == line(projects._summary, "len(project.reports)")
    lines = [line(projects._summary, words) for words in ("project.owner.name", "len(project.reports)")]
    assert request.attributes["tocsin.n_plus_one.line"].endswith(tuple(lines))


def test_the_slow_query_is_named_with_its_line(captured: Capture, sign_in: Callable[[str], User]) -> None:
    user = sign_in("acme")
    path = user.report_path()
    faults.SLOW_QUERY.switch(True)
    captured.clear()
    user.get(path)
    request = captured.find("GET /api/v1/projects/{project_id}/reports/{report_id}")
    own = [span for span in captured.spans if span.trace_id == request.trace_id]  # the schedule asks the database, too
    slow = next(span for span in own if "trim(" in span.attributes.get("db.query.text", ""))
    assert slow.attributes["tocsin.slow"] is True
    expected = line(ledger._unindexed_account_ranks, "session.execute(statement)")
    assert f"ledger.py:{slow.attributes['code.line.number']} in {slow.attributes['code.function.name']}" == expected
    # In so small a ledger another statement may take longer by chance: the request names whichever did.
    statements = [span for span in own if span.attributes.get("tocsin.slow")]
    slowest = max(statements, key=lambda span: span.duration_seconds)
    assert request.attributes["tocsin.slow_query.query"] == slowest.attributes["db.query.text"]
    assert f":{slowest.attributes['code.line.number']} in " in request.attributes["tocsin.slow_query.line"]


def test_the_blocking_call_is_named_with_its_line(captured: Capture, sign_in: Callable[[str], User]) -> None:
    user = sign_in("acme")
    faults.BLOCKING_CALL.switch(True)
    captured.clear()
    user.get("/api/v1/notifications")
    request = captured.find("GET /api/v1/notifications")
    expected = line(live.list_notifications, "time.sleep")
    assert request.attributes["tocsin.blocking.line"].endswith(expected)


def test_the_exhausted_pool_names_who_holds_it(captured: Capture, sign_in: Callable[[str], User]) -> None:
    user, other = sign_in("acme"), sign_in("globex")
    faults.POOL_EXHAUSTION.switch(True, "acme")
    for _ in range(10):
        user.get("/api/v1/search?q=report")
    captured.clear()
    assert other.get("/api/v1/projects").status_code == 500
    faults.switch_all_off()
    holders = captured.find("GET /api/v1/projects").attributes["tocsin.db.pool.holders"]
    assert len(holders) == 10
    expected = line(dashboard._search, "session.scalars(projects.limit(20))")
    assert all(holder.startswith("GET /api/v1/search at ") and expected in holder for holder in holders)
