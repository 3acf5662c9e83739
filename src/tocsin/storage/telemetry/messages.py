"""OTLP messages as the engine reads them: each described once, written as a protobuf schema and as column types.

The engine decodes protobuf by itself, so no Python runs per span. Field numbers are those of opentelemetry-proto 1.x;
the fields left out are skipped by the decoder. Arrays and maps inside attribute values are declared as bytes: their
encoding is kept to the letter and decoded only when a value is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

COLUMN_TYPES = {
    "string": "String",
    "bytes": "String",
    "bool": "Bool",
    "double": "Float64",
    "int32": "Int32",
    "sint32": "Int32",
    "int64": "Int64",
    "sfixed64": "Int64",
    "uint64": "UInt64",
    "fixed64": "UInt64",
    "fixed32": "UInt32",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One protobuf field; `kind` is a scalar's name or another message."""

    number: int
    kind: str | Message
    name: str
    repeated: bool = False
    optional: bool = False

    def declaration(self) -> str:
        kind = self.kind if isinstance(self.kind, str) else self.kind.name
        label = "repeated " if self.repeated else "optional " if self.optional else ""
        return f"{label}{kind} {self.name} = {self.number};"

    def column_type(self) -> str:
        inner = COLUMN_TYPES[self.kind] if isinstance(self.kind, str) else self.kind.column_type()
        if self.optional:
            return f"Nullable({inner})"
        return f"Array({inner})" if self.repeated else inner


@dataclass(frozen=True, slots=True)
class Message:
    """One protobuf message. With `oneof`, its fields are alternatives and a column of that name says which is set."""

    name: str
    fields: tuple[Field, ...]
    oneof: str = ""

    def columns(self) -> str:
        """The fields as a column list, as table functions take it."""
        parts = [f"{field.name} {field.column_type()}" for field in self.fields]
        return ", ".join([*parts, f"{self.oneof} Int8"] if self.oneof else parts)

    def column_type(self) -> str:
        return f"Tuple({self.columns()})"

    def schema(self) -> str:
        """This message and all it contains as proto3 text."""
        return 'syntax = "proto3";\n' + "\n".join(message.declaration() for message in self._with_contents())

    def declaration(self) -> str:
        body = " ".join(field.declaration() for field in self.fields)
        return f"message {self.name} {{ {f'oneof {self.oneof} {{ {body} }}' if self.oneof else body} }}"

    def _with_contents(self) -> Iterator[Message]:
        seen: dict[str, Message] = {}
        pending = [self]
        while pending:
            message = pending.pop()
            if message.name not in seen:
                seen[message.name] = message
                pending += [field.kind for field in message.fields if isinstance(field.kind, Message)]
        return iter(seen.values())


def _message(name: str, *fields: Field, oneof: str = "") -> Message:
    return Message(name, fields, oneof)


def _repeated(number: int, kind: str | Message, name: str) -> Field:
    return Field(number, kind, name, repeated=True)


ANY_VALUE = _message(
    "AnyValue",
    Field(1, "string", "string_value"),
    Field(2, "bool", "bool_value"),
    Field(3, "int64", "int_value"),
    Field(4, "double", "double_value"),
    Field(5, "bytes", "array_value"),
    Field(6, "bytes", "kvlist_value"),
    Field(7, "bytes", "bytes_value"),
    oneof="kind",
)
KEY_VALUE = _message("KeyValue", Field(1, "string", "key"), Field(2, ANY_VALUE, "value"))
RESOURCE = _message("Resource", _repeated(1, KEY_VALUE, "attributes"))
SCOPE = _message(
    "InstrumentationScope",
    Field(1, "string", "name"),
    Field(2, "string", "version"),
    _repeated(3, KEY_VALUE, "attributes"),
)

EVENT = _message(
    "Event",
    Field(1, "fixed64", "time_unix_nano"),
    Field(2, "string", "name"),
    _repeated(3, KEY_VALUE, "attributes"),
)
LINK = _message(
    "Link",
    Field(1, "bytes", "trace_id"),
    Field(2, "bytes", "span_id"),
    Field(3, "string", "trace_state"),
    _repeated(4, KEY_VALUE, "attributes"),
)
STATUS = _message("Status", Field(2, "string", "message"), Field(3, "int32", "code"))
SPAN = _message(
    "Span",
    Field(1, "bytes", "trace_id"),
    Field(2, "bytes", "span_id"),
    Field(3, "string", "trace_state"),
    Field(4, "bytes", "parent_span_id"),
    Field(5, "string", "name"),
    Field(6, "int32", "kind"),
    Field(7, "fixed64", "start_time_unix_nano"),
    Field(8, "fixed64", "end_time_unix_nano"),
    _repeated(9, KEY_VALUE, "attributes"),
    _repeated(11, EVENT, "events"),
    _repeated(13, LINK, "links"),
    Field(15, STATUS, "status"),
    Field(16, "fixed32", "flags"),
)
SCOPE_SPANS = _message("ScopeSpans", Field(1, SCOPE, "scope"), _repeated(2, SPAN, "spans"))
RESOURCE_SPANS = _message("ResourceSpans", Field(1, RESOURCE, "resource"), _repeated(2, SCOPE_SPANS, "scope_items"))
TRACES = _message("TracesData", _repeated(1, RESOURCE_SPANS, "resource_items"))

NUMBER_POINT = _message(
    "NumberDataPoint",
    Field(2, "fixed64", "start_time_unix_nano"),
    Field(3, "fixed64", "time_unix_nano"),
    Field(4, "double", "as_double"),
    _repeated(5, "bytes", "exemplars"),
    Field(6, "sfixed64", "as_int", optional=True),  # tells 0 from 0.0
    _repeated(7, KEY_VALUE, "attributes"),
    Field(8, "uint64", "flags"),
)
HISTOGRAM_POINT = _message(
    "HistogramDataPoint",
    Field(2, "fixed64", "start_time_unix_nano"),
    Field(3, "fixed64", "time_unix_nano"),
    Field(4, "fixed64", "count"),
    Field(5, "double", "sum", optional=True),
    _repeated(6, "fixed64", "bucket_counts"),
    _repeated(7, "double", "explicit_bounds"),
    _repeated(8, "bytes", "exemplars"),
    _repeated(9, KEY_VALUE, "attributes"),
    Field(10, "uint64", "flags"),
    Field(11, "double", "min", optional=True),
    Field(12, "double", "max", optional=True),
)
BUCKETS = _message("Buckets", Field(1, "sint32", "offset"), _repeated(2, "uint64", "bucket_counts"))
EXPONENTIAL_POINT = _message(
    "ExponentialHistogramDataPoint",
    _repeated(1, KEY_VALUE, "attributes"),
    Field(2, "fixed64", "start_time_unix_nano"),
    Field(3, "fixed64", "time_unix_nano"),
    Field(4, "fixed64", "count"),
    Field(5, "double", "sum", optional=True),
    Field(6, "sint32", "scale"),
    Field(7, "fixed64", "zero_count"),
    Field(8, BUCKETS, "positive"),
    Field(9, BUCKETS, "negative"),
    Field(10, "uint64", "flags"),
    _repeated(11, "bytes", "exemplars"),
    Field(12, "double", "min", optional=True),
    Field(13, "double", "max", optional=True),
    Field(14, "double", "zero_threshold"),
)
QUANTILE = _message("ValueAtQuantile", Field(1, "double", "quantile"), Field(2, "double", "value"))
SUMMARY_POINT = _message(
    "SummaryDataPoint",
    Field(2, "fixed64", "start_time_unix_nano"),
    Field(3, "fixed64", "time_unix_nano"),
    Field(4, "fixed64", "count"),
    Field(5, "double", "sum"),
    _repeated(6, QUANTILE, "quantile_values"),
    _repeated(7, KEY_VALUE, "attributes"),
    Field(8, "uint64", "flags"),
)
METRIC = _message(
    "Metric",
    Field(1, "string", "name"),
    Field(2, "string", "description"),
    Field(3, "string", "unit"),
    Field(5, _message("Gauge", _repeated(1, NUMBER_POINT, "points")), "gauge"),
    Field(
        7,
        _message(
            "Sum",
            _repeated(1, NUMBER_POINT, "points"),
            Field(2, "int32", "temporality"),
            Field(3, "bool", "is_monotonic"),
        ),
        "sum",
    ),
    Field(
        9,
        _message("Histogram", _repeated(1, HISTOGRAM_POINT, "points"), Field(2, "int32", "temporality")),
        "histogram",
    ),
    Field(
        10,
        _message("Exponential", _repeated(1, EXPONENTIAL_POINT, "points"), Field(2, "int32", "temporality")),
        "exponential",
    ),
    Field(11, _message("Summary", _repeated(1, SUMMARY_POINT, "points")), "summary"),
)
SCOPE_METRICS = _message("ScopeMetrics", Field(1, SCOPE, "scope"), _repeated(2, METRIC, "metrics"))
RESOURCE_METRICS = _message(
    "ResourceMetrics", Field(1, RESOURCE, "resource"), _repeated(2, SCOPE_METRICS, "scope_items")
)
METRICS = _message("MetricsData", _repeated(1, RESOURCE_METRICS, "resource_items"))

# Of metrics, the engine itself reads no more than the counts of requests and calls that our SDK sends: two kinds of
# histogram, and for calls the scope that says what was called.
_COUNTED = _message("Metric", *(field for field in METRIC.fields if field.number in (1, 9, 10)))


def _counted(*of_scope: Field) -> Message:
    scope = _message("ScopeMetrics", *of_scope, _repeated(2, _COUNTED, "metrics"))
    part = _message("ResourceMetrics", Field(1, RESOURCE, "resource"), _repeated(2, scope, "scope_items"))
    return _message("MetricsData", _repeated(1, part, "resource_items"))


REQUESTS_COUNTED = _counted()
CALLS_COUNTED = _counted(Field(1, SCOPE, "scope"))

LOG_RECORD = _message(
    "LogRecord",
    Field(1, "fixed64", "time_unix_nano"),
    Field(2, "int32", "severity_number"),
    Field(3, "string", "severity_text"),
    Field(5, ANY_VALUE, "body"),
    _repeated(6, KEY_VALUE, "attributes"),
    Field(8, "fixed32", "flags"),
    Field(9, "bytes", "trace_id"),
    Field(10, "bytes", "span_id"),
    Field(11, "fixed64", "observed_time_unix_nano"),
    Field(12, "string", "event_name"),
)
SCOPE_LOGS = _message("ScopeLogs", Field(1, SCOPE, "scope"), _repeated(2, LOG_RECORD, "records"))
RESOURCE_LOGS = _message("ResourceLogs", Field(1, RESOURCE, "resource"), _repeated(2, SCOPE_LOGS, "scope_items"))
LOGS = _message("LogsData", _repeated(1, RESOURCE_LOGS, "resource_items"))
