"""Connection pools from the gauges that processes send."""

from __future__ import annotations

import time
from typing import Any

from otlp import MINUTE_NS, gauge, metric_request, number
from tocsin.model.tenant import PLATFORM
from tocsin.model.window import Window
from tocsin.query.filters import Filter
from tocsin.query.pools import LIMIT, SIZE, pool_series, pools
from tocsin.storage.telemetry.store import TelemetryStore

NOW = time.time_ns() // MINUTE_NS * MINUTE_NS - 5 * MINUTE_NS
ASKED = Filter(Window(NOW - 10 * MINUTE_NS, NOW + 5 * MINUTE_NS))


def figures(at: int, used: float) -> list[Any]:
    time_ns = NOW + at * MINUTE_NS
    labels = {"pool": "pg/orders"}
    return [
        gauge(SIZE, [number(used, attrs=labels | {"state": "active"}, time_ns=time_ns)]),
        gauge(LIMIT, [number(15, attrs=labels, time_ns=time_ns)]),
    ]


def test_a_process_that_ended_leaves_its_last_figures(store: TelemetryStore, put: Any) -> None:
    ended = figures(1, 0.0)
    for metric in ended:
        for point in metric.gauge.data_points:
            point.flags = 1  # no recorded value
    put(metric_request([*figures(0, 7.0), *ended], {"service.name": "shop", "service.instance.id": "a"}))

    (pool,) = pools(store, PLATFORM, ASKED)
    assert (pool.limit, pool.most, pool.now) == (15, 7, 7)
    known = [value for value in pool_series(store, PLATFORM, ASKED, "pg/orders").states["active"] if value is not None]
    assert set(known) == {7.0}
