"""Who looked at whose telemetry is noted, once an hour, and never in the reader's way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from access_site import open_site
from served import Served
from shop import SLOW

from tocsin.model.access import Principal, Role
from tocsin.storage.control import ControlStore
from tocsin.web.read_audit import ACTION, ALL, MOST_TENANTS, ReadAudit
from waiting import eventually

pytestmark = pytest.mark.xdist_group("shop")

VERA = Principal("u_vera", "vera@acme.example", Role.VIEWER)
NOON = 1_772_366_400.0  # 2026-03-01 12:00 UTC, when the clock of the test site stands


@pytest.fixture
def control(tmp_path: Path) -> ControlStore:
    return open_site(tmp_path).control


def noted(control: ControlStore) -> list[tuple[str, str | None, str]]:
    return [(each.actor, each.tenant, each.detail["kind"]) for each in control.audit.entries(action=ACTION)]


def at(moment: list[float]) -> Callable[[], float]:
    return lambda: moment[0]


def test_read_is_noted_once_an_hour(control: ControlStore) -> None:
    moment = [NOON]
    audit = ReadAudit(at(moment))
    for kind in ("overview", "traces", "overview"):
        audit.note(control, VERA, ALL, kind)
    audit.wait()
    assert noted(control) == [("vera@acme.example", None, "overview")]


def test_every_tenant_and_every_person_is_noted_apart(control: ControlStore) -> None:
    audit = ReadAudit(at([NOON]))
    tom = Principal("u_tom", "tom@acme.example", Role.TENANT_VIEWER, frozenset({"acme"}))
    for principal, tenant in ((VERA, "acme"), (VERA, "globex"), (tom, "acme"), (VERA, "acme")):
        audit.note(control, principal, tenant, "tenant")
    audit.wait()
    assert sorted((actor, tenant) for actor, tenant, _ in noted(control)) == [
        ("tom@acme.example", "acme"),
        ("vera@acme.example", "acme"),
        ("vera@acme.example", "globex"),
    ]


def test_second_process_of_the_same_hour_notes_nothing_again(control: ControlStore) -> None:
    for audit in (ReadAudit(at([NOON])), ReadAudit(at([NOON]))):
        audit.note(control, VERA, "acme", "tenant")
        audit.wait()
    assert len(noted(control)) == 1


def test_next_hour_is_noted_anew(tmp_path: Path) -> None:
    site = open_site(tmp_path)
    moment = [NOON]
    audit = ReadAudit(at(moment))
    audit.note(site.control, VERA, "acme", "tenant")
    audit.wait()
    site.clock.turn(3600)
    moment[0] += 3600
    audit.note(site.control, VERA, "acme", "tenant")
    audit.wait()
    assert len(noted(site.control)) == 2


def test_reader_of_very_many_tenants_is_noted_as_reading_all(control: ControlStore) -> None:
    audit = ReadAudit(at([NOON]))
    for place in range(MOST_TENANTS + 50):
        audit.note(control, VERA, f"t{place}", "tenant")
    audit.wait()
    entries = control.audit.entries(action=ACTION, limit=1000)
    assert len(entries) == MOST_TENANTS + 1
    assert entries[0].tenant is None


def test_control_store_that_fails_does_not_fail_the_read(control: ControlStore) -> None:
    class Broken:
        @property
        def audit(self) -> object:
            from sqlalchemy.exc import OperationalError

            raise OperationalError("SELECT 1", {}, Exception("disk full"))

    audit = ReadAudit(at([NOON]))
    audit.note(Broken(), VERA, ALL, "overview")  # type: ignore[arg-type]  # a control store whose disk is full
    audit.wait()


def reads(site: Served) -> set[tuple[str, str | None]]:
    entries = site.administrator.get("/api/v1/audit", params={"action": ACTION, "limit": 1000}).json()["entries"]
    return {(entry["actor"], entry["tenant"]) for entry in entries}


def await_reads(site: Served, wanted: set[tuple[str, str | None]]) -> None:
    eventually(lambda: reads(site), f"{wanted} are noted", is_it=wanted.issubset)


def test_pages_and_rest_are_noted_with_the_tenant_that_was_read(shop: Served) -> None:
    assert shop.administrator.get("/tenants/globex").status_code == 200
    assert shop.administrator.get("/api/v1/series").status_code == 200
    assert shop.tom.get("/").status_code == 200
    assert shop.tom.get("/api/v1/series?tenant=globex").status_code == 200  # with nothing in it
    automation = "TOCSIN_ADMIN_TOKEN"
    await_reads(shop, {(automation, "globex"), (automation, None), ("token tom", "acme")})
    assert ("token tom", None) not in reads(shop)
    assert ("token tom", "globex") not in reads(shop)


def test_trace_is_noted_with_its_tenant(shop: Served) -> None:
    assert shop.administrator.get(f"/api/v1/traces/{SLOW}").status_code == 200
    await_reads(shop, {("TOCSIN_ADMIN_TOKEN", "acme")})


def test_audit_page_is_for_administrators(shop: Served) -> None:
    shop.administrator.get("/services")
    await_reads(shop, {("TOCSIN_ADMIN_TOKEN", None)})
    html = shop.administrator.get("/settings/audit").text
    assert "read telemetry in the last day" in html
    assert "token.create" in html
    only_reads = shop.administrator.get(f"/settings/audit?action={ACTION}").text
    assert ACTION in only_reads
    assert "token.create" not in only_reads
    assert shop.tom.get("/settings/audit").status_code == 403
    assert shop.administrator.get("/settings/audit?action=nonsense").status_code == 400
