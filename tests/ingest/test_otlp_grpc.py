"""OTLP over gRPC, spoken by a real client and by the official exporter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from serving import Ingest, grpc_server, ingest_of

from otlp import gauge, log_record, log_request, metric_request, number, span, trace_request
from tocsin.ingest.otlp_grpc import SERVICES
from tocsin.storage.telemetry.decode import Signal
from waiting import PATIENCE_SECONDS, eventually


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    with ingest_of(tmp_path, spool_bytes=20_000) as built:
        yield built


@pytest.fixture
def port(ingest: Ingest) -> Iterator[int]:
    with grpc_server(ingest.gate) as port:
        yield port


@pytest.fixture
def export(port: int) -> Iterator[Callable[..., bytes]]:
    """export(body, signal, **metadata) calls the server and answers its bytes."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:

        def export(
            body: bytes, signal: Signal = Signal.TRACES, compression: grpc.Compression | None = None, **metadata: str
        ) -> bytes:
            method: Any = channel.unary_unary(f"/{SERVICES[signal]}/Export")
            named = [(name.replace("_", "-"), value) for name, value in metadata.items()]
            answer: bytes = method(body, timeout=PATIENCE_SECONDS, metadata=named, compression=compression)
            return answer

        yield export


def refused(export: Callable[..., bytes], *arguments: Any, **metadata: str) -> tuple[grpc.StatusCode, Status]:
    with pytest.raises(grpc.RpcError) as caught:
        export(*arguments, **metadata)
    error: Any = caught.value
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    status = Status.FromString(details)
    assert status.message == error.details()
    assert status.code == error.code().value[0]
    return error.code(), status


@pytest.mark.parametrize(
    ("signal", "request_of"),
    [
        (Signal.TRACES, trace_request([span()])),
        (Signal.METRICS, metric_request([gauge("g", [number(1)])])),
        (Signal.LOGS, log_request([log_record()])),
    ],
)
def test_each_signal_has_its_service(
    export: Callable[..., bytes], ingest: Ingest, signal: Signal, request_of: Any
) -> None:
    assert export(request_of.SerializeToString(), signal) == b""
    if signal is Signal.METRICS:
        assert len(ingest.stored(Signal.SAMPLES)) == 1
    else:
        assert ingest.stored(signal) == [request_of.SerializeToString()]


def test_gzip_is_understood(export: Callable[..., bytes], ingest: Ingest) -> None:
    body = trace_request([span()]).SerializeToString()
    export(body, Signal.TRACES, grpc.Compression.Gzip)
    assert ingest.stored() == [body]


def test_partial_success_is_told(export: Callable[..., bytes]) -> None:
    answer = export(trace_request([span(), span(start_ns=1)]).SerializeToString())
    assert ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans == 1


def test_key_is_taken_from_either_metadata(tmp_path: Path) -> None:
    body = trace_request([span()]).SerializeToString()
    with (
        ingest_of(tmp_path, require_key=True) as closed,
        grpc_server(closed.gate) as port,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        method: Any = channel.unary_unary(f"/{SERVICES[Signal.TRACES]}/Export")
        method(body, timeout=PATIENCE_SECONDS, metadata=[("authorization", "Bearer good")])
        method(body, timeout=PATIENCE_SECONDS, metadata=[("x-tocsin-key", "good")])
        with pytest.raises(grpc.RpcError) as caught:
            method(body, timeout=PATIENCE_SECONDS)
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED


def test_wrong_key_is_final(export: Callable[..., bytes]) -> None:
    code, status = refused(export, b"", Signal.TRACES, None, authorization="Bearer bad")
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "unknown or revoked" in status.message
    assert not status.details


def test_garbage_is_an_invalid_argument(export: Callable[..., bytes]) -> None:
    code, status = refused(export, b"garbage")
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "not valid protobuf" in status.message


def delay_seconds(status: Status) -> int:
    info = RetryInfo()
    assert status.details[0].Unpack(info)
    return int(info.retry_delay.seconds)


def test_rate_limit_says_when_to_come_back(export: Callable[..., bytes]) -> None:
    export(trace_request([span() for _ in range(5)]).SerializeToString(), x_tocsin_key="slow")
    code, status = refused(export, trace_request([span()]).SerializeToString(), x_tocsin_key="slow")
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert delay_seconds(status) >= 3


def test_full_spool_says_when_to_come_back(export: Callable[..., bytes]) -> None:
    big = trace_request([span(attrs={"pad": "x" * 30_000})]).SerializeToString()
    code, status = refused(export, big)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert delay_seconds(status) == 5


def test_bodies_in_flight_are_bounded_as_over_http(tmp_path: Path) -> None:
    with (
        ingest_of(tmp_path, max_in_flight_bytes=1000) as small,
        grpc_server(small.gate) as port,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        method: Any = channel.unary_unary(f"/{SERVICES[Signal.TRACES]}/Export")
        body = trace_request([span(attrs={"pad": "x" * 2000})]).SerializeToString()
        with pytest.raises(grpc.RpcError) as caught:
            method(body, timeout=PATIENCE_SECONDS)
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        method(trace_request([span()]).SerializeToString(), timeout=PATIENCE_SECONDS)


def test_clients_that_cancel_harm_nobody(port: int, ingest: Ingest) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        method: Any = channel.unary_unary(f"/{SERVICES[Signal.TRACES]}/Export")
        for _ in range(30):
            call = method.future(trace_request([span()]).SerializeToString(), timeout=PATIENCE_SECONDS)
            threading.Event().wait(0.002)
            call.cancel()
        last = trace_request([span("last")]).SerializeToString()
        method(last, timeout=PATIENCE_SECONDS)
    eventually(lambda: last in ingest.stored(), "the last one is stored")


def test_port_in_use_is_named(port: int, ingest: Ingest) -> None:
    import asyncio

    from tocsin.ingest.otlp_grpc import OtlpGrpc

    async def start() -> None:
        await OtlpGrpc(ingest.gate).start("127.0.0.1", port)

    with pytest.raises(OSError, match=f"cannot listen for OTLP/gRPC on 127.0.0.1:{port}"):
        asyncio.run(start())


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_official_exporter_is_understood(port: int, ingest: Ingest, compression: grpc.Compression) -> None:
    exporter = OTLPSpanExporter(
        f"127.0.0.1:{port}", insecure=True, headers=(("authorization", "Bearer good"),), compression=compression
    )
    provider = TracerProvider(resource=Resource({"service.name": "official"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("GET /", attributes={"tenant.id": "acme"}):
        pass
    provider.shutdown()
    (message,) = ingest.stored()
    assert ExportTraceServiceRequest.FromString(message).resource_spans[0].scope_spans[0].spans[0].name == "GET /"
