"""Rate, errors and duration over the rollups."""

from __future__ import annotations

import math
from typing import Any

import pytest

from otlp import HOUR_NS, MINUTE_NS, NOW_NS, SECOND_NS, SHOP, span, trace_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query import red
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore

HOUR = Filter(Window(NOW_NS, NOW_NS + HOUR_NS))
ALL = PLATFORM


def at(minute: float, **of: Any) -> Any:
    named = {"method": "GET", "route": "/orders", "status_code": 200}
    return span(start_ns=NOW_NS + round(minute * MINUTE_NS), **(named | of))


def of_service(service: str, *spans: Any, **resource: str) -> Any:
    return trace_request(spans, SHOP | {"service.name": service} | resource)


def close_to(seconds: float) -> Any:
    return pytest.approx(seconds, rel=0.008)


def test_totals_add_up_what_the_filter_leaves(store: TelemetryStore, put: Any) -> None:
    put(
        of_service(
            "shop",
            at(1, seconds=0.1),
            at(2, seconds=0.3, status_code=503),
            at(3, seconds=0.2, status_code=404, attrs={"http.response.body.size": 700}),
            at(3, tenant="globex", route="/other", seconds=5.0),
        )
    )
    everything = red.totals(store, ALL, HOUR)
    assert (everything.requests, everything.errors, everything.client_errors) == (4, 1, 1)
    acme = red.totals(store, Scope.of("acme"), HOUR)
    assert (acme.requests, acme.errors, acme.client_errors, acme.response_bytes) == (3, 1, 1, 700)
    assert acme.error_ratio == acme.client_error_ratio == pytest.approx(1 / 3)
    assert acme.total_seconds == pytest.approx(0.6)
    assert acme.mean_seconds == pytest.approx(0.2)
    assert acme.p50_seconds == close_to(0.2)
    assert red.totals(store, ALL, Filter(HOUR.window, route="/other")).requests == 1
    assert red.totals(store, ALL, Filter(HOUR.window, tenant="globex")).requests == 1
    assert red.totals(store, Scope.of("acme"), Filter(HOUR.window, tenant="globex")).requests == 0


def test_no_traffic_has_no_durations(store: TelemetryStore) -> None:
    nothing = red.totals(store, ALL, HOUR)
    assert (nothing.requests, nothing.error_ratio, nothing.request_rate) == (0, 0.0, 0.0)
    assert (nothing.mean_seconds, nothing.p50_seconds, nothing.p99_seconds) == (None, None, None)


@pytest.mark.parametrize(
    "window",
    [
        Window(NOW_NS, NOW_NS + HOUR_NS),
        Window(NOW_NS - 5 * HOUR_NS, NOW_NS + HOUR_NS),
        Window(NOW_NS - 100 * HOUR_NS, NOW_NS + HOUR_NS),
    ],
    ids=["10 s", "1 min", "1 h"],
)
def test_every_rollup_gives_the_same_totals(store: TelemetryStore, put: Any, window: Window) -> None:
    put(of_service("shop", *(at(minute, seconds=0.1 * (minute + 1)) for minute in range(10))))
    figures = red.totals(store, ALL, Filter(window))
    assert figures.requests == 10
    assert figures.p95_seconds == close_to(0.9)
    series = red.series(store, ALL, Filter(window))
    assert sum(series.request_rate) * series.step_seconds == pytest.approx(10)
    assert sum(map(sum, red.heatmap(store, ALL, Filter(window)).counts)) == 10


def test_rate_is_over_the_time_watched(store: TelemetryStore, put: Any) -> None:
    put(of_service("shop", at(50), at(55)))
    assert red.totals(store, ALL, HOUR).request_rate == pytest.approx(2 / 600)


def test_series_has_every_step_and_gaps_are_empty(store: TelemetryStore, put: Any) -> None:
    put(of_service("shop", at(0, seconds=0.5), at(0.1, status_code=500, seconds=0.5), at(59.9, status_code=404)))
    series = red.series(store, ALL, HOUR, points=60)
    assert series.step_seconds == 60
    assert series.times == [NOW_NS // SECOND_NS + 60 * index for index in range(60)]
    assert [len(values) for values in (series.request_rate, series.error_rate, series.p95_seconds)] == [60] * 3
    assert series.request_rate[0] == pytest.approx(2 / 60)
    assert series.error_rate[0] == pytest.approx(1 / 60)
    assert series.client_error_rate[59] == pytest.approx(1 / 60)
    assert series.p50_seconds[0] == close_to(0.5)
    assert set(series.request_rate[1:59]) == {0.0}
    assert set(series.p95_seconds[1:59]) == {None}


def test_services_come_busiest_first_with_what_they_run(store: TelemetryStore, put: Any) -> None:
    put(
        of_service("shop", at(1), at(2), at(3), **{"service.version": "2.0", "deployment.environment.name": "prod"}),
        of_service("shop", at(4), **{"service.version": "1.9"}),
        of_service("billing", at(5), **{"telemetry.sdk.name": "opentelemetry"}),
    )
    shop, billing = red.services(store, ALL, HOUR)
    assert (shop.service, shop.red.requests, shop.releases, shop.environments) == ("shop", 4, ["2.0", "1.9"], ["prod"])
    assert (billing.service, billing.red.requests, billing.sdk) == ("billing", 1, "opentelemetry")
    assert shop.last_seen_ns == NOW_NS + 4 * MINUTE_NS


def test_endpoints_come_in_the_order_asked_for(store: TelemetryStore, put: Any) -> None:
    put(
        of_service(
            "shop",
            *[at(1, route="/busy", seconds=0.001) for _ in range(20)],
            *[at(1, route="/slow", seconds=8.0) for _ in range(3)],
            *[at(1, route="/broken", seconds=0.01, status_code=500, tenant="globex") for _ in range(5)],
            *[at(1, route="/heavy", seconds=3.0) for _ in range(10)],
        )
    )

    def first(order: str) -> str:
        return red.endpoints(store, ALL, HOUR, order=order)[0].route

    assert {order.value: first(order) for order in red.EndpointOrder} == {
        "harm": "/broken",
        "rate": "/busy",
        "errors": "/broken",
        "p95": "/slow",
        "time": "/heavy",
    }
    rows = {row.route: row for row in red.endpoints(store, ALL, HOUR)}
    assert sum(row.share_of_time for row in rows.values()) == pytest.approx(1)
    assert rows["/heavy"].share_of_time == pytest.approx(30 / 54.07, rel=1e-3)
    assert rows["/broken"].tenants_hurt == ["globex"]
    assert rows["/busy"].tenants_hurt == []
    assert len(red.endpoints(store, ALL, HOUR, limit=2, order="p95")) == 2
    with pytest.raises(ValueError, match="colour"):
        red.endpoints(store, ALL, HOUR, order="colour")


def test_statuses_rise_and_zero_is_none(store: TelemetryStore, put: Any) -> None:
    put(of_service("shop", at(1), at(2), at(3, status_code=503), at(4, status_code=None, status=2)))
    assert [(row.status_code, row.requests) for row in red.statuses(store, ALL, HOUR)] == [(0, 1), (200, 2), (503, 1)]


def test_heatmap_counts_every_request_in_its_cell(store: TelemetryStore, put: Any) -> None:
    durations = [0.001, 0.01, 0.01, 0.5, 2.0]
    put(of_service("shop", *(at(10, seconds=seconds) for seconds in durations), at(40, seconds=0.01)))
    heatmap = red.heatmap(store, ALL, HOUR)
    assert sum(map(sum, heatmap.counts)) == 6
    assert len(heatmap.counts) == len(heatmap.times)
    assert {len(column) for column in heatmap.counts} == {len(heatmap.bounds_seconds) - 1}
    column = heatmap.counts[heatmap.times.index(NOW_NS // SECOND_NS + 600)]
    for seconds in set(durations):
        cell = next(i for i in range(len(column)) if heatmap.bounds_seconds[i + 1] > seconds * 1.0001)
        assert heatmap.bounds_seconds[cell] <= seconds * 1.0001
        assert column[cell] == durations.count(seconds)
    assert math.isclose(heatmap.bounds_seconds[4] / heatmap.bounds_seconds[0], 2)


def test_heatmap_without_traffic_is_empty(store: TelemetryStore) -> None:
    assert not any(red.heatmap(store, ALL, HOUR).counts)
