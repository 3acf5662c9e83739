"""Questions about calls: statements, callers, tenants, lines of code, dependencies and caches."""

from __future__ import annotations

from typing import Any

import pytest

from calls import call, lookup, request_to, sent, statement
from otlp import HOUR_NS, MINUTE_NS, NOW_NS, SECOND_NS, counter, log_record, log_request, metric_request, number, span
from otlp import trace_request as traced
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query import caches, call_places, call_tenants, calls, dependencies
from tocsin.query.calls import Asked
from tocsin.query.filters import Filter
from tocsin.sdk.call_digest import CallTable, PlaceKey
from tocsin.storage.telemetry.store import TelemetryStore

HOUR = Filter(Window(NOW_NS, NOW_NS + HOUR_NS))
BEFORE = Filter(Window(NOW_NS - HOUR_NS, NOW_NS))
ORDERS, USERS = statement("SELECT * FROM orders", "aa"), statement("SELECT * FROM users", "bb", "users")
LISTED = "GET /orders"
ACME = Scope.of("acme")
DB = Asked(("db",))
SOME_CALLS = calls.Calls(9, 0, 0, 1.0, 0.0, 9.0, 1.0, 1.0, 1.0, 1.0, 0, 0)


def at(minutes: float) -> int:
    return NOW_NS + round(minutes * MINUTE_NS)


@pytest.fixture
def counted(store: TelemetryStore, put: Any) -> TelemetryStore:
    """acme runs eight statements of 10 ms in its two requests, globex two of 40 ms in its eight; one of them fails."""
    table = CallTable()
    table.record(ORDERS, "acme", [call(10, amount=2)] * 6, LISTED)
    table.record(USERS, "acme", [call(10, amount=1)] * 2, "GET /users")
    table.record(ORDERS, "globex", [call(40, amount=5), call(40, "psycopg.OperationalError")], LISTED)
    table.record_repeat(PlaceKey(ORDERS, "acme", LISTED, "shop/orders.py:57 in listed"), 6, 0.06)
    slow = {"tocsin.slow": True, "code.file.path": "shop/u.py", "code.line.number": 5, "code.function.name": "f"}
    table.record(USERS, "globex", [call(200, amount=1, facts=slow)], "GET /users")
    put(
        sent(table, at(5)),
        traced(
            [
                span(start_ns=at(5) + index * SECOND_NS, tenant=tenant, method="GET", route="/orders", status_code=200)
                for tenant, count in (("acme", 2), ("globex", 8))
                for index in range(count)
            ]
        ),
    )
    return store


@pytest.mark.parametrize(
    ("tenant", "share", "request_share", "before", "has_requests", "is_noisy"),
    [
        ("globex", 0.6, 0.2, None, True, True),
        ("globex", 0.6, 0.4, None, True, False),
        ("globex", 0.6, 0.4, 0.1, True, True),
        ("globex", 0.2, 0.01, None, True, False),
        ("globex", 0.6, 0.0, None, True, True),  # its jobs
        ("globex", 0.6, 0.0, None, False, False),  # a product without any requests
        ("", 0.9, 0.0, None, True, False),
    ],
)
def test_who_is_noisy(
    tenant: str, share: float, request_share: float, before: float | None, has_requests: bool, is_noisy: bool
) -> None:
    row = call_tenants.TenantShare(tenant, SOME_CALLS, share, request_share, before, has_requests)
    assert row.is_noisy == is_noisy


def test_statements_come_by_the_time_they_take_together(counted: TelemetryStore) -> None:
    rows = calls.operations(counted, PLATFORM, HOUR, DB)
    assert [(row.operation.text, row.calls.calls, round(row.calls.total_seconds, 3)) for row in rows] == [
        ("SELECT * FROM users", 3, 0.22),
        ("SELECT * FROM orders", 8, 0.14),
    ]
    orders = rows[1]
    assert (orders.operation.target, orders.operation.collection) == ("db1:5432/shop", "orders")
    assert orders.operation.origin == "shop/orders.py:9 in load"
    assert (orders.calls.errors, orders.calls.rows_per_call, orders.callers) == (1, 17 / 8, [LISTED])
    assert orders.share == pytest.approx(0.14 / 0.36)
    assert orders.calls.p95_seconds == pytest.approx(0.04, rel=0.01)


def test_a_chosen_tenant_and_a_tenants_own_scope_see_its_statements_alone(counted: TelemetryStore) -> None:
    chosen = Filter(HOUR.window, tenant="globex")
    assert [row.calls.calls for row in calls.operations(counted, PLATFORM, chosen, DB)] == [1, 2]
    assert [row.calls.calls for row in calls.operations(counted, ACME, HOUR, DB)] == [6, 2]
    assert calls.operations(counted, ACME, chosen, DB) == []
    assert calls.totals(counted, ACME, HOUR, DB).calls == 8


def test_a_statement_is_told_by_callers_with_how_often_a_request_runs_it(counted: TelemetryStore) -> None:
    (row,) = calls.callers(counted, PLATFORM, HOUR, Asked(("db",), digest="aa"))
    assert (row.service, row.caller, row.calls.calls) == ("shop", LISTED, 8)
    assert row.per_request == 0.8


def test_series_hold_every_step(counted: TelemetryStore) -> None:
    series = calls.series(counted, PLATFORM, HOUR, DB, 60)
    assert (len(series.times), series.step_seconds) == (60, 60)
    assert [index for index, rate in enumerate(series.rate) if rate] == [5]
    assert series.rate[5] == pytest.approx(11 / 60)
    assert series.busy[5] == pytest.approx(0.36 / 60)


@pytest.mark.parametrize("hours", [1, 20, 24 * 30])
def test_totals_are_exact_over_any_window(counted: TelemetryStore, hours: int) -> None:
    window = Window(NOW_NS - (hours - 1) * HOUR_NS, NOW_NS + HOUR_NS)
    assert calls.totals(counted, PLATFORM, Filter(window), DB).calls == 11
    assert sum(row.calls.calls for row in calls.operations(counted, PLATFORM, Filter(window), DB)) == 11


def test_repeats_name_route_statement_line_and_how_many_requests_did_it(counted: TelemetryStore) -> None:
    (found,) = call_places.repeats(counted, PLATFORM, HOUR)
    assert (found.caller, found.line, found.text) == (LISTED, "shop/orders.py:57 in listed", "SELECT * FROM orders")
    assert (found.requests, found.calls, found.per_request, found.share) == (1, 6, 6, 0.1)
    assert call_places.repeats(counted, Scope.of("globex"), HOUR) == []


def test_slow_calls_are_counted_by_line(counted: TelemetryStore) -> None:
    (found,) = call_places.slow_calls(counted, PLATFORM, HOUR)
    assert (found.caller, found.line, found.digest) == ("GET /users", "shop/u.py:5 in f", "bb")
    assert (found.calls, found.mean_seconds) == (1, pytest.approx(0.2))


def test_a_tenant_that_takes_more_time_than_its_requests_say_is_noisy(counted: TelemetryStore) -> None:
    acme, globex = sorted(call_tenants.tenant_shares(counted, PLATFORM, HOUR), key=lambda row: row.tenant)
    assert (acme.request_share, globex.request_share) == (0.2, 0.8)
    assert (acme.share, globex.share) == (pytest.approx(0.08 / 0.36), pytest.approx(0.28 / 0.36))
    assert not globex.is_noisy
    only_orders = call_tenants.tenant_shares(counted, PLATFORM, HOUR, Asked(("db",), digest="aa"))
    assert {row.tenant: row.is_noisy for row in only_orders} == {"acme": True, "globex": False}


def test_the_newest_plan_of_a_statement_counts_however_old(store: TelemetryStore, put: Any) -> None:
    attrs = {"tocsin.db.fingerprint": "aa", "db.query.text": "SELECT 1"}
    put(
        log_request(
            [
                log_record(plan, time_ns=at(minutes), attrs=attrs, event_name="tocsin.db.plan")
                for plan, minutes in (("Index Scan using orders_pkey on orders", -90), ("Seq Scan on orders", -30))
            ]
        )
    )
    plan = call_places.plans(store, PLATFORM, HOUR)["aa"]
    assert (plan.plan, plan.scans) == ("Seq Scan on orders", ["orders"])


@pytest.mark.parametrize(
    ("plan", "scans"),
    [
        ("Sort  (cost=1)\n  ->  Seq Scan on orders o  (cost=0)", ["orders"]),
        ("SCAN ledger_entries\nUSE TEMP B-TREE FOR GROUP BY", ["ledger_entries"]),
        ("SCAN TABLE users", ["users"]),
        ("SEARCH projects USING INDEX by_org", []),
        ("SCAN users USING COVERING INDEX by_mail", []),
    ],
)
def test_plan_says_which_tables_are_read_from_end_to_end(plan: str, scans: list[str]) -> None:
    assert call_places.Plan("aa", "", plan, 0, "", "").scans == scans


def test_a_dependency_that_fails_is_down_and_says_how_and_who_waits(store: TelemetryStore, put: Any) -> None:
    table = CallTable()
    table.record(request_to("rates.example", "/v1/rates"), "acme", [call(20)] * 5, "GET /prices")
    table.record(request_to("pay.example", "/charge"), "acme", [call(5, "httpx.ConnectTimeout")] * 4, "POST /pay")
    put(sent(table, at(5)))
    down, well = dependencies.dependencies(store, PLATFORM, HOUR, BEFORE)
    assert (down.host, down.health, down.calls.timeouts) == ("pay.example", "down", 4)
    assert (down.callers, down.errors) == ([("shop", "POST /pay")], [("httpx.ConnectTimeout", 4)])
    assert [(route.text, route.origin) for route in down.routes] == [("POST /charge", "shop/pay.py:7 in pay")]
    assert (well.host, well.health) == ("rates.example", "well")


@pytest.mark.parametrize(("number", "health"), [(20, "slow"), (5, "well")])
def test_a_dependency_twice_as_slow_as_before_is_slow_when_there_are_enough_calls_to_tell(
    store: TelemetryStore, put: Any, number: int, health: str
) -> None:
    for minutes, milliseconds in ((-30, 100), (5, 300)):
        table = CallTable()
        table.record(request_to("rates.example", "/v1/rates"), "acme", [call(milliseconds)] * number, "GET /prices")
        put(sent(table, at(minutes)))
    (found,) = dependencies.dependencies(store, PLATFORM, HOUR, BEFORE)
    assert found.health == health


def test_a_cache_that_finds_half_of_what_it_did_is_cold(store: TelemetryStore, put: Any) -> None:
    for minutes, hits in ((-30, 40), (5, 4)):
        table = CallTable()
        table.record(lookup("user:*"), "acme", [call(1, amount=1)] * hits, "GET /")
        table.record(lookup("user:*"), "globex", [call(1, amount=0)] * (50 - hits), "GET /")
        put(sent(table, at(minutes)))
    (row,) = caches.caches(store, PLATFORM, HOUR, BEFORE)
    assert (row.cache, row.hits, row.lookups, row.before, row.is_cold) == ("user:*", 4, 50, 0.8, True)
    assert row.tenants == [("globex", 0.0, 46), ("acme", 1.0, 4)]
    (mine,) = caches.caches(store, ACME, HOUR, BEFORE)
    assert (mine.lookups, mine.tenants) == (4, [("acme", 1.0, 4)])


def test_caches_that_the_app_counts_itself_are_told_too(store: TelemetryStore, put: Any) -> None:
    def told(name: str, *values: int) -> Any:
        attrs = {"tocsin.tenant": "acme", "cache": "prices"}
        points = [number(value, time_ns=at(index), attrs=attrs) for index, value in enumerate(values)]
        return counter(name, points)

    # A restart in between: the counter begins anew.
    put(metric_request([told("cache_hits", 0, 6, 2), told("cache_misses", 0, 2, 2)]))
    (row,) = caches.caches(store, PLATFORM, HOUR, BEFORE)
    assert (row.cache, row.hits, row.lookups, row.calls) == ("prices", 8, 10, None)


def test_a_statement_called_more_often_than_before_is_found(store: TelemetryStore, put: Any) -> None:
    for minutes, count in ((-30, 2), (5, 20)):
        table = CallTable()
        table.record(ORDERS, "acme", [call(10)] * count, LISTED)
        table.record(USERS, "acme", [call(100)] * 5, LISTED)
        put(sent(table, at(minutes)))
    grown = calls.grown(store, PLATFORM, HOUR, BEFORE, DB)
    assert grown is not None
    assert (grown[0].operation.digest, round(grown[1])) == ("aa", 10)
