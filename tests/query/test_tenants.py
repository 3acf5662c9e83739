"""Tenants against the platform: who is hurt, since when, and who only seems to be."""

from __future__ import annotations

from typing import Any

import pytest

from otlp import HOUR_NS, MINUTE_NS, NOW_NS, SECOND_NS, SHOP, span, trace_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query import tenants
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore

# As on a page: the window ends now, off any grid.
HOUR = Filter(Window(NOW_NS + 3 * SECOND_NS, NOW_NS + HOUR_NS + 3 * SECOND_NS))

WHOLE_HOUR = Filter(Window(NOW_NS, NOW_NS + HOUR_NS))


def requests(tenant: str, minutes: Any, failing: int, of: int = 10, route: str = "/orders", **more: Any) -> list[Any]:
    """`of` requests in each of the minutes, spread over it, of which `failing`, as evenly, fail."""
    return [
        span(
            start_ns=NOW_NS + minute * MINUTE_NS + index * MINUTE_NS // of,
            tenant=tenant,
            method="GET",
            route=route,
            status_code=500 if index * failing % of < failing else 200,
            **more,
        )
        for minute in minutes
        for index in range(of)
    ]


def harmed(store: TelemetryStore) -> dict[str, tenants.HarmedTenant]:
    return {row.tenant: row for row in tenants.harmed(store, PLATFORM, HOUR)}


def test_tenants_come_most_failed_first_then_busiest(store: TelemetryStore, put: Any) -> None:
    put(
        trace_request(
            [
                *requests("acme", range(30), 1, seconds=0.2),
                *requests("globex", range(30), 0, of=20, seconds=0.1),
                *requests("initech", range(30), 0, of=5, seconds=0.3),
                *requests("", range(30), 5),
            ]
        )
    )
    rows = tenants.tenants(store, PLATFORM, WHOLE_HOUR)
    assert [row.tenant for row in rows] == ["acme", "globex", "initech"]
    assert [row.percentile_rank for row in rows] == [0.5, 0.0, 1.0]
    assert [row.red.requests for row in rows] == [300, 600, 150]
    assert [row.tenant for row in tenants.tenants(store, PLATFORM, HOUR, limit=1)] == ["acme"]
    assert [row.tenant for row in tenants.tenants(store, Scope.of("globex"), HOUR)] == ["globex"]


def test_cells_show_the_error_ratio_over_the_window(store: TelemetryStore, put: Any) -> None:
    put(trace_request([*requests("acme", [10], 5), *requests("acme", [50], 0)]))
    (row,) = tenants.tenants(store, PLATFORM, WHOLE_HOUR, cells=6)
    assert row.cells == [None, 0.5, None, None, None, 0.0]
    assert row.last_seen_ns == NOW_NS + 50 * MINUTE_NS + 50 * SECOND_NS


def test_tenant_whose_requests_begin_to_fail_is_harmed_since_then(store: TelemetryStore, put: Any) -> None:
    put(
        trace_request(
            [
                *requests("acme", range(50), 0),
                *requests("acme", range(50, 60), 4, route="/pay"),
                *requests("globex", range(60), 0),
            ]
        )
    )
    found = harmed(store)
    assert set(found) == {"acme"}
    acme = found["acme"]
    assert acme.since_ns == NOW_NS + 50 * MINUTE_NS
    assert acme.worst_endpoint == ("shop", "GET", "/pay")
    assert (acme.requests, acme.errors) == (18, 7)


def test_partial_outage_of_half_the_window_is_harm(store: TelemetryStore, put: Any) -> None:
    put(trace_request([*requests("acme", range(30), 0), *requests("acme", range(30, 60), 2)]))
    assert harmed(store)["acme"].since_ns == NOW_NS + 30 * MINUTE_NS


def test_failures_as_usual_are_no_harm(store: TelemetryStore, put: Any) -> None:
    put(trace_request(requests("acme", range(60), 2)))
    assert harmed(store) == {}


def test_failures_as_usual_with_quiet_spells_are_no_harm(store: TelemetryStore, put: Any) -> None:
    noisy = [item for minute in range(60) for item in requests("acme", [minute], 0 if minute % 5 == 2 else 4, of=30)]
    put(trace_request(noisy))
    assert harmed(store) == {}


def test_tenant_down_all_the_time_is_harmed(store: TelemetryStore, put: Any) -> None:
    put(trace_request(requests("acme", range(60), 10)))
    assert harmed(store)["acme"].since_ns == NOW_NS  # the window's first step


def test_new_tenant_that_fails_from_its_first_request_is_harmed(store: TelemetryStore, put: Any) -> None:
    put(trace_request(requests("acme", [58, 59], 3)))
    assert set(harmed(store)) == {"acme"}


@pytest.mark.parametrize(
    ("failing", "of", "is_harmed"), [(1, 10, False), (2, 10, True), (2, 100, False), (6, 100, True), (0, 10, False)]
)
def test_harm_needs_three_failures_and_five_per_cent(
    store: TelemetryStore, put: Any, failing: int, of: int, is_harmed: bool
) -> None:
    put(trace_request([*requests("acme", range(50), 0), *requests("acme", [58, 59], failing, of=of)]))
    assert bool(harmed(store)) is is_harmed


@pytest.mark.parametrize(("outage", "is_harmed"), [(6, True), (20, False)])
def test_outage_that_is_over_does_not_make_the_next_one_usual(
    store: TelemetryStore, put: Any, outage: int, is_harmed: bool
) -> None:
    """Down for six minutes of the hour; down for twenty, a tenth of failures is not three times as many as usual."""
    is_down = range(20, 20 + outage)
    put(
        trace_request(
            [item for minute in range(58) for item in requests("acme", [minute], 10 if minute in is_down else 0)]
            + requests("acme", [58, 59], 4, of=40)
        )
    )
    assert bool(harmed(store)) is is_harmed


@pytest.mark.parametrize(
    ("minutes", "others", "usual", "failing", "is_harmed"),
    [
        (2, 0, 0, 2, True),
        (2, 40, 0, 2, False),
        (2, 40, 0, 3, True),
        (50, 40, 0, 2, True),
        (50, 40, 5, 4, False),
        (50, 40, 5, 8, True),
        (50, 0, 0, 1, False),
    ],
)
def test_outbreak_shows_within_seconds_unless_it_may_be_chance(
    store: TelemetryStore, put: Any, minutes: int, others: int, usual: int, failing: int, is_harmed: bool
) -> None:
    """Four requests a second: the failures of three seconds are a small part of the last half minute's requests."""
    before = requests("acme", range(60 - minutes, 60), usual, of=240)
    outbreak = [
        span(
            start_ns=NOW_NS + HOUR_NS + index * SECOND_NS // 4, tenant="acme", method="GET", route="/orders",
            status_code=500 if index < failing else 200,
        )
        for index in range(12)
    ]  # fmt: skip
    beside = [item for other in range(others) for item in requests(f"other {other}", [59], 0, of=2)]
    put(trace_request([*before, *outbreak, *beside]))
    assert bool(harmed(store)) is is_harmed


def test_fault_that_is_over_is_no_harm(store: TelemetryStore, put: Any) -> None:
    put(trace_request([*requests("acme", range(40, 50), 10), *requests("acme", range(50, 60), 0)]))
    assert harmed(store) == {}


def test_known_tenants_and_environments_are_alphabetical(store: TelemetryStore, put: Any) -> None:
    put(
        trace_request(requests("globex", [1], 0), SHOP | {"deployment.environment.name": "staging"}),
        trace_request(requests("acme", [1], 0), SHOP | {"deployment.environment.name": "production"}),
        trace_request(requests("", [1], 0)),
    )
    assert tenants.known_tenants(store, PLATFORM) == ["acme", "globex"]
    assert tenants.known_environments(store, PLATFORM) == ["production", "staging"]
    assert tenants.known_tenants(store, Scope.of("acme")) == ["acme"]
    assert tenants.known_environments(store, Scope.of("acme")) == ["production"]
