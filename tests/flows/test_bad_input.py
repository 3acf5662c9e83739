"""Whatever is sent, the sender is told what to do about it, and nobody else notices."""

from __future__ import annotations

import gzip
import os
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import httpx2
import orjson
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otlp_senders import PROTOBUF, attribute, export, span
from server_process import ServerProcess

from waiting import eventually

try:
    from compression import zstd  # type: ignore[import-not-found]  # Python 3.14
except ImportError:
    from backports import zstd

pytestmark = pytest.mark.xdist_group("bad input")
NOW_NS = time.time_ns()
YEAR_NS = 365 * 86_400 * 10**9
JSON = {"content-type": "application/json"}
TRACE_SERVICE = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
GOOD = export([span()])
MEMORY_BYTES = 900 * 1024**2
"""Beyond it a bad request has been multiplied in memory: the idle server takes about 400 MB, a body at most 64."""


@pytest.fixture(scope="module", autouse=True)
def nobody_else_notices(shared_server: ServerProcess) -> Iterator[None]:
    """A well-behaved sender works all through the module; memory stays bounded and no traceback is logged."""
    slow: list[str] = []
    stopped = threading.Event()

    def send() -> None:
        with shared_server.client(token="") as client:
            while not stopped.wait(0.05):
                started = time.monotonic()
                status = client.post("/v1/traces", content=export([span("globex")]), headers=PROTOBUF).status_code
                seconds = time.monotonic() - started
                if status != 200 or seconds > 5:
                    slow.append(f"{status} after {seconds:.1f} s")

    sender = threading.Thread(target=send)
    sender.start()
    yield
    stopped.set()
    sender.join(30)
    assert slow == []
    assert shared_server.exit_code() is None
    assert "Traceback" not in shared_server.log()
    assert shared_server.peak_bytes() < MEMORY_BYTES


@pytest.fixture
def post(shared_server: ServerProcess) -> Iterator[Callable[..., httpx2.Response]]:
    with shared_server.client(token="") as client:

        def send(body: Any, headers: dict[str, str] = PROTOBUF, path: str = "/v1/traces") -> httpx2.Response:
            return client.post(path, content=body, headers=headers)

        yield send


def said(answer: httpx2.Response) -> str:
    return answer.content.decode("utf-8", "replace")


def gzip_bomb(plain_bytes: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    block = bytes(1024**2)
    return b"".join(compressor.compress(block) for _ in range(plain_bytes // len(block))) + compressor.flush()


def zstd_bomb(plain_bytes: int) -> bytes:
    compressor = zstd.ZstdCompressor()
    block = bytes(1024**2)
    return b"".join(compressor.compress(block) for _ in range(plain_bytes // len(block))) + compressor.flush()


@pytest.mark.parametrize(
    ("body", "headers", "status", "advice"),
    [
        (b"\xff" * 100, PROTOBUF, 400, "check the exporter's protocol setting"),
        (GOOD[:-7], PROTOBUF, 400, "check the exporter's protocol setting"),
        (GOOD.replace(b"acme", b"\xff\xfe\xfd\xfc"), PROTOBUF, 400, "not UTF-8"),
        (GOOD, JSON, 400, "cannot read the body as JSON"),
        (b'{"resourceSpans": 7}', JSON, 400, "cannot read the body as OTLP/JSON"),
        (b"[" * 100_000, JSON, 400, "cannot read the body as JSON"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, JSON, 400, "nested deeper than"),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}', JSON, 400, "ids are hexadecimal"),
        (GOOD, {"content-type": "text/plain"}, 415, "send application/x-protobuf or application/json"),
        (GOOD, {}, 415, "send application/x-protobuf or application/json"),
        (GOOD, PROTOBUF | {"content-encoding": "br"}, 415, "send one of gzip, deflate, zstd"),
        (GOOD, PROTOBUF | {"content-encoding": "gzip"}, 400, "cannot decompress the body"),
        (gzip.compress(GOOD)[:-9], PROTOBUF | {"content-encoding": "gzip"}, 400, "it is cut off"),
        (zstd.compress(GOOD)[:-3], PROTOBUF | {"content-encoding": "zstd"}, 400, "cannot decompress the body"),
        (GOOD, PROTOBUF | {"authorization": "Bearer tcs_key_wrong"}, 401, "create one under Settings, Ingest keys"),
        (GOOD, PROTOBUF | {"x-tocsin-key": "tcs_key_wrong"}, 401, "create one under Settings, Ingest keys"),
        (GOOD, PROTOBUF | {"authorization": "Bearer kl\u00e9"}, 401, "unknown or revoked"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_body_that_cannot_be_read_is_refused_with_advice(
    post: Callable[..., httpx2.Response], body: bytes, headers: dict[str, str], status: int, advice: str
) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = post(body, encoded)
    assert (answer.status_code, advice in said(answer)) == (status, True), said(answer)
    assert "retry-after" not in answer.headers
    expected = "application/json" if headers.get("content-type") == "application/json" else "application/x-protobuf"
    assert answer.headers["content-type"] == expected


@pytest.mark.parametrize(
    ("encoding", "bomb"), [("gzip", gzip_bomb), ("zstd", zstd_bomb), ("deflate", lambda size: gzip_bomb(size)[10:])]
)
def test_bomb_is_refused_before_it_unfolds(
    post: Callable[..., httpx2.Response], encoding: str, bomb: Callable[[int], bytes]
) -> None:
    answer = post(bomb(2 * 1024**3 if encoding == "zstd" else 512 * 1024**2), PROTOBUF | {"content-encoding": encoding})
    assert (answer.status_code, "once decompressed" in said(answer)) == (413, True), said(answer)


def test_huge_body_is_refused_whether_announced_or_not(post: Callable[..., httpx2.Response]) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(1024**2)

    for body in (bytes(100 * 1024**2), chunks()):
        answer = post(body)
        assert (answer.status_code, "send smaller batches" in said(answer)) == (413, True), said(answer)


def test_other_methods_and_paths_are_named(shared_server: ServerProcess) -> None:
    with shared_server.client(token="") as client:
        answer = client.get("/v1/traces")
        assert (answer.status_code, answer.headers["allow"], "POST it" in said(answer)) == (405, "POST", True)
        answer = client.post("/v1/profiles", content=GOOD, headers=PROTOBUF)
        assert (answer.status_code, "OTLP has /v1/traces" in said(answer)) == (404, True)


def rejected(answer: httpx2.Response) -> tuple[int, str]:
    """How many spans an accepted request says it left out, and why."""
    partial = answer.json().get("partialSuccess", {})
    return int(partial.get("rejectedSpans", 0)), partial.get("errorMessage", "")


def as_json(*spans: Span) -> bytes:
    from google.protobuf.json_format import MessageToDict

    documents = [MessageToDict(item) for item in spans]
    for document, item in zip(documents, spans, strict=True):
        document |= {"traceId": item.trace_id.hex(), "spanId": item.span_id.hex(), "kind": 2}
    return orjson.dumps({"resourceSpans": [{"scopeSpans": [{"spans": documents}]}]})


def crowded(attributes: int) -> Span:
    item = span()
    item.attributes.extend(attribute(f"a{number}", number) for number in range(attributes))
    return item


def backwards() -> Span:
    item = span()
    item.end_time_unix_nano = item.start_time_unix_nano - 10**9
    return item


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (lambda: span(start_ns=1), "start 1970-01-01 00:00 UTC is older than the retention"),
        (lambda: span(start_ns=130 * YEAR_NS), "is in the future; check the sender's clock"),
        (lambda: span(seconds=80.0 * 365 * 86_400), "end 21"),
        (lambda: span(trace_id=bytes(16)), "trace_id must be 16 bytes, not all zero"),
        (lambda: crowded(100_000), "more than 1024 attributes"),
    ],
    ids=["1970", "2100", "ends in 2100", "no trace id", "too many attributes"],
)
def test_span_that_cannot_be_stored_is_left_out_and_named(
    post: Callable[..., httpx2.Response], bad: Callable[[], Span], reason: str
) -> None:
    answer = post(as_json(bad(), span()), JSON)
    assert answer.status_code == 200, said(answer)
    count, explanation = rejected(answer)
    assert (count, reason in explanation) == (1, True), explanation


def test_million_attributes_are_left_out_of_protobuf_and_too_much_as_json(post: Callable[..., httpx2.Response]) -> None:
    item = crowded(1_000_000)
    answer = post(gzip.compress(export([item, span()]), 1), PROTOBUF | {"content-encoding": "gzip"})
    assert (answer.status_code, "1 spans rejected: more than 1024 attributes" in said(answer)) == (200, True)
    answer = post(gzip.compress(as_json(item), 1), JSON | {"content-encoding": "gzip"})
    assert (answer.status_code, "send smaller batches" in said(answer)) == (413, True)


def test_span_that_ends_before_it_starts_is_kept_with_no_duration(
    post: Callable[..., httpx2.Response], shared_server: ServerProcess
) -> None:
    item = backwards()
    answer = post(as_json(item), JSON)
    assert rejected(answer)[0] == 0
    assert "kept with duration 0" in rejected(answer)[1]
    path = f"/api/v1/traces/{item.trace_id.hex()}"
    with shared_server.client() as client:
        eventually(lambda: client.get(path).status_code == 200, "the span is stored")
        [stored] = client.get(path).json()["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert stored["startTimeUnixNano"] == stored["endTimeUnixNano"]


@pytest.fixture(scope="module")
def keyed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path_factory.mktemp("keyed"), options=["--require-ingest-key"])
    server.start()
    yield server
    server.stop()


def test_key_works_until_it_is_revoked_over_http_and_grpc(keyed_server: ServerProcess) -> None:
    with keyed_server.client() as admin, keyed_server.client(token="") as sender:
        made = admin.post("/api/v1/keys", json={"name": "shop", "spans_per_second": 50}).json()
        with_key = PROTOBUF | {"authorization": f"Bearer {made['secret']}"}
        assert sender.post("/v1/traces", content=GOOD, headers=PROTOBUF).status_code == 401
        assert call(keyed_server, GOOD)[0] is grpc.StatusCode.UNAUTHENTICATED
        answer = sender.post("/v1/traces", content=GOOD, headers=with_key)
        assert answer.status_code == 200, said(answer)
        credentials = ("authorization", with_key["authorization"])
        assert call(keyed_server, export([span()]), credentials)[0] is grpc.StatusCode.OK

        flood = export([span() for _ in range(200)])
        assert sender.post("/v1/traces", content=flood, headers=with_key).status_code == 200
        answer = sender.post("/v1/traces", content=flood, headers=with_key)
        assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (429, True)
        assert "lower the sampling ratio" in said(answer)
        code, message = call(keyed_server, flood, credentials)
        assert (code, "lower the sampling ratio" in message) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)

        assert admin.delete(f"/api/v1/keys/{made['key']['id']}").status_code == 200
        eventually(
            lambda: sender.post("/v1/traces", content=export([span()]), headers=with_key).status_code == 401,
            "the revoked key is refused",
        )


def call(server: ServerProcess, body: bytes, *metadata: tuple[str, str]) -> tuple[grpc.StatusCode, str]:
    """Status and message of an Export call."""
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        export_spans = channel.unary_unary(TRACE_SERVICE)
        try:
            export_spans(body, metadata=metadata, timeout=30)
        except grpc.RpcError as error:
            return error.code(), error.details()
    return grpc.StatusCode.OK, ""


@pytest.mark.parametrize(
    ("body", "code", "advice"),
    [
        (b"\xff" * 100, grpc.StatusCode.INVALID_ARGUMENT, "check the exporter's protocol setting"),
        (GOOD[:-7], grpc.StatusCode.INVALID_ARGUMENT, "check the exporter's protocol setting"),
        (GOOD.replace(b"acme", b"\xff\xfe\xfd\xfc"), grpc.StatusCode.INVALID_ARGUMENT, "not UTF-8"),
        (bytes(100 * 1024**2), grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
    ],
    ids=["garbage", "truncated", "not UTF-8", "100 MB"],
)
def test_grpc_message_that_cannot_be_read_is_refused_with_advice(
    shared_server: ServerProcess, body: bytes, code: grpc.StatusCode, advice: str
) -> None:
    answered, message = call(shared_server, body)
    assert (answered, advice in message) == (code, True), message


def test_grpc_refuses_a_wrong_key_and_leaves_out_what_cannot_be_stored(shared_server: ServerProcess) -> None:
    code, message = call(shared_server, GOOD, ("authorization", "Bearer tcs_key_wrong"))
    assert (code, "unknown or revoked" in message) == (grpc.StatusCode.UNAUTHENTICATED, True)
    with grpc.insecure_channel(f"127.0.0.1:{shared_server.grpc_port}") as channel:
        answer = channel.unary_unary(TRACE_SERVICE)(export([span(start_ns=1), span()]), timeout=30)
    assert b"1 spans rejected: start 1970-01-01" in answer


def connect(server: ServerProcess) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def head(length: int, *more: str) -> bytes:
    lines = ("POST /v1/traces HTTP/1.1", "host: tocsin", "content-type: application/x-protobuf", *more)
    return "\r\n".join((*lines, f"content-length: {length}", "", "")).encode()


def first_line(connection: socket.socket) -> bytes:
    return connection.recv(65536).partition(b"\r\n")[0]


def test_slow_and_idle_connections_hold_up_nobody(shared_server: ServerProcess) -> None:
    with ExitStack() as open_connections:
        for _ in range(200):
            open_connections.enter_context(connect(shared_server))
        slow = [open_connections.enter_context(connect(shared_server)) for _ in range(20)]
        for byte in head(len(GOOD))[:40]:
            for connection in slow:
                connection.send(bytes([byte]))
        with shared_server.client(token="") as client:
            assert client.post("/v1/traces", content=export([span()]), headers=PROTOBUF).status_code == 200
        for connection in slow:
            connection.send(head(len(GOOD))[40:] + GOOD[:10])
        started = time.monotonic()
        with shared_server.client() as client:
            assert client.get("/api/v1/services").status_code == 200
        assert time.monotonic() - started < 5


def test_body_that_never_ends_is_given_up(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server({"TOCSIN_INGEST_MAX_BODY_SECONDS": "0.5"})
    with connect(server) as connection:
        connection.send(head(len(GOOD)) + GOOD[:10])
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"did not arrive within 0.5 s" in answer


def test_pipelined_requests_are_answered_in_order(shared_server: ServerProcess) -> None:
    with connect(shared_server) as connection:
        for _ in range(3):
            body = export([span()])
            connection.send(head(len(body)) + body)
        connection.send(head(3) + b"\xff\xff\xff")
        body = export([span()])
        connection.send(head(len(body), "connection: close") + body)
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answers)]
    assert statuses == [200, 200, 200, 400, 200]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(32),
        b"GET\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
        b"GET /%ff%00?a=%ff HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    ],
    ids=["TLS", "half a request line", "negative length", "bad chunk", "huge header", "odd path"],
)
def test_malformed_http_is_turned_away(shared_server: ServerProcess, sent: bytes) -> None:
    with connect(shared_server) as connection:
        try:
            connection.sendall(sent)
            line = first_line(connection)
        except ConnectionResetError:
            line = b""
    assert line in (b"", b"HTTP/1.1 400 Bad Request") or line.split()[1] in (b"303", b"404", b"431"), line
