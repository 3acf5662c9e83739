"""Requests, errors and durations folded from arriving telemetry, and exceptions by fingerprint."""

from __future__ import annotations

import math
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint, HistogramDataPoint, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otlp import NOW_NS, SECOND_NS, SHOP, attributes, exception, metric_request, span, trace_request
from tocsin.model.tenant import PLATFORM
from tocsin.storage.telemetry.store import TelemetryStore

ROLLUPS = ("red_10s", "red_1m", "red_1h")
OURS = {"service.name": "shop", "telemetry.sdk.name": "tocsin"}


def totals(store: TelemetryStore, table: str, columns: str = "sum(requests), sum(errors), sum(seconds)") -> list[Any]:
    return store.read(PLATFORM, f"SELECT {columns} FROM {table}").rows[0]


def duration_metric(count: int, status_code: int | None, *, offset: int = -64, **attrs: Any) -> Metric:
    metric = Metric(name="http.server.request.duration", unit="s")
    metric.exponential_histogram.aggregation_temporality = 1  # type: ignore[assignment]
    named = {"tocsin.tenant": "acme", "http.request.method": "GET", "http.route": "/orders", **attrs}
    if status_code is not None:
        named["http.response.status_code"] = status_code
    point = ExponentialHistogramDataPoint(
        time_unix_nano=NOW_NS, count=count, sum=count * 0.5, scale=6, attributes=attributes(named)
    )
    point.positive.offset = offset
    point.positive.bucket_counts.extend([0, count])
    metric.exponential_histogram.data_points.append(point)
    return metric


def size_metric(name: str, total: float, unit: str) -> Metric:
    metric = Metric(name=name, unit=unit)
    metric.histogram.aggregation_temporality = 1  # type: ignore[assignment]
    named = {"tocsin.tenant": "acme", "http.request.method": "GET", "http.route": "/orders"}
    metric.histogram.data_points.append(
        HistogramDataPoint(time_unix_nano=NOW_NS, count=3, sum=total, attributes=attributes(named))
    )
    return metric


def test_spans_of_servers_and_consumers_count_as_requests(store: TelemetryStore, put: Any) -> None:
    put(trace_request([span(kind=kind, seconds=0.5) for kind in range(6)]))
    for table in ROLLUPS:
        assert totals(store, table) == [2, 0, 1.0], table


def test_each_dimension_has_a_row_of_its_own(store: TelemetryStore, put: Any) -> None:
    put(
        trace_request(
            [
                span(tenant="acme", route="/a", method="GET", status_code=200),
                span(tenant="globex", route="/a", method="GET", status_code=200),
                span(tenant="acme", route="/b", method="GET", status_code=200),
                span(tenant="acme", route="/a", method="POST", status_code=200),
                span(tenant="acme", route="/a", method="GET", status_code=404),
                span("consume mail", kind=Span.SPAN_KIND_CONSUMER),
            ]
        )
    )
    columns = "tenant, method, route, status_code"
    for table in ROLLUPS:
        found = store.read(PLATFORM, f"SELECT {columns}, sum(requests) FROM {table} GROUP BY ALL ORDER BY ALL").rows
        assert found == [
            ["acme", "", "consume mail", 0, 1],
            ["acme", "GET", "/a", 200, 1],
            ["acme", "GET", "/a", 404, 1],
            ["acme", "GET", "/b", 200, 1],
            ["acme", "POST", "/a", 200, 1],
            ["globex", "GET", "/a", 200, 1],
        ], table


@pytest.mark.parametrize(
    ("status", "status_code", "errors"),
    [
        (0, 200, 0),
        (1, 200, 0),
        (2, 200, 1),
        (2, None, 1),
        (0, 499, 0),
        (0, 500, 1),
        (0, 599, 1),
        (2, 503, 1),
        (0, 404, 0),
    ],
)
def test_failed_span_or_5xx_is_one_error(
    store: TelemetryStore, put: Any, status: int, status_code: int | None, errors: int
) -> None:
    put(trace_request([span(status=status, status_code=status_code)]))
    assert totals(store, "red_10s")[:2] == [1, errors]


def test_steps_are_summed_into_minutes_and_hours(store: TelemetryStore, put: Any) -> None:
    put(trace_request([span(start_ns=NOW_NS + index * 10 * SECOND_NS, seconds=0.25) for index in range(12)]))
    put(trace_request([span(start_ns=NOW_NS + 3600 * SECOND_NS, seconds=0.25)]))
    for table, buckets in (("red_10s", 13), ("red_1m", 3), ("red_1h", 2)):
        assert totals(store, table, "uniqExact(time), sum(requests), sum(seconds)") == [buckets, 13, 3.25], table
        assert totals(store, table, "arraySum(mapValues(sumMap(buckets)))") == [13], table


@pytest.mark.parametrize("seconds", [1e-9, 0.001, 0.0999, 1.0, 1.5, 3600])
def test_duration_falls_into_its_exponential_bucket(store: TelemetryStore, put: Any, seconds: float) -> None:
    put(trace_request([span(seconds=seconds)]))
    (buckets,) = totals(store, "red_1h", "sumMap(buckets)")
    assert {int(key): int(item) for key, item in buckets.items()} == {math.floor(math.log2(seconds) * 64): 1}


def test_request_without_duration_is_counted(store: TelemetryStore, put: Any) -> None:
    put(trace_request([span(seconds=0)]))
    assert totals(store, "red_10s") == [1, 0, 0]


def test_own_sdk_counts_by_its_metrics_and_never_by_its_spans(store: TelemetryStore, put: Any) -> None:
    put(trace_request([span(status_code=200, route="/orders", method="GET") for _ in range(5)], OURS))
    put(metric_request([duration_metric(40, 200), duration_metric(2, 503, **{"error.type": "503"})], OURS))
    for table in ROLLUPS:
        assert totals(store, table) == [42, 2, 21.0], table
    (buckets,) = totals(store, "red_1m", "sumMap(buckets)")
    assert {int(key): int(item) for key, item in buckets.items()} == {-63: 42}


def test_other_sdks_metrics_are_not_counted_beside_their_spans(store: TelemetryStore, put: Any) -> None:
    put(trace_request([span()], SHOP), metric_request([duration_metric(40, 200)], SHOP))
    assert totals(store, "red_10s")[0] == 1


@pytest.mark.parametrize(
    ("status_code", "attrs", "errors"),
    [
        (200, {}, 0),
        (500, {}, 1),
        (404, {"error.type": "HTTPException"}, 0),
        (None, {"error.type": "ValueError"}, 1),
        (200, {"error.type": "ClientDisconnect"}, 1),
    ],
)
def test_own_sdks_errors_are_5xx_and_exceptions(
    store: TelemetryStore, put: Any, status_code: int | None, attrs: dict[str, Any], errors: int
) -> None:
    put(metric_request([duration_metric(1, status_code, **attrs)], OURS))
    assert totals(store, "red_10s")[:2] == [1, errors]


def test_own_sdks_sizes_and_background_work_are_no_requests(store: TelemetryStore, put: Any) -> None:
    sizes = size_metric("http.server.response.body.size", 1234, "By")
    background = size_metric("tocsin.http.server.background.duration", 0.75, "s")
    put(metric_request([sizes, background, size_metric("http.server.request.body.size", 9, "By")], OURS))
    columns = "sum(requests), sum(response_bytes), sum(background_seconds)"
    for table in ROLLUPS:
        assert totals(store, table, columns) == [0, 1234, 0.75], table


def python_stack(path: str, line: int, function: str) -> str:
    return (
        "Traceback (most recent call last):\n"
        f'  File "{path}", line {line}, in {function}\n    do()\n'
        f'  File "/srv/app/shop/db.py", line {line + 7}, in fetch\n    raise ValueError("x")\nValueError: x\n'
    )


def fingerprints(store: TelemetryStore) -> list[str]:
    return [row[0] for row in store.read(PLATFORM, "SELECT fingerprint FROM exceptions ORDER BY time").rows]


def test_fingerprint_survives_moved_lines_other_messages_and_other_folders(store: TelemetryStore, put: Any) -> None:
    put(
        trace_request(
            [
                span(events=[exception("ValueError", "order 1", python_stack("/srv/app/shop/api.py", 10, "place"))]),
                span(events=[exception("ValueError", "order 2", python_stack("/srv/app/shop/api.py", 99, "place"))]),
                span(events=[exception("ValueError", "order 3", python_stack("/home/x/shop/api.py", 99, "place"))]),
            ]
        )
    )
    found = fingerprints(store)
    assert len(found) == 3
    assert len(set(found)) == 1
    assert len(found[0]) == 16


def test_fingerprint_differs_by_function_file_and_type(store: TelemetryStore, put: Any) -> None:
    stacks = [
        ("ValueError", python_stack("/srv/app/shop/api.py", 10, "place")),
        ("ValueError", python_stack("/srv/app/shop/api.py", 10, "cancel")),
        ("ValueError", python_stack("/srv/app/shop/jobs.py", 10, "place")),
        ("KeyError", python_stack("/srv/app/shop/api.py", 10, "place")),
    ]
    put(trace_request([span(events=[exception(kind, "m", stack)]) for kind, stack in stacks]))
    assert len(set(fingerprints(store))) == 4


def test_senders_own_fingerprint_is_kept(store: TelemetryStore, put: Any) -> None:
    event = exception("ValueError", "m", "stack", **{"tocsin.error.fingerprint": "0123456789abcdef"})
    put(trace_request([span(events=[event])]))
    assert fingerprints(store) == ["0123456789abcdef"]


def test_exception_carries_its_span_and_stays_within_its_time(store: TelemetryStore, put: Any) -> None:
    events = [exception("E", "m", "s", time_ns=at) for at in (0, NOW_NS + SECOND_NS, 2**63)]
    sent = span(
        seconds=2, tenant="globex", route="/pay", method="POST", events=[*events, Span.Event(name="log")], status=2
    )
    put(trace_request([sent]))
    found = store.read(
        PLATFORM,
        "SELECT toUnixTimestamp64Nano(time) AS at, tenant, route, method, service, type, message, "
        "lower(hex(trace_id)) AS trace FROM exceptions ORDER BY time",
    ).dicts()
    assert [row.pop("at") - NOW_NS for row in found] == [0, SECOND_NS, 2 * SECOND_NS]
    assert found == 3 * [
        {
            "tenant": "globex",
            "route": "/pay",
            "method": "POST",
            "service": "shop",
            "type": "E",
            "message": "m",
            "trace": sent.trace_id.hex(),
        }
    ]
