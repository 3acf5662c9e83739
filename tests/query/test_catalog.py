"""The catalogue's metrics of requests are answered from the rollups, exact per tenant."""

from __future__ import annotations

import time
from typing import Any

import pytest

from otlp import MINUTE_NS, SECOND_NS, gauge, metric_request, number, span, trace_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.query import catalog, catalog_exemplars, series_lists
from tocsin.query.promql.engine import instant
from tocsin.query.promql.source import Hints, Matcher, Series
from tocsin.query.series import StoreSource
from tocsin.storage.telemetry.store import TelemetryStore

NOW = time.time_ns() // MINUTE_NS * MINUTE_NS - 10 * MINUTE_NS
NOW_MS = NOW // 10**6
HINTS = Hints(NOW_MS, NOW_MS, 15_000, 50_000)


def requests(tenant: str, count: int, *, at: int = 0, status: int = 200, seconds: float = 0.1, **more: Any) -> Any:
    spans = [
        span(
            start_ns=NOW + at * SECOND_NS + index, seconds=seconds, tenant=tenant, method="GET", route="/orders",
            status_code=status, attrs={"http.response.body.size": 100}, **more,
        )
        for index in range(count)
    ]  # fmt: skip
    return trace_request(spans, {"service.name": "shop"})


def select(store: TelemetryStore, name: str, *matchers: Matcher, scope: Scope = PLATFORM) -> list[Series]:
    matched = [Matcher("__name__", "=", name), *matchers]
    return StoreSource(store, scope).select(matched, NOW_MS - 60_000, NOW_MS + 120_000, HINTS)


def last(series: Series) -> float:
    return float(series.values[-1])


def test_requests_are_counters_that_stand_between_requests(store: TelemetryStore, put: Any) -> None:
    put(requests("acme", 3), requests("acme", 2, at=35), requests("globex", 4, status=500))
    acme, globex = select(store, "http_requests_total")
    assert acme.labels == {
        "__name__": "http_requests_total", "job": "shop", "method": "GET", "route": "/orders", "status": "200",
        "tenant": "acme",
    }  # fmt: skip
    assert globex.labels["tenant"] == "globex"
    assert (acme.timestamps[0], acme.values[0]) == (NOW_MS, 0.0)  # a new counter begins at 0
    at = dict(zip(acme.timestamps.tolist(), acme.values.tolist(), strict=True))
    assert [at[NOW_MS + seconds * 1000] for seconds in (10, 20, 30, 40, 110)] == [3, 3, 3, 5, 5]
    (failed,) = [series for series in select(store, "http_errors_total") if last(series)]
    assert (failed.labels["tenant"], last(failed)) == ("globex", 4)


def test_durations_are_a_histogram_of_prometheus_default_bounds(store: TelemetryStore, put: Any) -> None:
    put(requests("acme", 3, seconds=0.07), requests("acme", 2, seconds=30.0))
    buckets = {series.labels["le"]: last(series) for series in select(store, "http_request_duration_seconds_bucket")}
    assert list(buckets) == sorted([f"{bound:g}" for bound in catalog.BOUNDS] + ["+Inf"])
    assert (buckets["0.05"], buckets["0.1"], buckets["10"], buckets["+Inf"]) == (0, 3, 3, 5)
    (total,) = select(store, "http_request_duration_seconds_sum")
    (count,) = select(store, "http_request_duration_seconds_count")
    assert (last(total), last(count)) == (pytest.approx(60.21), 5)
    (half,) = select(store, "http_request_duration_seconds_bucket", Matcher("le", "=", "0.5"))
    assert last(half) == 3
    (size,) = select(store, "http_response_size_bytes_sum")
    assert last(size) == 500


def test_the_slowest_request_is_the_example_of_its_bucket(store: TelemetryStore, put: Any) -> None:
    put(requests("acme", 2, seconds=0.07), requests("acme", 1, at=5, seconds=30.0), requests("globex", 1, seconds=0.3))

    def examples(scope: Scope, **labels: str) -> list[tuple[str, str, float]]:
        matchers = [Matcher("__name__", "=", "http_request_duration_seconds_bucket")]
        matchers += [Matcher(name, "=", value) for name, value in labels.items()]
        found = catalog_exemplars.exemplars(store, scope, matchers, NOW_MS - 60_000, NOW_MS + 600_000)
        assert all(len(one.trace_id) == 32 and len(one.span_id) == 16 for one in found)
        return sorted((one.labels["tenant"], one.labels["le"], one.value) for one in found)

    assert examples(PLATFORM) == [("acme", "+Inf", 30.0), ("globex", "0.5", 0.3)]
    assert examples(PLATFORM, le="0.5") == [("globex", "0.5", 0.3)]
    assert examples(Scope(frozenset({"acme"}))) == [("acme", "+Inf", 30.0)]
    assert examples(Scope(frozenset({"acme"})), tenant="globex") == []


def test_only_the_busiest_tenants_are_named(store: TelemetryStore, put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "NAMED_TENANTS", 1)
    put(requests("acme", 9), requests("globex", 2), requests("initech", 1))
    assert {series.labels["tenant"]: last(series) for series in select(store, "http_requests_total")} == {
        "acme": 9, "other": 3,
    }  # fmt: skip
    (named,) = select(store, "http_requests_total", Matcher("tenant", "=", "initech"))
    assert last(named) == 1
    (own,) = select(store, "http_requests_total", scope=Scope.of("globex"))
    assert (own.labels["tenant"], last(own)) == ("globex", 2)


@pytest.mark.parametrize("by", [(), ("tenant",), ("route",), ("job", "status"), ("tenant", "method"), ("le", "job")])
@pytest.mark.parametrize("scope", [PLATFORM, Scope(frozenset({"acme"}))])
@pytest.mark.parametrize("minutes", [2, 300])
def test_a_sum_above_is_added_up_by_the_engine(
    store: TelemetryStore, put: Any, by: tuple[str, ...], scope: Scope, minutes: int
) -> None:
    put(requests("acme", 3), requests("acme", 2, at=35, status=500), requests("globex", 4, seconds=2.0))
    start_ms, end_ms = NOW_MS - 60_000, NOW_MS + minutes * 60_000

    def summed(name: str, hint: tuple[str, ...] | None) -> dict[tuple[str, ...], float]:
        hints = Hints(start_ms, end_ms, minutes * 500, minutes * 10_000, "rate", summed_by=hint)
        found: dict[tuple[str, ...], float] = {}
        for series in catalog.select(store, scope, [Matcher("__name__", "=", name)], start_ms, end_ms, hints):
            key = tuple(series.labels.get(label, "") for label in by)
            found[key] = found.get(key, 0.0) + float(series.values[-1])
        return found

    for name in ("http_requests_total", "http_request_duration_seconds_bucket", "http_errors_total"):
        assert summed(name, by) == summed(name, None)
        assert summed(name, by)


def test_only_what_a_sum_tells_apart_is_read(store: TelemetryStore, put: Any) -> None:
    put(requests("acme", 3), requests("globex", 4), requests("acme", 1, status=500))
    source = StoreSource(store, PLATFORM)

    def series_read(query: str) -> int:
        return instant(source, query, NOW_MS + 60_000).statistics.series

    assert series_read("sum(rate(http_requests_total[5m]))") == 1
    assert series_read("sum by (tenant) (rate(http_requests_total[5m]))") == 2
    assert series_read("sum by (tenant) (rate(http_requests_total[5m]) / 2)") == 3  # every one is divided
    assert series_read("sum without (tenant) (rate(http_requests_total[5m]))") == 3
    assert series_read("max by (tenant) (rate(http_requests_total[5m]))") == 3
    assert series_read("sum(max_over_time(http_requests_total[5m]))") == 3
    assert series_read("sum by (tenant) (http_requests_total)") == 2


def test_matchers_narrow_the_catalogue(store: TelemetryStore, put: Any) -> None:
    put(requests("acme", 1), requests("acme", 1, status=404), requests("globex", 1, status=503))

    def statuses(*matchers: Matcher) -> list[str]:
        return [series.labels["status"] for series in select(store, "http_requests_total", *matchers)]

    assert statuses(Matcher("status", "=~", "4..|5..")) == ["404", "503"]
    assert statuses(Matcher("status", "!=", "200"), Matcher("tenant", "!~", "g.*")) == ["404"]
    assert statuses(Matcher("job", "=", "nobody")) == []
    assert statuses(Matcher("colour", "=", "")) == ["200", "404", "503"]
    assert statuses(Matcher("colour", "!=", "")) == []
    assert statuses(Matcher("job", "=", "shop' OR 1=1 --")) == []


@pytest.mark.parametrize(
    ("before_ms", "after_ms"), [(NOW_MS, 86_400_000), (60_000, 600_000), (10 * 86_400_000, 600_000)],
    ids=["no bounds", "minutes", "days"],
)  # fmt: skip
def test_lists_name_the_catalogues_series_whatever_the_range(
    store: TelemetryStore, put: Any, before_ms: int, after_ms: int
) -> None:
    put(requests("acme", 3), requests("globex", 1, status=500))
    window = (NOW_MS - before_ms, NOW_MS + after_ms)
    acme = [Matcher("__name__", "=", "http_requests_total"), Matcher("tenant", "=", "acme")]
    assert series_lists.series(store, PLATFORM, acme, *window) == [
        {
            "__name__": "http_requests_total", "job": "shop", "method": "GET", "route": "/orders", "status": "200",
            "tenant": "acme",
        }
    ]  # fmt: skip
    assert series_lists.label_values(store, PLATFORM, "status", acme, *window) == ["200"]
    assert "http_errors_total" in series_lists.label_values(store, PLATFORM, "__name__", [], *window)
    only_acme = Scope(frozenset({"acme"}))
    assert series_lists.label_values(store, only_acme, "tenant", [], *window) == ["acme"]
    bounds = [Matcher("__name__", "=", "http_request_duration_seconds_bucket"), Matcher("le", "=~", "0.5|10")]
    assert series_lists.label_values(store, PLATFORM, "le", bounds, *window) == ["0.5", "10"]


def test_active_requests_have_the_catalogues_name(store: TelemetryStore, put: Any) -> None:
    point = number(7, time_ns=NOW, attrs={"tocsin.tenant": "acme"})
    put(metric_request([gauge("http.server.active_requests", [point])], {"service.name": "shop"}))
    (active,) = select(store, "http_requests_active")
    assert (active.labels["__name__"], last(active)) == ("http_requests_active", 7)


@pytest.mark.parametrize(
    ("hours", "step_ms", "range_ms", "table"),
    [
        (1, 15_000, 60_000, "red_10s"),
        (1, 0, 300_000, "red_1m"),
        (24, 60_000, 300_000, "red_1m"),
        (24 * 20, 3_600_000, 3_600_000, "red_1m"),
        (24 * 30, 3_600_000, 18_000_000, "red_1h"),
        (24 * 300, 86_400_000, 86_400_000, "red_1h"),
    ],
)
def test_grain_follows_step_and_age(hours: int, step_ms: int, range_ms: int, table: str) -> None:
    now = 1_800_000_000
    hints = Hints(0, 0, step_ms, range_ms)
    assert catalog.grain_of((now - hours * 3600) * 1000, now * 1000, hints, now).table == table
