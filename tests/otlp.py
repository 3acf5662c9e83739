"""Builds OTLP messages for tests: `trace_request([span(…)], resource={…})` and the like for metrics and logs.

Times default to NOW_NS, ids to fresh random ones, the tenant to acme.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
NOW_NS = time.time_ns() // HOUR_NS * HOUR_NS - HOUR_NS
"""A whole hour in the recent past; windows and spans of tests are laid around it."""

Attributes = Mapping[str, Any]
SHOP = {"service.name": "shop", "telemetry.sdk.name": "opentelemetry"}


def value(of: Any) -> AnyValue:
    """A Python value as an OTLP one; None is a value that is not set."""
    if of is None:
        return AnyValue()
    if isinstance(of, bool):
        return AnyValue(bool_value=of)
    if isinstance(of, int):
        return AnyValue(int_value=of)
    if isinstance(of, float):
        return AnyValue(double_value=of)
    if isinstance(of, bytes):
        return AnyValue(bytes_value=of)
    if isinstance(of, list):
        return AnyValue(array_value=ArrayValue(values=[value(item) for item in of]))
    if isinstance(of, dict):
        return AnyValue(kvlist_value=KeyValueList(values=attributes(of)))
    return AnyValue(string_value=of)


def attributes(of: Attributes) -> list[KeyValue]:
    return [KeyValue(key=key, value=value(item)) for key, item in of.items()]


def span(
    name: str = "GET /orders",
    *,
    trace_id: bytes | None = None,
    span_id: bytes | None = None,
    parent: bytes = b"",
    start_ns: int = NOW_NS,
    seconds: float = 0.1,
    kind: int = Span.SPAN_KIND_SERVER,
    status: int = 0,
    message: str = "",
    tenant: str | None = "acme",
    method: str | None = None,
    route: str | None = None,
    status_code: int | None = None,
    attrs: Attributes | None = None,
    events: Sequence[Span.Event] = (),
    links: Sequence[Span.Link] = (),
) -> Span:
    named = {
        "tocsin.tenant": tenant,
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": status_code,
    }
    known = {key: item for key, item in named.items() if item is not None}
    return Span(
        trace_id=trace_id or os.urandom(16),
        span_id=span_id or os.urandom(8),
        parent_span_id=parent,
        name=name,
        kind=kind,  # type: ignore[arg-type]
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + round(seconds * SECOND_NS),
        attributes=attributes({**known, **(attrs or {})}),
        events=events,
        links=links,
        status=Status(code=status, message=message),  # type: ignore[arg-type]
    )


def exception(kind: str, message: str, stack: str, time_ns: int = NOW_NS, **more: Any) -> Span.Event:
    named = {"exception.type": kind, "exception.message": message, "exception.stacktrace": stack}
    return Span.Event(name="exception", time_unix_nano=time_ns, attributes=attributes({**named, **more}))


def trace_request(spans: Sequence[Span], resource: Attributes = SHOP) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    part = request.resource_spans.add()
    part.resource.attributes.extend(attributes(resource))
    part.scope_spans.add().spans.extend(spans)
    return request


def log_record(
    body: Any = "hello", *, time_ns: int = NOW_NS, attrs: Attributes | None = None, **more: Any
) -> LogRecord:
    return LogRecord(
        time_unix_nano=time_ns, body=value(body), attributes=attributes(attrs or {"tocsin.tenant": "acme"}), **more
    )


def log_request(records: Sequence[LogRecord], resource: Attributes = SHOP) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    part = request.resource_logs.add()
    part.resource.attributes.extend(attributes(resource))
    part.scope_logs.add().log_records.extend(records)
    return request


def metric_request(metrics: Sequence[Metric], resource: Attributes = SHOP) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    part = request.resource_metrics.add()
    part.resource.attributes.extend(attributes(resource))
    part.scope_metrics.add().metrics.extend(metrics)
    return request


def gauge(name: str, points: Sequence[NumberDataPoint]) -> Metric:
    metric = Metric(name=name)
    metric.gauge.data_points.extend(points)
    return metric


def counter(name: str, points: Sequence[NumberDataPoint], *, unit: str = "", temporality: int = 2) -> Metric:
    """A sum that only rises; temporality 1 is delta."""
    metric = Metric(name=name, unit=unit)
    metric.sum.aggregation_temporality = temporality  # type: ignore[assignment]
    metric.sum.is_monotonic = True
    metric.sum.data_points.extend(points)
    return metric


def number(of: float, *, time_ns: int = NOW_NS, attrs: Attributes | None = None) -> NumberDataPoint:
    named = {"tocsin.tenant": "acme"} if attrs is None else attrs
    point = NumberDataPoint(time_unix_nano=time_ns, attributes=attributes(named))
    if isinstance(of, int):
        point.as_int = of
    else:
        point.as_double = of
    return point
