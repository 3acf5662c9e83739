"""Lateness and pauses out of cumulative histograms: what came between two states of one."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otlp import HOUR_NS, MINUTE_NS, NOW_NS, SHOP, metric_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query.filters import Filter
from tocsin.query.runtime_spreads import LAG, Spread, over_all, spreads
from tocsin.storage.telemetry.store import TelemetryStore

HOUR = Filter(Window(NOW_NS, NOW_NS + HOUR_NS))
MINUTE = MINUTE_NS // 10**9
START = NOW_NS // 10**9


def state(minute: int, quick: int, slow: int, seconds: float) -> Any:
    """So many ticks of about 1 ms and 500 ms since the process began."""
    metric = Metric(name=LAG, unit="s")
    metric.exponential_histogram.aggregation_temporality = 2
    point = metric.exponential_histogram.data_points.add(
        time_unix_nano=NOW_NS + minute * MINUTE_NS, count=quick + slow, sum=seconds, scale=6
    )
    point.positive.offset = -640  # 2^-10
    point.positive.bucket_counts.extend([quick, *[0] * 575, slow])  # 2^-1
    return metric_request([metric], SHOP | {"service.instance.id": "one"})


def test_only_what_came_in_a_step_counts(store: TelemetryStore, put: Any) -> None:
    put(state(0, 1000, 5, 9.0), state(1, 2000, 5, 10.0), state(2, 2010, 15, 15.0))
    found = spreads(store, PLATFORM, HOUR, 60)[LAG, "one"]
    assert sorted(found) == [START + MINUTE, START + 2 * MINUTE]
    quiet, late = found[START + MINUTE], found[START + 2 * MINUTE]
    assert (quiet.seconds, late.seconds) == (1.0, 5.0)
    assert 0.0009 < (quiet.p99() or 0) < 0.0011
    assert 0.49 < (late.p99() or 0) < 0.52
    assert sum(over_all(found).buckets.values()) == 1020


def test_a_single_state_counts_from_its_beginning_and_tenants_see_none(store: TelemetryStore, put: Any) -> None:
    put(state(0, 100, 0, 0.1))
    assert sum(over_all(spreads(store, PLATFORM, HOUR, 60)[LAG, "one"]).buckets.values()) == 100
    assert spreads(store, Scope.of("acme"), HOUR, 60) == {}
    assert Spread({}, 0.0).p99() is None
