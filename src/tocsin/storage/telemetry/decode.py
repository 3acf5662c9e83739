"""The statements that turn a segment of raw OTLP messages into rows, one per signal.

Attribute values become text in a map; beside it stands one letter per attribute with its type, in the same order, so
that 0, '0', false and '' stay apart: s text, b bool, i integer, d double, and, kept as their protobuf bytes,
a array, k key-value list, x bytes; n is no value.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from tocsin.storage.telemetry import decode_calls, series_messages
from tocsin.storage.telemetry.messages import CALLS_COUNTED, KEY_VALUE, LOGS, REQUESTS_COUNTED, TRACES, Message
from tocsin.storage.telemetry.otlp_sql import (
    letter_sql,
    letters_sql,
    map_sql,
    tenant_sql,
    text_sql,
    time_sql,
)


class Signal(StrEnum):
    """The kinds of message in the spool: three of OTLP, and those in which ingest hands on series of any protocol.

    The writer takes them in this order: a series is known before its samples are.
    """

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"
    CALLS = "calls"
    SERIES = "series"
    SAMPLES = "samples"
    DELTAS = "deltas"
    NATIVE_HISTOGRAMS = "histograms"
    EXEMPLARS = "exemplars"
    METADATA = "metadata"


OTLP_SIGNALS = (Signal.TRACES, Signal.METRICS, Signal.LOGS)
MESSAGES: dict[Signal, Message] = {
    Signal.TRACES: TRACES,
    Signal.METRICS: REQUESTS_COUNTED,
    Signal.LOGS: LOGS,
    Signal.CALLS: CALLS_COUNTED,
    Signal.SERIES: series_messages.SERIES,
    Signal.SAMPLES: series_messages.SAMPLES,
    Signal.DELTAS: series_messages.SAMPLES,
    Signal.NATIVE_HISTOGRAMS: series_messages.NATIVE_HISTOGRAMS,
    Signal.EXEMPLARS: series_messages.EXEMPLARS,
    Signal.METADATA: series_messages.METRIC_METADATA,
}
TABLES = {
    Signal.TRACES: "spans",
    Signal.METRICS: "red_10s",
    Signal.LOGS: "logs",
    Signal.CALLS: "calls_10s",
    Signal.SERIES: "series",
    Signal.SAMPLES: "samples",
    Signal.DELTAS: "deltas",
    Signal.NATIVE_HISTOGRAMS: "native_histograms",
    Signal.EXEMPLARS: "exemplars",
    Signal.METADATA: "metric_metadata",
}


COMMON = {
    "environment": "if(resource['deployment.environment.name'] != '', resource['deployment.environment.name'], "
    "resource['deployment.environment'])",
    "service": "if(resource['service.name'] != '', resource['service.name'], 'unknown_service')",
    "release": "resource['service.version']",
    "resource": "resource",
    "resource_types": "resource_types",
    "scope_name": "scope.name",
    "scope_version": "scope.version",
    "attributes": "attributes",
    "attribute_types": "attribute_types",
}

SPAN_COLUMNS = COMMON | {
    "start": time_sql("item.start_time_unix_nano"),
    "duration_ns": "if(item.end_time_unix_nano > item.start_time_unix_nano, "
    "item.end_time_unix_nano - item.start_time_unix_nano, 0)",
    "trace_id": "toFixedString(item.trace_id, 16)",
    "span_id": "toFixedString(item.span_id, 8)",
    "parent_span_id": "toFixedString(substring(item.parent_span_id, 1, 8), 8)",
    "tenant": tenant_sql("attributes", "resource"),
    "sdk": "resource['telemetry.sdk.name']",
    "name": "item.name",
    "kind": "item.kind",
    "method": "if(attributes['http.request.method'] != '', attributes['http.request.method'], "
    "attributes['http.method'])",
    "route": "attributes['http.route']",
    "status_code": "toUInt16OrZero(if(attributes['http.response.status_code'] != '', "
    "attributes['http.response.status_code'], attributes['http.status_code']))",
    "status": "item.status.code",
    "status_message": "item.status.message",
    "trace_state": "item.trace_state",
    "flags": "item.flags",
    "event_times": "item.events.time_unix_nano",
    "event_names": "item.events.name",
    "event_attributes": f"arrayMap(e -> {map_sql('e.attributes')}, item.events)",
    "event_types": f"arrayMap(e -> {letters_sql('e.attributes')}, item.events)",
    "link_trace_ids": "item.links.trace_id",
    "link_span_ids": "item.links.span_id",
    "link_states": "item.links.trace_state",
    "link_attributes": f"arrayMap(e -> {map_sql('e.attributes')}, item.links)",
    "link_types": f"arrayMap(e -> {letters_sql('e.attributes')}, item.links)",
}

LOG_COLUMNS = COMMON | {
    "time": time_sql("if(item.time_unix_nano > 0, item.time_unix_nano, item.observed_time_unix_nano)"),
    "observed": time_sql("item.observed_time_unix_nano"),
    "tenant": tenant_sql("attributes", "resource"),
    "severity": "item.severity_number",
    "severity_text": "item.severity_text",
    "body": text_sql("item.body"),
    "body_type": letter_sql("item.body.kind"),
    "event_name": "item.event_name",
    "trace_id": "toFixedString(item.trace_id, 16)",
    "span_id": "toFixedString(item.span_id, 8)",
    "flags": "item.flags",
}

# What our SDK counts of requests, exact whatever it samples: these metrics go into the rollups and make no series.
REQUEST_METRICS = (
    "http.server.request.duration", "http.server.response.body.size", "tocsin.http.server.background.duration",
)  # fmt: skip
DURATION, RESPONSE_BYTES, BACKGROUND = REQUEST_METRICS
STATUS = "toUInt16OrZero(attributes['http.response.status_code'])"
REQUEST_COLUMNS = {
    "time": f"toStartOfInterval({time_sql('point.time')}, INTERVAL 10 SECOND)",
    "environment": COMMON["environment"],
    "service": COMMON["service"],
    "tenant": tenant_sql("attributes", "resource"),
    "method": "attributes['http.request.method']",
    "route": "attributes['http.route']",
    "status_code": STATUS,
    "release": "resource['service.version']",
    "sdk": "resource['telemetry.sdk.name']",
    "requests": f"sumIf(point.count, name = '{DURATION}')",
    "errors": f"sumIf(point.count, name = '{DURATION}' AND ({STATUS} >= 500 OR (attributes['error.type'] != '' "
    f"AND NOT {STATUS} BETWEEN 400 AND 499)))",
    "seconds": f"sumIf(point.sum, name = '{DURATION}')",
    "buckets": "sumMap(mapFromArrays(arrayMap(i -> toInt16(point.offset + i - 1), arrayFilter(i -> "
    "point.bucket_counts[i] > 0, arrayEnumerate(point.bucket_counts))), arrayFilter(c -> c > 0, point.bucket_counts)))",
    "response_bytes": f"sumIf(toUInt64(point.sum), name = '{RESPONSE_BYTES}')",
    "background_seconds": f"sumIf(point.sum, name = '{BACKGROUND}')",
}
REQUEST_DIMENSIONS = 9  # the first columns; the rest add up

# Points of both kinds in one shape. Only deltas count, and durations only in buckets of the rollups' own scale.
POINT_SHAPE = (
    f"Array(Tuple(attributes Array({KEY_VALUE.column_type()}), time UInt64, count UInt64, sum Float64, offset Int32, "
    "bucket_counts Array(UInt64)))"
)
REQUEST_POINTS = (
    "CAST(arrayConcat("
    "arrayMap(p -> (p.attributes, p.time_unix_nano, p.count, ifNull(p.sum, 0), p.positive.offset, "
    "p.positive.bucket_counts), arrayFilter(p -> p.scale = 6, metric.exponential.points)), "
    "arrayMap(p -> (p.attributes, p.time_unix_nano, p.count, ifNull(p.sum, 0), 0, []), metric.histogram.points)"
    f"), '{POINT_SHAPE}')"
)
IS_REQUEST_METRIC = (
    f"(metric.name = '{DURATION}' AND metric.exponential.temporality = 1) OR "
    f"(metric.name IN ('{RESPONSE_BYTES}', '{BACKGROUND}') AND metric.histogram.temporality = 1)"
)


def _source(table_function: str) -> str:
    """Rows (resource, resource_types, scope_item): one per instrumentation scope of every message."""
    return (
        f"SELECT {map_sql('part.resource.attributes')} AS resource, {letters_sql('part.resource.attributes')} AS "
        f"resource_types, arrayJoin(part.scope_items) AS scope_item "
        f"FROM (SELECT arrayJoin(resource_items) AS part FROM {table_function})"
    )


def _items(table_function: str, items: str) -> str:
    """Rows (resource, resource_types, scope, item, attributes, attribute_types): one per span or log record."""
    return (
        f"SELECT resource, resource_types, scope, item, {map_sql('item.attributes')} AS attributes, "
        f"{letters_sql('item.attributes')} AS attribute_types "
        f"FROM (SELECT resource, resource_types, scope_item.scope AS scope, arrayJoin(scope_item.{items}) AS item "
        f"FROM ({_source(table_function)}))"
    )


def _request_points(table_function: str) -> str:
    """Rows (resource, name, point, attributes): one per point of the metrics of requests that our SDK sends."""
    return (
        f"SELECT resource, metric.name AS name, point, {map_sql('point.attributes')} AS attributes "
        f"FROM (SELECT resource, metric, arrayJoin({REQUEST_POINTS}) AS point "
        f"FROM (SELECT resource, arrayJoin(scope_item.metrics) AS metric FROM ({_source(table_function)}) "
        f"WHERE resource['telemetry.sdk.name'] = 'tocsin') WHERE {IS_REQUEST_METRIC})"
    )


def _select(columns: dict[str, str], rows: str) -> str:
    return f"SELECT {', '.join(f'{sql} AS _{name}' for name, sql in columns.items())} FROM ({rows})"


def insert_statement(signal: Signal, table_function: str) -> str:
    """INSERT … SELECT that decodes all messages `table_function` yields;
    run it with `format_settings`."""
    dimensions = 0
    if signal is Signal.TRACES:
        columns, rows = SPAN_COLUMNS, _items(table_function, "spans")
    elif signal is Signal.LOGS:
        columns, rows = LOG_COLUMNS, _items(table_function, "records")
    elif signal is Signal.METRICS:
        columns, rows, dimensions = REQUEST_COLUMNS, _request_points(table_function), REQUEST_DIMENSIONS
    elif signal is Signal.CALLS:
        columns, rows = decode_calls.COLUMNS, decode_calls.points(table_function)
        dimensions = decode_calls.DIMENSIONS
    else:
        columns, rows = SERIES_SIGNALS[signal], f"SELECT arrayJoin(rows) AS r FROM {table_function}"
    grouping = f" GROUP BY {', '.join(map(str, range(1, dimensions + 1)))}" if dimensions else ""
    return f"INSERT INTO {TABLES[signal]} ({', '.join(columns)}) {_select(columns, rows)}{grouping}"


SERIES_SIGNALS = {
    Signal.SERIES: series_messages.SERIES_COLUMNS,
    Signal.SAMPLES: series_messages.SAMPLE_COLUMNS,
    Signal.DELTAS: series_messages.SAMPLE_COLUMNS,
    Signal.NATIVE_HISTOGRAMS: series_messages.NATIVE_HISTOGRAM_COLUMNS,
    Signal.EXEMPLARS: series_messages.EXEMPLAR_COLUMNS,
    Signal.METADATA: series_messages.METADATA_COLUMNS,
}


def structure(signal: Signal) -> str:
    """The columns of one message, as `file()` and `input()` take them."""
    return MESSAGES[signal].columns()


def format_settings(signal: Signal, schema_file: Path) -> dict[str, str | int]:
    """The engine settings under which a segment of this signal can be read; `schema_file` holds `schema(signal)`."""
    return {
        "format_schema": str(schema_file),
        "format_schema_source": "file",
        "format_schema_message_name": MESSAGES[signal].name,
        "input_format_protobuf_oneof_presence": 1,
    }


def schema(signal: Signal) -> str:
    """The protobuf schema of one message."""
    return MESSAGES[signal].schema()
