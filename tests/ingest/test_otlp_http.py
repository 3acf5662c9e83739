"""OTLP over HTTP: as bare ASGI, through a real uvicorn, and from the official exporter."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import socket
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from serving import Ingest, http_server, ingest_of

from otlp import log_record, log_request, metric_request, span, trace_request
from tocsin.ingest.otlp_http import OtlpHttp
from tocsin.storage.telemetry.decode import Signal
from waiting import PATIENCE_SECONDS

PROTOBUF, JSON = "application/x-protobuf", "application/json"
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    with ingest_of(tmp_path, max_body_bytes=1_000_000, max_message_bytes=2_000_000) as built:
        yield built


@pytest.fixture
def post(ingest: Ingest) -> Iterator[Callable[..., Answer]]:
    """Posts through a real uvicorn, giving up after five seconds."""
    with http_server(ingest.gate) as port:

        def post(
            body: bytes, path: str = "/v1/traces", kind: str = PROTOBUF, method: str = "POST", **headers: str
        ) -> Answer:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"content-type": kind, **named})
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return answer.status, dict(answer.getheaders()), content

        post.port = port  # type: ignore[attr-defined]
        yield post


def call(gate: Any, messages: list[dict[str, Any]], headers: dict[str, str], **scope: Any) -> Answer:
    """One request in bare ASGI; `messages` is what the server hands over, then nothing more ever comes."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.sleep(3600)  # as a real server does until the client goes away
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    asked = {"type": "http", "method": "POST", "path": "/v1/traces", "headers": raw, **scope}
    asyncio.run(asyncio.wait_for(OtlpHttp(gate)(asked, receive, send), PATIENCE_SECONDS))
    received = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], received, sent[1]["body"]


def whole(body: bytes) -> list[dict[str, Any]]:
    return [{"type": "http.request", "body": body, "more_body": False}]


def error_of(answer: Answer) -> Status:
    assert answer[1]["content-type"] == PROTOBUF
    return Status.FromString(answer[2])


def test_body_in_pieces_is_stored_as_sent(ingest: Ingest) -> None:
    body = trace_request([span(), span()]).SerializeToString()
    pieces = [{"type": "http.request", "body": body[i : i + 10], "more_body": True} for i in range(0, len(body), 10)]
    status, headers, content = call(ingest.gate, [*pieces, {"type": "http.request"}], {"content-type": PROTOBUF})
    assert (status, content, headers["content-type"]) == (200, b"", PROTOBUF)
    assert ingest.stored() == [body]


def test_client_that_goes_away_half_way_leaves_nothing(ingest: Ingest) -> None:
    half = {"type": "http.request", "body": b"\x0a", "more_body": True}
    status, _, _ = call(ingest.gate, [half, {"type": "http.disconnect"}], {"content-type": PROTOBUF})
    assert status == 400
    assert ingest.stored() == []


@pytest.mark.parametrize(
    ("signal", "request_of"),
    [
        (Signal.TRACES, trace_request([span()])),
        (Signal.METRICS, metric_request([])),
        (Signal.LOGS, log_request([log_record()])),
    ],
)
def test_each_signal_has_its_path(post: Callable[..., Answer], ingest: Ingest, signal: Signal, request_of: Any) -> None:
    status, _, content = post(request_of.SerializeToString(), f"/v1/{signal}", PROTOBUF + "; charset=utf-8")
    assert (status, content) == (200, b"")
    assert ingest.stored(signal) == [request_of.SerializeToString()] * (signal is not Signal.METRICS)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_body_is_stored_plain(
    post: Callable[..., Answer], ingest: Ingest, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    body = trace_request([span()]).SerializeToString()
    assert post(pack(body), content_encoding=encoding)[0] == 200
    assert ingest.stored() == [body]


def test_json_is_stored_as_protobuf_and_answered_in_json(post: Callable[..., Answer], ingest: Ingest) -> None:
    now = str(time.time_ns())
    sent = {"traceId": "ab" * 16, "spanId": "cd" * 8, "name": "from json", "startTimeUnixNano": now}
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [sent | {"endTimeUnixNano": now}]}]}]}
    status, headers, content = post(json.dumps(document).encode(), kind="application/json; charset=utf-8")
    assert (status, headers["content-type"], content) == (200, JSON, b"{}")
    stored = ExportTraceServiceRequest.FromString(ingest.stored()[0])
    assert stored.resource_spans[0].scope_spans[0].spans[0].trace_id.hex() == "ab" * 16


def test_partial_success_is_told_in_the_senders_format(post: Callable[..., Answer]) -> None:
    body = trace_request([span(), span(start_ns=1)]).SerializeToString()
    partial = ExportTraceServiceResponse.FromString(post(body)[2]).partial_success
    assert partial.rejected_spans == 1
    assert "1970" in partial.error_message
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "00", "name": "no ids"}]}]}]}
    answered = json.loads(post(json.dumps(document).encode(), kind=JSON)[2])
    assert answered["partialSuccess"]["rejectedSpans"] == "1"
    assert "trace_id" in answered["partialSuccess"]["errorMessage"]


REFUSALS: dict[str, tuple[dict[str, Any], int, int, str]] = {
    "garbage": ({"body": b"garbage"}, 400, 3, "not valid protobuf"),
    "truncated": ({"body": trace_request([span()]).SerializeToString()[:-5]}, 400, 3, "not valid protobuf"),
    "not gzip": ({"body": b"x", "content_encoding": "gzip"}, 400, 3, "cannot decompress"),
    "content type": ({"body": b"x", "kind": "text/plain"}, 415, 3, "application/x-protobuf or application/json"),
    "encoding": ({"body": b"x", "content_encoding": "br"}, 415, 3, "gzip, deflate, zstd"),
    "method": ({"body": b"", "method": "GET"}, 405, 3, "POST it"),
    "path": ({"body": b"", "path": "/v1/nonsense"}, 404, 5, "/v1/traces"),
    "wrong key": ({"body": b"", "authorization": "Bearer bad"}, 401, 16, "unknown or revoked"),
    "wrong key of ours": ({"body": b"", "x_tocsin_key": "bad"}, 401, 16, "unknown or revoked"),
    "too large": ({"body": bytes(1_000_001)}, 413, 8, "1000001 bytes are more than the 1000000 allowed"),
    "bomb": ({"body": gzip.compress(bytes(3_000_000)), "content_encoding": "gzip"}, 413, 8, "once decompressed"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal_has_its_status_and_says_what_to_do(post: Callable[..., Answer], ingest: Ingest, case: str) -> None:
    asked, status, code, words = REFUSALS[case]
    answer = post(**asked)
    assert answer[0] == status
    error = error_of(answer)
    assert error.code == code
    assert words in error.message
    assert error.message.startswith("cannot ")
    assert ingest.stored() == []
    assert post(trace_request([span()]).SerializeToString())[0] == 200  # the others are unaffected


def test_refused_json_is_answered_in_json(post: Callable[..., Answer]) -> None:
    status, headers, content = post(b"{", kind=JSON)
    assert (status, headers["content-type"]) == (400, JSON)
    assert json.loads(content)["code"] == 3
    assert "cannot read the body as JSON" in json.loads(content)["message"]


def test_refusals_carry_the_headers_they_need(post: Callable[..., Answer]) -> None:
    assert post(b"", method="PUT")[1]["allow"] == "POST"
    assert post(b"", authorization="Bearer bad")[1]["www-authenticate"] == "Bearer"


def test_key_is_taken_from_either_header(tmp_path: Path) -> None:
    body = trace_request([span()]).SerializeToString()
    with ingest_of(tmp_path, require_key=True) as closed:
        typed = {"content-type": PROTOBUF}
        assert call(closed.gate, whole(body), typed)[0] == 401
        assert call(closed.gate, whole(body), {**typed, "authorization": "bearer good"})[0] == 200
        assert call(closed.gate, whole(body), {**typed, "x-tocsin-key": "good"})[0] == 200
        assert call(closed.gate, whole(body), {**typed, "authorization": "Basic good"})[0] == 401


def test_rate_limit_and_full_spool_ask_to_come_back(tmp_path: Path) -> None:
    headers = {"content-type": PROTOBUF, "x-tocsin-key": "slow"}
    with ingest_of(tmp_path, spool_bytes=10_000) as small:
        assert call(small.gate, whole(trace_request([span() for _ in range(5)]).SerializeToString()), headers)[0] == 200
        limited = call(small.gate, whole(trace_request([span()]).SerializeToString()), headers)
        assert (limited[0], error_of(limited).code) == (429, 8)
        assert int(limited[1]["retry-after"]) >= 3
        big = trace_request([span(attrs={"pad": "x" * 20_000})]).SerializeToString()
        full = call(small.gate, whole(big), {"content-type": PROTOBUF})
        assert (full[0], error_of(full).code, full[1]["retry-after"]) == (503, 14, "5")


def test_hundred_megabytes_are_refused_without_being_kept(post: Any) -> None:
    tracemalloc.start()
    with socket.create_connection(("127.0.0.1", post.port), timeout=PATIENCE_SECONDS) as connection:
        length = 100 * 1024**2
        head = f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {length}\r\n\r\n"
        connection.sendall(head.encode())
        chunk = bytes(1024**2)
        for _ in range(100):
            connection.sendall(chunk)
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_endless_chunked_body_is_refused_at_the_limit(post: Any) -> None:
    with socket.create_connection(("127.0.0.1", post.port), timeout=PATIENCE_SECONDS) as connection:
        head = f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\ntransfer-encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(30):
            connection.sendall(b"%x\r\n%s\r\n" % (100_000, bytes(100_000)))
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_connection_reset_half_way_harms_nobody(post: Any, ingest: Ingest) -> None:
    for _ in range(5):
        connection = socket.create_connection(("127.0.0.1", post.port), timeout=PATIENCE_SECONDS)
        connection.sendall(f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\n".encode())
        connection.sendall(b"content-length: 1000\r\n\r\nhalf")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    body = trace_request([span()]).SerializeToString()
    assert post(body)[0] == 200
    assert ingest.stored() == [body]


def test_large_sound_body_is_taken(post: Callable[..., Answer], ingest: Ingest) -> None:
    body = trace_request([span(attrs={"pad": "x" * 500}) for _ in range(1200)]).SerializeToString()
    assert len(body) > 600_000
    assert post(body)[0] == 200
    assert ingest.stored() == [body]


def test_repetition_of_a_lost_answer_is_acknowledged_and_stored_once(
    post: Callable[..., Answer], ingest: Ingest
) -> None:
    body = trace_request([span()]).SerializeToString()
    assert [post(body)[0], post(body)[0], post(gzip.compress(body), content_encoding="gzip")[0]] == [200] * 3
    assert ingest.stored() == [body]


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_official_exporter_is_understood(post: Any, ingest: Ingest, compression: str) -> None:
    from opentelemetry.exporter.otlp.proto.http import Compression

    exporter = OTLPSpanExporter(
        f"http://127.0.0.1:{post.port}/v1/traces",
        headers={"authorization": "Bearer good"},
        compression=Compression(compression),
    )
    provider = TracerProvider(resource=Resource({"service.name": "official"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("GET /", attributes={"tenant.id": "acme"}):
        pass
    provider.shutdown()
    (message,) = ingest.stored()
    assert ExportTraceServiceRequest.FromString(message).resource_spans[0].scope_spans[0].spans[0].name == "GET /"
