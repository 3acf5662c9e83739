"""The messages of Prometheus' remote write, as classes that the protobuf package parses natively.

Field numbers are those of prometheus/prompb (1.0) and io.prometheus.write.v2 (2.0). In 1.0 a time series is left as
bytes at first: most of them end in one sample behind labels that were seen before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tocsin.storage.telemetry.messages import Field, Message

TYPES = {
    name: descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{name.upper()}")
    for name in (
        "string",
        "bytes",
        "bool",
        "double",
        "int32",
        "sint32",
        "int64",
        "sint64",
        "sfixed64",
        "uint32",
        "uint64",
        "fixed32",
        "fixed64",
    )
}

LABEL = Message("Label", (Field(1, "string", "name"), Field(2, "string", "value")))
SAMPLE = Message("Sample", (Field(1, "double", "value"), Field(2, "int64", "timestamp")))
EXEMPLAR = Message(
    "Exemplar",
    (Field(1, LABEL, "labels", repeated=True), Field(2, "double", "value"), Field(3, "int64", "timestamp")),
)
BUCKET_SPAN = Message("BucketSpan", (Field(1, "sint32", "offset"), Field(2, "uint32", "length")))
HISTOGRAM = Message(
    "Histogram",
    (
        Field(1, "uint64", "count_int", optional=True),
        Field(2, "double", "count_float", optional=True),
        Field(3, "double", "sum"),
        Field(4, "sint32", "schema"),
        Field(5, "double", "zero_threshold"),
        Field(6, "uint64", "zero_count_int"),
        Field(7, "double", "zero_count_float"),
        Field(8, BUCKET_SPAN, "negative_spans", repeated=True),
        Field(9, "sint64", "negative_deltas", repeated=True),
        Field(10, "double", "negative_counts", repeated=True),
        Field(11, BUCKET_SPAN, "positive_spans", repeated=True),
        Field(12, "sint64", "positive_deltas", repeated=True),
        Field(13, "double", "positive_counts", repeated=True),
        Field(14, "int32", "reset_hint"),
        Field(15, "int64", "timestamp"),
        Field(16, "double", "custom_values", repeated=True),
    ),
)
TIME_SERIES = Message(
    "TimeSeries",
    (
        Field(1, LABEL, "labels", repeated=True),
        Field(2, SAMPLE, "samples", repeated=True),
        Field(3, EXEMPLAR, "exemplars", repeated=True),
        Field(4, HISTOGRAM, "histograms", repeated=True),
    ),
)
METADATA = Message(
    "MetricMetadata",
    (
        Field(1, "int32", "type"),
        Field(2, "string", "metric_family_name"),
        Field(4, "string", "help"),
        Field(5, "string", "unit"),
    ),
)
WRITE_REQUEST = Message(
    "WriteRequest", (Field(1, "bytes", "timeseries", repeated=True), Field(3, METADATA, "metadata", repeated=True))
)

EXEMPLAR_2 = Message(
    "Exemplar2",
    (Field(1, "uint32", "labels_refs", repeated=True), Field(2, "double", "value"), Field(3, "int64", "timestamp")),
)
METADATA_2 = Message(
    "Metadata2", (Field(1, "int32", "type"), Field(3, "uint32", "help_ref"), Field(4, "uint32", "unit_ref"))
)
TIME_SERIES_2 = Message(
    "TimeSeries2",
    (
        Field(1, "uint32", "labels_refs", repeated=True),
        Field(2, SAMPLE, "samples", repeated=True),
        Field(3, HISTOGRAM, "histograms", repeated=True),
        Field(4, EXEMPLAR_2, "exemplars", repeated=True),
        Field(5, METADATA_2, "metadata"),
    ),
)
REQUEST_2 = Message(
    "Request2", (Field(4, "string", "symbols", repeated=True), Field(5, TIME_SERIES_2, "timeseries", repeated=True))
)

METRIC_TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")


def message_classes(package: str, *roots: Message) -> dict[str, Any]:
    """Classes of these messages and all within them, by name."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for message in _with_contents(roots):
        _declare(file.message_type.add(name=message.name), message, package)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{message.name}"))
        for message in _with_contents(roots)
    }


def _declare(declared: Any, message: Message, package: str) -> None:
    for field in message.fields:
        label = 3 if field.repeated else 1
        entry = declared.field.add(name=field.name, number=field.number, label=label)
        if isinstance(field.kind, Message):
            entry.type, entry.type_name = 11, f".{package}.{field.kind.name}"
        else:
            entry.type = TYPES[field.kind]
        if field.optional:
            entry.proto3_optional, entry.oneof_index = True, len(declared.oneof_decl)
            declared.oneof_decl.add(name=f"_{field.name}")


def _with_contents(roots: tuple[Message, ...]) -> Iterator[Message]:
    seen: dict[str, Message] = {}
    pending = list(roots)
    while pending:
        message = pending.pop()
        if message.name not in seen:
            seen[message.name] = message
            pending += [field.kind for field in message.fields if isinstance(field.kind, Message)]
    return iter(seen.values())


CLASSES = message_classes("tocsin.prometheus", WRITE_REQUEST, TIME_SERIES, REQUEST_2)
WriteRequest, TimeSeries, Request2 = CLASSES["WriteRequest"], CLASSES["TimeSeries"], CLASSES["Request2"]
