"""Every fault does what it says, to those it is switched on for, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from demo.faults import FAULTS, Fault, FaultError, find_fault
from demo.product.balances import PAGES
from demo.product.database import POOL_CONNECTIONS
from fastapi.testclient import TestClient
from sqlalchemy import event
from tallyroom_user import User

from demo import faults
from tocsin.testing import capture_spans
from waiting import eventually


@contextmanager
def recorded_statements(client: TestClient) -> Iterator[list[str]]:
    """The SQL that the product runs meanwhile."""
    statements: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    engine = client.app.state.services.database.engine  # type: ignore[attr-defined]  # FastAPI's own state
    event.listen(engine, "before_cursor_execute", record)
    yield statements
    event.remove(engine, "before_cursor_execute", record)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_fault_says_what_it_does_and_what_to_look_for(fault: Fault) -> None:
    assert fault.description.endswith(".")
    assert len(fault.watch_for) > 40
    assert not fault.bites("acme")


def test_fault_for_one_tenant_spares_the_others() -> None:
    fault = faults.SlowQuery()
    fault.switch(True, "acme")
    assert (fault.bites("acme"), fault.bites("globex")) == (True, False)
    fault.switch(False)
    assert not fault.bites("acme")


def test_fault_without_a_tenant_hurts_everybody_unless_it_is_about_one() -> None:
    everybody, one = faults.SlowQuery(), faults.ErrorsForOneTenant()
    assert everybody.switch(True).tenants == ["*"]
    assert everybody.bites("globex")
    assert one.switch(True).tenants == ["acme"]


def test_unknown_fault_is_answered_with_the_known_ones() -> None:
    with pytest.raises(FaultError, match=r"cannot find fault 'slow'.*slow-query"):
        find_fault("slow")


def test_switchboard_lists_and_switches(client: TestClient) -> None:
    assert client.post("/_demo/faults/leak", params={"on": True, "tenant": "acme"}).json()["tenants"] == ["acme"]
    listed = {fault["name"]: fault["on"] for fault in client.get("/_demo/faults").json()}
    assert listed == dict.fromkeys(FAULTS, False) | {"leak": True}
    client.post("/_demo/faults/leak", params={"on": False})
    assert not faults.LEAK.bites("acme")


@pytest.mark.parametrize("path", ["/_demo/faults/nope?on=true", "/_demo/faults/leak?on=true&tenant=nobody"])
def test_switchboard_refuses_unknown_names(client: TestClient, path: str) -> None:
    answer = client.post(path)
    assert answer.status_code == 404
    assert "choose one of" in answer.json()["detail"]


def test_slow_query_hides_columns_from_their_index_with_the_same_result(acme: User) -> None:
    path = acme.report_path()
    healthy = acme.get(path).json()
    faults.SLOW_QUERY.switch(True)
    with recorded_statements(acme.client) as statements:
        assert acme.get(path).json() == healthy
    assert any("lower(" in statement for statement in statements)


def test_n_plus_one_runs_a_statement_for_every_project(acme: User) -> None:
    with recorded_statements(acme.client) as healthy:
        projects = acme.get("/api/v1/projects").json()
    faults.N_PLUS_ONE.switch(True)
    with recorded_statements(acme.client) as statements:
        assert acme.get("/api/v1/projects").json() == projects
    assert len(healthy) <= 3
    assert len(statements) > len(projects)


def test_errors_for_one_tenant_hit_its_reports_and_nobody_elses(acme: User, globex: User) -> None:
    paths = [user.report_path() for user in (acme, globex)]
    faults.ERRORS_FOR_ONE_TENANT.switch(True, "acme")
    assert [acme.get(paths[0]).status_code, globex.get(paths[1]).status_code] == [500, 200]
    assert acme.post(f"{paths[0]}/exports").status_code == 500
    assert acme.get(f"{paths[0].partition('/reports/')[0]}/ledger.csv").status_code == 500
    assert acme.get("/api/v1/projects").status_code == 200


def test_errors_for_one_tenant_come_from_deep_in_the_product(acme: User, monkeypatch: pytest.MonkeyPatch) -> None:
    path = acme.report_path()
    faults.ERRORS_FOR_ONE_TENANT.switch(True, "acme")
    raising = TestClient(acme.client.app)
    with pytest.raises(LookupError, match="cannot convert USD") as caught:
        User(raising, acme.token).get(path)
    names = [entry.name for entry in caught.traceback]
    assert names[-4:] == ["open_report", "build_report", "totals_by_account", "convert"]


def test_leak_keeps_a_page_of_every_opened_report_until_it_is_off(acme: User) -> None:
    path = acme.report_path()
    faults.LEAK.switch(True)
    for _ in range(4):
        acme.get(path)
    assert faults.LEAK.kept_bytes == 4 * 256_000
    faults.LEAK.switch(False)
    assert faults.LEAK.kept_bytes == 0


def test_leak_stops_before_it_fills_the_machine() -> None:
    leak = faults.Leak()
    leak.kept_bytes = leak.LIMIT_BYTES
    leak.keep(b"one more")
    assert leak.kept_bytes == leak.LIMIT_BYTES


def test_dependency_down_makes_rendering_a_bad_gateway(acme: User) -> None:
    path = f"/api/v1/invoices/{acme.get('/api/v1/invoices').json()[0]['id']}/render"
    faults.DEPENDENCY_DOWN.switch(True)
    answer = acme.post(path)
    assert answer.status_code == 502
    assert "cannot render invoice" in answer.json()["detail"]
    faults.DEPENDENCY_DOWN.switch(False)
    assert acme.post(path).status_code == 200


def test_blocking_call_sleeps_in_the_event_loop(acme: User, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("demo.product.routes.live.time.sleep", slept.append)
    acme.get("/api/v1/notifications")
    assert not any(slept)  # the SDK's thread gives way for 0 seconds
    faults.BLOCKING_CALL.switch(True)
    assert acme.get("/api/v1/notifications").status_code == 200
    assert [seconds for seconds in slept if seconds] == [0.3]


def test_pool_exhaustion_starves_the_product_until_it_is_off(acme: User, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = acme.client.app.state.services.database.engine.pool  # type: ignore[attr-defined]  # FastAPI's own state
    monkeypatch.setattr(pool, "_timeout", 0.05)
    faults.POOL_EXHAUSTION.switch(True)
    answers = [acme.get("/api/v1/search?q=audit").status_code for _ in range(12)]
    assert answers == [200] * 10 + [500] * 2
    faults.POOL_EXHAUSTION.switch(False)
    assert acme.get("/api/v1/search?q=audit").status_code == 200
    assert pool.checkedout() == 0


def test_held_sessions_are_closed_after_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        closed = False

        def close(self) -> None:
            self.closed = True

    monkeypatch.setattr(faults.PoolExhaustion, "HOLD_SECONDS", 0.01)
    fault, session = faults.PoolExhaustion(), Session()
    fault.hold(session)
    eventually(lambda: session.closed, "the session is closed", pause_seconds=0.02)


def test_cache_cold_sums_the_ledger_in_every_request(acme: User) -> None:
    acme.get("/api/v1/dashboard")
    with recorded_statements(acme.client) as healthy:
        acme.get("/api/v1/dashboard")
    faults.CACHE_COLD.switch(True)
    with recorded_statements(acme.client) as statements:
        acme.get("/api/v1/dashboard")
    assert not any("sum(" in statement for statement in healthy)
    assert any("sum(" in statement for statement in statements)


def test_cross_tenant_read_shows_reports_of_others(acme: User, globex: User) -> None:
    faults.CROSS_TENANT_READ.switch(True, "globex")
    assert {row["org_id"] for row in globex.get("/api/v1/reports/recent").json()} != {"globex"}
    assert {row["org_id"] for row in acme.get("/api/v1/reports/recent").json()} == {"acme"}


def test_failing_job_is_accepted_and_then_fails(acme: User) -> None:
    path = f"{acme.report_path()}/exports"
    faults.JOB_FAILING.switch(True)
    with pytest.raises(FileNotFoundError):
        User(TestClient(acme.client.app), acme.token).post(path)
    job_id = acme.post(path).json()["job_id"]
    job = acme.get(f"/api/v1/exports/{job_id}").json()
    assert job["state"] == "failed"
    assert "No such file" in job["detail"]


def test_every_fault_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "demo.md").read_text()
    assert [name for name in FAULTS if f"| `{name}` |" not in text] == []


def test_flag_that_slows_is_on_for_its_tenant_and_told(acme: User, globex: User) -> None:
    with capture_spans() as captured:
        acme.get("/api/v1/projects")
        faults.SLOW_FLAG.switch(True)
        for user in (acme, globex):
            for _ in range(4):
                user.get("/api/v1/projects")
        flips = [record for record in captured.records if record.event == "tocsin.flag.flip"]
    # The product itself is not watched here; the flags are.
    assert [record.body for record in flips] == ["flag compact-projects for acme: off → on"]


def test_a_noisy_neighbour_takes_nearly_all_connections_at_once(acme: User, globex: User) -> None:
    faults.NOISY_NEIGHBOUR.switch(True, "acme")
    with recorded_statements(acme.client) as statements:
        globex.get("/api/v1/dashboard")
        assert not [statement for statement in statements if "LIMIT" in statement]
        assert acme.get("/api/v1/dashboard").status_code == 200
    pages = [
        statement for statement in statements if "ledger_entries_1.booked_on <= ledger_entries.booked_on" in statement
    ]
    assert len(pages) == PAGES == POOL_CONNECTIONS - 1
    faults.NOISY_NEIGHBOUR.switch(False)
    with recorded_statements(acme.client) as statements:
        acme.get("/api/v1/dashboard")
    assert not [statement for statement in statements if "ledger_entries_1" in statement]
