"""What is read back of the isolation monitor: exact numbers, pairs for staff, and to a tenant no other name."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from mixed_tenants import STATEMENT, TRACE, all_of_it, counted, crossing, events, named
from otlp import HOUR_NS, NOW_NS, SECOND_NS
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query import isolation
from tocsin.query.filters import Filter
from tocsin.query.isolation_record import MonthError, canonical, month_window, records
from tocsin.storage.telemetry.store import TelemetryStore

FILTER = Filter(Window(NOW_NS - 60 * SECOND_NS, NOW_NS + 60 * SECOND_NS))
ACME, GLOBEX = Scope.of("acme"), Scope.of("globex")
MONTH = datetime.fromtimestamp(NOW_NS / 1e9, UTC).strftime("%Y-%m")


def test_coverage_is_exact_by_tenant(store: TelemetryStore, put: Any) -> None:
    put(*all_of_it())
    found = {each.tenant: each for each in isolation.coverage(store, PLATFORM, FILTER)}
    assert found["acme"].statements == {"scoped": 90, "rows": 8, "unscoped": 2, "exempt": 7}
    assert (found["acme"].total, found["acme"].checked, found["acme"].checked_share) == (107, 98, 0.98)
    assert (found["acme"].rows, found["acme"].read_others, found["acme"].read_by_others) == (1000, 3, 0)
    assert (found["globex"].rows, found["globex"].read_others, found["globex"].read_by_others) == (50, 0, 3)
    assert found[""].unchecked == {"no_tenant": 4}
    total = isolation.altogether(list(found.values()))
    assert (total.total, total.rows, total.unchecked) == (121, 1050, {"no_tenant": 4})


def test_long_windows_read_the_hourly_sums(store: TelemetryStore, put: Any) -> None:
    put(counted(), counted(NOW_NS + SECOND_NS))
    month = replace(FILTER, window=Window(NOW_NS - 29 * 24 * HOUR_NS, NOW_NS + HOUR_NS))
    found = {each.tenant: each for each in isolation.coverage(store, PLATFORM, month)}
    assert (found["acme"].total, found["globex"].rows) == (214, 100)


def test_equal_crossings_are_one_with_their_sums_line_and_trace(store: TelemetryStore, put: Any) -> None:
    put(*all_of_it())
    (found,) = isolation.crossings(store, PLATFORM, FILTER)
    assert (found.tenant, found.row_tenant, found.role) == ("acme", "globex", "")
    assert (found.count, found.rows, found.first_ns, found.last_ns) == (3, 12, NOW_NS, NOW_NS + SECOND_NS)
    assert (found.statement, found.where, found.route) == (STATEMENT, "product/routes/reports.py:53", "/reports/recent")
    assert (found.trace_id, found.how, found.is_declared) == (TRACE, "row", True)


def test_a_tenants_reader_is_told_what_concerns_it_and_no_other_name(store: TelemetryStore, put: Any) -> None:
    put(*all_of_it(), events(*crossing("initech", "globex"), *crossing("initech", "acme")))
    read, owned = sorted(isolation.crossings(store, ACME, FILTER), key=lambda each: each.role, reverse=True)
    assert (read.role, read.tenant, read.row_tenant) == ("reader", "acme", "")
    assert (owned.role, owned.tenant, owned.row_tenant, owned.trace_id) == ("owner", "", "acme", "")
    of_globex = isolation.crossings(store, GLOBEX, FILTER)
    assert [(each.role, each.tenant, each.row_tenant) for each in of_globex] == [("owner", "", "globex")]
    assert of_globex[0].count == 4
    for scope, others in ((ACME, ("globex", "initech")), (GLOBEX, ("acme", "initech"))):
        seen = str(
            (
                isolation.crossings(store, scope, FILTER),
                isolation.coverage(store, scope, FILTER),
                isolation.unscoped(store, scope, FILTER),
                isolation.exemptions(store, scope, FILTER),
                records(store, scope, MONTH, None, None, NOW_NS),
            )
        )
        assert not [name for name in others if name in seen]
    assert isolation.crossings(store, ACME, replace(FILTER, tenant="globex")) == []
    assert isolation.unscoped(store, ACME, FILTER) == []


def test_staff_who_choose_a_tenant_see_it_as_reader_and_as_owner(store: TelemetryStore, put: Any) -> None:
    put(events(*crossing("acme", "globex"), *crossing("globex", "acme"), *crossing("initech", "globex")))
    pairs = {
        tenant: {
            (each.tenant, each.row_tenant)
            for each in isolation.crossings(store, PLATFORM, replace(FILTER, tenant=tenant))
        }
        for tenant in ("acme", "initech")
    }
    assert pairs == {"acme": {("acme", "globex"), ("globex", "acme")}, "initech": {("initech", "globex")}}


def test_environment_and_time_are_obeyed(store: TelemetryStore, put: Any) -> None:
    put(*all_of_it())
    staging = replace(FILTER, environment="staging")
    before = replace(FILTER, window=Window(NOW_NS - 2 * HOUR_NS, NOW_NS - HOUR_NS))
    for asked in (staging, before):
        assert isolation.crossings(store, PLATFORM, asked) == []
        assert isolation.coverage(store, PLATFORM, asked) == []
        assert isolation.exemptions(store, PLATFORM, asked) == []


def test_unscoped_statements_and_exemptions_are_listed(store: TelemetryStore, put: Any) -> None:
    put(*all_of_it())
    (loose,) = isolation.unscoped(store, PLATFORM, FILTER)
    assert (loose.tables, loose.verb, loose.routes, loose.where, loose.count) == (
        "ledger", "SELECT", ["GET /sums"], "ledger.py:7", 3,
    )  # fmt: skip
    (leave,) = isolation.exemptions(store, PLATFORM, FILTER)
    assert (leave.reason, leave.route, leave.tenants, leave.count) == ("admin panel", "/admin", ["acme"], 10)
    (own,) = isolation.exemptions(store, ACME, FILTER)
    assert own.count == 5


def test_a_suspicion_is_told_from_a_crossing(store: TelemetryStore, put: Any) -> None:
    put(events(*crossing("acme", "globex", is_declared=False)))
    (found,) = isolation.crossings(store, PLATFORM, FILTER)
    assert not found.is_declared


def test_the_record_of_a_month_can_be_checked_by_anybody(store: TelemetryStore, put: Any) -> None:
    put(*all_of_it())
    acme, globex = records(store, PLATFORM, MONTH, None, None, NOW_NS)
    assert (acme["tenant"], globex["tenant"]) == ("acme", "globex")
    assert acme["statements"] == {"scoped": 90, "rows": 8, "unscoped": 2, "exempt": 7, "not_checked": 0}
    assert (acme["checked_percent"], acme["rows_checked"], acme["is_complete"]) == ("98.0000", 1000, False)
    assert (globex["crossings_read_by_others"], globex["crossings"][0]["role"]) == (3, "owner")
    assert "acme" not in canonical(globex)
    stated = acme.pop("sha256")
    text = json.dumps(acme, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert sha256(text.encode()).hexdigest() == stated
    again = records(store, ACME, MONTH, "acme", None, NOW_NS)[0]
    assert again["sha256"] == stated


def test_a_record_changes_with_what_it_says_and_is_complete_after_its_month(store: TelemetryStore, put: Any) -> None:
    put(counted())
    before = records(store, PLATFORM, MONTH, "acme", None, NOW_NS)[0]
    put(counted(NOW_NS + SECOND_NS))
    after = records(store, PLATFORM, MONTH, "acme", None, month_window(MONTH).end_ns)[0]
    assert before["sha256"] != after["sha256"]
    assert after["is_complete"]
    empty = records(store, PLATFORM, "2026-01", "acme", None, NOW_NS)[0]
    assert (empty["statements_total"], empty["checked_percent"]) == (0, "")


def test_a_record_of_another_tenant_is_not_given(store: TelemetryStore, put: Any) -> None:
    put(*all_of_it())
    assert records(store, ACME, MONTH, "globex", None, NOW_NS) == []


def test_keys_and_jobs_stand_beside_statements_where_there_are_any(store: TelemetryStore, put: Any) -> None:
    put(*all_of_it())
    assert "keys" not in records(store, PLATFORM, MONTH, "acme", None, NOW_NS)[0]
    put(named(), events(*crossing("acme", "globex", how="key", table="org:{tenant}:*")))
    found = {each.tenant: each for each in isolation.coverage(store, PLATFORM, FILTER)}
    assert found["acme"].keys == {"scoped": 40, "not_checked": 2}
    assert found["acme"].jobs == {"scoped": 6}
    assert found["acme"].total == 107
    total = isolation.altogether(list(found.values()))
    assert (total.keys, total.jobs) == ({"scoped": 45, "not_checked": 2}, {"scoped": 6})
    record = records(store, PLATFORM, MONTH, "acme", None, NOW_NS)[0]
    assert record["keys"] == {"scoped": 40, "exempt": 0, "not_checked": 2}
    assert record["jobs"] == {"scoped": 6, "exempt": 0, "not_checked": 0}
    assert ("key", "org:{tenant}:*") in {(each["how"], each["table"]) for each in record["crossings"]}


@pytest.mark.parametrize("month", ["2026-13", "26-01", "november", "2026-11-01", ""])
def test_what_is_no_month_is_refused(month: str) -> None:
    with pytest.raises(MonthError, match="write one such as"):
        month_window(month)


def test_december_ends_with_the_year() -> None:
    window = month_window("2026-12")
    assert datetime.fromtimestamp(window.end_ns / 1e9, UTC) == datetime(2027, 1, 1, tzinfo=UTC)
