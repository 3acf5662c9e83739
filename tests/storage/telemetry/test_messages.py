"""Messages described once give a protobuf schema and column types that say the same."""

from __future__ import annotations

import opentelemetry.proto.logs.v1.logs_pb2 as logs_pb2
import opentelemetry.proto.metrics.v1.metrics_pb2 as metrics_pb2
import opentelemetry.proto.trace.v1.trace_pb2 as trace_pb2
import pytest
from google.protobuf.descriptor import Descriptor

from tocsin.storage.telemetry.messages import LOGS, METRICS, TRACES, Field, Message

INNER = Message("Inner", (Field(1, "string", "a"), Field(2, "bytes", "b")), oneof="kind")
OUTER = Message(
    "Outer",
    (Field(3, INNER, "one"), Field(4, INNER, "many", repeated=True), Field(5, "double", "maybe", optional=True)),
)


def test_columns_name_every_field_and_the_alternative_that_is_set() -> None:
    inner = "Tuple(a String, b String, kind Int8)"
    assert OUTER.columns() == f"one {inner}, many Array({inner}), maybe Nullable(Float64)"


def test_schema_declares_each_message_once() -> None:
    assert OUTER.schema() == (
        'syntax = "proto3";\n'
        "message Outer { Inner one = 3; repeated Inner many = 4; optional double maybe = 5; }\n"
        "message Inner { oneof kind { string a = 1; bytes b = 2; } }"
    )


SCALARS = {1: "double", 4: "uint64", 6: "fixed64", 7: "fixed32", 8: "bool", 9: "string", 12: "bytes", 13: "uint64",
           14: "int32", 16: "sfixed64", 17: "sint32", 5: "int32", 3: "int64"}  # fmt: skip


@pytest.mark.parametrize(
    ("message", "official"),
    [
        (TRACES, trace_pb2.TracesData.DESCRIPTOR),
        (METRICS, metrics_pb2.MetricsData.DESCRIPTOR),
        (LOGS, logs_pb2.LogsData.DESCRIPTOR),
    ],
    ids=["traces", "metrics", "logs"],
)
def test_field_numbers_and_types_are_those_of_opentelemetry(message: Message, official: Descriptor) -> None:
    by_number = {field.number: field for field in official.fields}
    for field in message.fields:
        known = by_number[field.number]
        assert known.is_repeated == field.repeated, field.name
        if isinstance(field.kind, Message):
            test_field_numbers_and_types_are_those_of_opentelemetry(field.kind, known.message_type)
        elif known.message_type is None:
            assert SCALARS[known.type] == field.kind, field.name
        else:
            assert field.kind == "bytes", field.name  # kept as it came
