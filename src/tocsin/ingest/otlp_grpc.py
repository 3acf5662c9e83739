"""OTLP over gRPC: the three Export services, on bytes, without generated stubs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import grpc
import grpc.aio

from tocsin.ingest import counters
from tocsin.ingest.gate import Admission, Gate, Refused
from tocsin.ingest.taking import take
from tocsin.ingest.validate import parse
from tocsin.ingest.wire import partial_success, status
from tocsin.storage.telemetry.decode import Signal

SERVICES = {
    Signal.TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
    Signal.METRICS: "opentelemetry.proto.collector.metrics.v1.MetricsService",
    Signal.LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
}
CODES = {
    HTTPStatus.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
    # Senders retry RESOURCE_EXHAUSTED only with a RetryInfo beside it, which both of these carry.
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class OtlpGrpc:
    """A gRPC server that shares the event loop and the gate with HTTP."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        limit = gate.settings.max_message_bytes
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", limit), ("grpc.so_reuseport", 0)])
        for signal, service in SERVICES.items():
            handler: Any = grpc.unary_unary_rpc_method_handler(self._export(signal))
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))

    async def start(self, host: str, port: int) -> int:
        """Listen and answer the port that was bound. Raises OSError when it is taken."""
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(
                f"cannot listen for OTLP/gRPC on {address}: it is taken or not of this machine; choose another with "
                "--grpc-port, -1 turns it off"
            ) from error
        await self._server.start()
        return bound

    async def stop(self, grace_seconds: float = 2.0) -> None:
        await self._server.stop(grace_seconds)

    def _export(self, signal: Signal) -> Any:
        async def export(body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            try:
                answer = await self._take(signal, body, dict(context.invocation_metadata() or ()))
            except Refused as refused:
                counters.requests.labels(signal, "grpc", str(refused.status.value)).inc()
                code = CODES[refused.status]
                details = status(code.value[0], refused.message, refused.retry_seconds)
                await context.abort(code, refused.message, (("grpc-status-details-bin", details),))
                raise
            counters.requests.labels(signal, "grpc", "200").inc()
            return answer

        return export

    async def _take(self, signal: Signal, body: bytes, metadata: dict[str, Any]) -> bytes:
        key = self._gate.authenticate(_secret(metadata))

        def admit(body: bytes) -> Admission:
            return self._gate.admit(signal, body, parse(signal, body), key)

        checked = await take(self._gate, signal, body, admit)
        return partial_success(checked.rejected, checked.explanation) if checked.explanation else b""


def _secret(metadata: dict[str, Any]) -> str:
    kind, _, value = str(metadata.get("authorization", "")).partition(" ")
    if kind.lower() == "bearer" and value:
        return value.strip()
    return str(metadata.get("x-tocsin-key", "")).strip()
