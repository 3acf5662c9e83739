"""Telemetry of a shop of several services, for tests of what lies between services and within traces.

`front` calls `orders`, which asks a PostgreSQL and the outside `api.stripe.example` (a third of those calls fail);
`front` also runs in the environment staging. Orders of acme and globex take 120 ms; the trace SLOW takes 900 ms and
makes 40 statements instead of one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from served import Served, served

from waiting import eventually

SLOW = "5108" + "0" * 28
NORMAL = "0a" * 16
ORDERS = 30
SECOND = 1_000_000_000
MS = 1_000_000
SERVER, CLIENT, INTERNAL = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_INTERNAL
Attributes = Mapping[str, Any]


@contextmanager
def open_shop(folder: Path) -> Iterator[Served]:
    """A server that has received the shop's telemetry."""
    with served(folder, with_telemetry=False) as site:
        send(site.administrator)
        yield site


def send(client: httpx2.Client) -> None:
    now_ns = time.time_ns()
    _post(client, "/v1/metrics", _sdk_metrics(now_ns))
    _post(client, "/v1/traces", _traces(now_ns))
    # The rollups follow the spans: the last of them say that everything is there.
    eventually(lambda: {"front", "orders"} <= _services(client), "both services are visible")
    eventually(lambda: client.get(f"/api/v1/traces/{SLOW}").status_code == 200, "the slow trace is visible")


def _services(client: httpx2.Client) -> set[str]:
    rows = client.get("/api/v1/services?range=6h").json()["services"]
    return {row["service"] for row in rows}


def _post(client: httpx2.Client, path: str, request: Any) -> None:
    content = request.SerializeToString()
    answer = httpx2.post(
        client.base_url.join(path), content=content, headers={"Content-Type": "application/x-protobuf"}, timeout=30
    )
    assert answer.status_code == 200, answer.text


def _traces(now_ns: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    front, orders = _service(request, "front", "production"), _service(request, "orders", "production")
    for place in range(ORDERS):
        trace_id = NORMAL if place == 0 else f"{place:032x}"
        tenant = "globex" if place % 3 == 1 else "acme"
        _order(front, orders, trace_id, tenant, now_ns - (2 + place) * SECOND, is_failed=place % 3 == 2)
    _slow_order(front, orders, now_ns - 40 * SECOND)
    staged = _service(request, "front", "staging")
    root = {"http.request.method": "GET", "http.route": "/staged", "http.response.status_code": 200}
    staged.append(_span("5a" * 16, 1, 0, "GET /staged", SERVER, now_ns - SECOND, 20, "acme", root))
    return request


def _order(front: Any, orders: Any, trace_id: str, tenant: str, start_ns: int, *, is_failed: bool) -> None:
    front.append(_span(trace_id, 1, 0, "POST /orders", SERVER, start_ns, 120, tenant, _http("POST", "/orders")))
    call = {"server.address": "orders.internal", "server.port": 8080, "http.request.method": "POST"}
    front.append(_span(trace_id, 2, 1, "POST", CLIENT, start_ns + 5 * MS, 110, tenant, call))
    orders.append(_span(trace_id, 3, 2, "POST /order", SERVER, start_ns + 7 * MS, 100, tenant, _http("POST", "/order")))
    orders.append(_statement(trace_id, 4, start_ns + 10 * MS, 20, tenant))
    charge = {"server.address": "api.stripe.example", "server.port": 443, "http.request.method": "POST"}
    orders.append(_span(trace_id, 5, 3, "POST", CLIENT, start_ns + 40 * MS, 60, tenant, charge, is_failed=is_failed))


def _slow_order(front: Any, orders: Any, start_ns: int) -> None:
    front.append(_span(SLOW, 1, 0, "POST /orders", SERVER, start_ns, 900, "acme", _http("POST", "/orders")))
    call = {"server.address": "orders.internal", "server.port": 8080, "http.request.method": "POST"}
    front.append(_span(SLOW, 2, 1, "POST", CLIENT, start_ns + 5 * MS, 890, "acme", call))
    orders.append(_span(SLOW, 3, 2, "POST /order", SERVER, start_ns + 7 * MS, 880, "acme", _http("POST", "/order")))
    for place in range(40):
        orders.append(_statement(SLOW, 100 + place, start_ns + (10 + 20 * place) * MS, 20, "acme"))


def _statement(trace_id: str, identity: int, start_ns: int, took_ms: int, tenant: str) -> Span:
    said = {"db.system.name": "postgresql", "server.address": "db.internal", "db.query.text": "SELECT 1"}
    return _span(trace_id, identity, 3, "SELECT items", CLIENT, start_ns, took_ms, tenant, said)


def _http(method: str, route: str) -> Attributes:
    return {"http.request.method": method, "http.route": route, "http.response.status_code": 200}


def _service(request: ExportTraceServiceRequest, name: str, environment: str) -> Any:
    group = request.resource_spans.add()
    said = {"service.name": name, "deployment.environment.name": environment, "telemetry.sdk.name": "opentelemetry"}
    group.resource.attributes.extend(_attributes(said))
    return group.scope_spans.add().spans


def _span(
    trace_id: str,
    identity: int,
    parent: int,
    name: str,
    kind: Span.SpanKind.ValueType,
    start_ns: int,
    took_ms: int,
    tenant: str,
    said: Attributes,
    *,
    is_failed: bool = False,
) -> Span:
    return Span(
        trace_id=bytes.fromhex(trace_id),
        span_id=identity.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=name,
        kind=kind,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + took_ms * MS,
        attributes=_attributes({**said, "tocsin.tenant": tenant}),
        status=Status(code=Status.STATUS_CODE_ERROR if is_failed else Status.STATUS_CODE_UNSET),
    )


def _sdk_metrics(now_ns: int) -> ExportMetricsServiceRequest:
    """What a process of `front` says of its SDK: 9 µs a request, four spans dropped, nothing shed; and background
    work of 3 s over 12 requests."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    said = {"service.name": "front", "deployment.environment.name": "production", "telemetry.sdk.name": "tocsin"}
    group.resource.attributes.extend(_attributes(said | {"service.instance.id": "front-1"}))
    metrics = group.scope_metrics.add().metrics
    for name, unit, value, labels in (
        ("tocsin.sdk.overhead.duration", "s", 0.000_009, {"instrument": "middleware"}),
        ("tocsin.sdk.overhead.duration", "s", 0.000_060, {"instrument": "jobs"}),
        ("tocsin.sdk.shed.level", "1", 0.0, {}),
    ):
        metrics.add(name=name, unit=unit).gauge.data_points.add(
            time_unix_nano=now_ns, as_double=value, attributes=_attributes(labels)
        )
    dropped = metrics.add(name="tocsin.sdk.dropped").sum
    dropped.aggregation_temporality, dropped.is_monotonic = 2, True
    dropped.data_points.add(
        time_unix_nano=now_ns,
        start_time_unix_nano=now_ns - 60 * SECOND,
        as_int=4,
        attributes=_attributes({"signal": "traces", "reason": "queue_full"}),
    )
    _background(metrics, now_ns)
    return request


def _background(metrics: Any, now_ns: int) -> None:
    said = _attributes({"http.request.method": "POST", "http.route": "/orders", "http.response.status_code": 200})
    waits = metrics.add(name="http.server.request.duration").exponential_histogram
    waits.aggregation_temporality = 1
    point = waits.data_points.add(time_unix_nano=now_ns, count=12, sum=1.44, scale=6, attributes=said)
    point.positive.offset = -196  # the bucket of 120 ms
    point.positive.bucket_counts.append(12)
    later = metrics.add(name="tocsin.http.server.background.duration").histogram
    later.aggregation_temporality = 1
    later.data_points.add(time_unix_nano=now_ns, count=12, sum=3.0, attributes=said)


def _attributes(said: Attributes) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in said.items()]


def _value(value: Any) -> AnyValue:
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
