"""Bodies are decompressed within bounds; OTLP/JSON becomes the protobuf it stands for."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import tracemalloc
import zlib
from typing import Any

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tocsin.ingest.body import BodyError, BodyTooLargeError, decompress, from_json

PLAIN = b"telemetry " * 1000
LIMIT = 1_000_000


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


COMPRESSED = {
    "gzip": gzip.compress(PLAIN),
    "x-gzip": gzip.compress(PLAIN),
    "deflate": zlib.compress(PLAIN),
    " GZip ": gzip.compress(PLAIN),
    "zstd": zstd.compress(PLAIN),
    "identity": PLAIN,
    "": PLAIN,
}


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_each_encoding_gives_the_plain_bytes(encoding: str) -> None:
    assert decompress(COMPRESSED[encoding], encoding, LIMIT) == PLAIN


def test_deflate_without_its_wrapper_is_understood() -> None:
    assert decompress(raw_deflate(PLAIN), "deflate", LIMIT) == PLAIN


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_members_one_after_another_are_joined(encoding: str, pack: Any) -> None:
    assert decompress(pack(b"one ") + pack(b"") + pack(b"two"), encoding, LIMIT) == b"one two"


@settings(deadline=None)
@given(data=st.binary(max_size=2000), encoding=st.sampled_from(["gzip", "deflate", "raw", "zstd"]))
def test_any_bytes_survive(data: bytes, encoding: str) -> None:
    pack: Any = {"gzip": gzip.compress, "deflate": zlib.compress, "raw": raw_deflate, "zstd": zstd.compress}[encoding]
    assert decompress(pack(data), encoding.replace("raw", "deflate"), LIMIT) == data


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("kept", [1, 5, -1])
def test_body_that_is_cut_off_is_refused(encoding: str, kept: int) -> None:
    with pytest.raises(BodyError, match="cannot decompress"):
        decompress(COMPRESSED[encoding][:kept], encoding, LIMIT)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_garbage_is_refused(encoding: str) -> None:
    with pytest.raises(BodyError, match="cannot decompress"):
        decompress(b"this is no compressed body", encoding, LIMIT)


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "\x00"])
def test_unknown_encoding_names_those_that_are_read(encoding: str) -> None:
    with pytest.raises(BodyError, match=r"content-encoding .*send one of gzip, deflate, zstd, identity"):
        decompress(b"x", encoding, LIMIT)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "identity"])
def test_limit_is_exact(encoding: str) -> None:
    assert decompress(COMPRESSED[encoding], encoding, len(PLAIN)) == PLAIN
    with pytest.raises(BodyTooLargeError):
        decompress(COMPRESSED[encoding], encoding, len(PLAIN) - 1)


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd.compress)]
)
def test_bomb_costs_no_more_memory_than_the_limit(encoding: str, pack: Any) -> None:
    bomb = pack(bytes(200_000_000))
    tracemalloc.start()
    with pytest.raises(BodyTooLargeError):
        decompress(bomb, encoding, LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * LIMIT


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_bomb_of_many_members_is_stopped(encoding: str, pack: Any) -> None:
    with pytest.raises(BodyTooLargeError):
        decompress(pack(bytes(300_000)) * 4, encoding, LIMIT)
    with pytest.raises(BodyError, match="more than 100 members"):
        decompress(pack(b"") * 20_000, encoding, LIMIT)


TRACE_ID, SPAN_ID = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def spans_from(document: Any) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    from_json(json.dumps(document).encode(), request)
    return request


def with_span(**fields: Any) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": TRACE_ID, "spanId": SPAN_ID, **fields}]}]}]}


def test_json_ids_are_hexadecimal() -> None:
    request = spans_from(with_span(parentSpanId=SPAN_ID.upper(), links=[{"traceId": TRACE_ID, "spanId": SPAN_ID}]))
    (span,) = request.resource_spans[0].scope_spans[0].spans
    assert span.trace_id.hex() == span.links[0].trace_id.hex() == TRACE_ID
    assert span.span_id.hex() == span.parent_span_id.hex() == span.links[0].span_id.hex() == SPAN_ID


@pytest.mark.parametrize("text", ["not hex", "abc", "zz", "W47/95gDgQPSabYzgT/GDA=="])
def test_json_id_that_is_not_hexadecimal_is_refused_by_name(text: str) -> None:
    with pytest.raises(BodyError, match=r"cannot read traceId .* hexadecimal"):
        spans_from(with_span(traceId=text))


def test_json_numbers_come_as_text_or_number_and_enumerations_as_numbers() -> None:
    request = spans_from(
        with_span(
            kind=2,
            startTimeUnixNano="1544712660000000000",
            endTimeUnixNano=1544712661000000000,
            status={"code": 2},
            attributes=[
                {"key": "text", "value": {"intValue": "9223372036854775807"}},
                {"key": "number", "value": {"intValue": 7}},
                {"key": "double", "value": {"doubleValue": 1}},
                {"key": "bytes", "value": {"bytesValue": base64.b64encode(b"\xff").decode()}},
                {"key": "inner", "value": {"arrayValue": {"values": [{"boolValue": False}, {}]}}},
            ],
        )
    )
    (span,) = request.resource_spans[0].scope_spans[0].spans
    assert (span.kind, span.status.code) == (2, 2)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (1544712660000000000, 1544712661000000000)
    values = [attribute.value for attribute in span.attributes]
    assert [values[0].int_value, values[1].int_value, values[2].double_value] == [2**63 - 1, 7, 1.0]
    assert values[3].bytes_value == b"\xff"
    assert [value.WhichOneof("value") for value in values[4].array_value.values] == ["bool_value", None]


def test_json_with_fields_of_a_later_version_is_read() -> None:
    request = spans_from({**with_span(name="known", somethingNew={"a": [1]}), "alsoNew": 1})
    assert request.resource_spans[0].scope_spans[0].spans[0].name == "known"


def test_json_nested_beyond_reason_is_refused() -> None:
    value: dict[str, Any] = {"stringValue": "deep"}
    for _ in range(100):
        value = {"arrayValue": {"values": [value]}}
    with pytest.raises(BodyError, match="nested"):
        spans_from(with_span(attributes=[{"key": "k", "value": value}]))
    with pytest.raises(BodyError):
        from_json(b"[" * 100_000, ExportTraceServiceRequest())
    with pytest.raises(BodyError):
        from_json(b'{"a":' * 100_000, ExportTraceServiceRequest())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"resourceSpans": "text"}',
        b'{"resourceSpans": 5}',
        b'{"resourceSpans": [5]}',
        b'{"resourceSpans": {"a": 1}}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": 5}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": 99999999999}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": "1.5"}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": -1}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": 5}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": ["a"]}]}]}]}',
        b'{"resourceSpans": [{"resource": {"attributes": [{"value": {"stringValue": "a", "intValue": 1}}]}}]}',
        b'{"resourceSpans": [{"resource": {"attributes": {"key": "a"}}}]}',
    ],
)
def test_json_of_the_wrong_shape_is_refused(body: bytes) -> None:
    with pytest.raises(BodyError, match="cannot read"):
        from_json(body, ExportTraceServiceRequest())


FIELDS = st.sampled_from(
    [
        *("resourceSpans", "resourceMetrics", "resourceLogs", "resource", "scopeSpans", "scopeMetrics", "scopeLogs"),
        *("spans", "metrics", "logRecords", "attributes", "key", "value", "stringValue", "intValue", "doubleValue"),
        *("boolValue", "arrayValue", "kvlistValue", "bytesValue", "values", "traceId", "spanId", "kind", "status"),
        *("code", "name", "events", "links", "gauge", "sum", "dataPoints", "asInt", "asDouble", "histogram", "body"),
    ]
)
DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(FIELDS, inner, max_size=4)),
    max_leaves=15,
)


@settings(max_examples=400, deadline=None)
@given(document=st.dictionaries(FIELDS, DOCUMENTS, max_size=3))
def test_any_json_is_read_or_refused_and_never_breaks(document: dict[str, Any]) -> None:
    body = json.dumps(document).encode()
    for kind in (ExportTraceServiceRequest, ExportMetricsServiceRequest, ExportLogsServiceRequest):
        with contextlib.suppress(BodyError):
            from_json(body, kind())
