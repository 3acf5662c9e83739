"""A server that has received metrics of acme and globex by remote write: an hour of both, and what is to come.

There is a sample every 15 seconds. acme makes 2 requests a second, one in ten fails; globex makes 1 and none fails.
`fleet_up` belongs to nobody.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from served import Served, served

from prometheus import SNAPPY, series, snappy, write_request
from waiting import eventually

STEP_MS = 15_000
STEPS = 240
AHEAD = 160
"""Samples of the time to come, so that the present has some however long the tests take."""
BOUNDS = ("0.1", "0.5", "1", "+Inf")


@contextmanager
def open_metered(folder: Path) -> Iterator[Served]:
    with served(folder, with_telemetry=False, with_packs=True) as site:
        send(site.administrator, time.time_ns() // 1_000_000)
        yield site


def send(client: httpx2.Client, now_ms: int) -> None:
    body = snappy(write_request(_series(now_ms), METADATA))
    answer = httpx2.post(client.base_url.join("/prometheus/api/v1/write"), content=body, headers=SNAPPY, timeout=30)
    assert answer.status_code in (200, 204), answer.text
    names = "/prometheus/api/v1/label/__name__/values"
    eventually(lambda: "fleet_up" in client.get(names).json()["data"], "the metrics are visible")


METADATA = [{"type": 1, "metric_family_name": "http_requests_total", "help": "Requests.", "unit": ""}]


def _series(now_ms: int) -> list[Any]:
    times = [now_ms - place * STEP_MS for place in range(STEPS, -AHEAD, -1)]
    made = [series("fleet_up", [(at, 1.0) for at in times], job="fleet", instance="a:1")]
    for tenant, rate, failing in (("acme", 2.0, 0.1), ("globex", 1.0, 0.0)):
        said = {"tenant": tenant, "method": "GET", "route": "/orders", "job": "shop", "environment": "production"}
        for status, share in (("200", 1 - failing), ("500", failing)):
            points = [(at, (at - times[0]) / 1000 * rate * share) for at in times]
            made.append(series("http_requests_total", points, {**said, "status": status}))
        for place, bound in enumerate(BOUNDS):
            share = (0.5, 0.9, 0.99, 1.0)[place]
            points = [(at, (at - times[0]) / 1000 * rate * share) for at in times]
            made.append(series("http_request_duration_seconds_bucket", points, {**said, "le": bound}))
        waves = [(at, 100.0 + (at // STEP_MS) % 40) for at in times]
        made.append(series("queue_depth", waves, {"tenant": tenant, "job": "shop", "environment": "staging"}))
    return made
