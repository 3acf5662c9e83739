"""A tiny FastAPI product watched with the official OpenTelemetry SDK and nothing of Tocsin.

The exporters are used at their defaults: OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS say where to and
with which key, and without them it is loopback, port 4318 for HTTP and 4317 for gRPC.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from fastapi import FastAPI, Header, HTTPException
from google.protobuf.json_format import MessageToDict
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

Exporter = Literal["http-protobuf", "http-json", "grpc"]


class JsonSpanExporter(SpanExporter):
    """OTLP over HTTP as JSON: the SDK's own encoding, with ids in hex as the protocol's JSON mapping wants them."""

    def __init__(self, endpoint: str | None = None, headers: dict[str, str] | None = None) -> None:
        base = endpoint or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
        self._url = f"{base.rstrip('/')}/v1/traces"
        self._headers = {"content-type": "application/json"} | (
            _headers_from_environment() if headers is None else headers
        )

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        request = urllib.request.Request(self._url, otlp_json(spans), self._headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=5):
                return SpanExportResult.SUCCESS
        except (urllib.error.URLError, TimeoutError):
            return SpanExportResult.FAILURE


def otlp_json(spans: Sequence[ReadableSpan]) -> bytes:
    """An ExportTraceServiceRequest in OTLP's JSON mapping."""
    message = MessageToDict(encode_spans(spans), use_integers_for_enums=True)
    _write_ids_in_hex(message)
    return json.dumps(message).encode()


def create_otel_app(exporter: Exporter, span_exporter: SpanExporter | None = None) -> FastAPI:
    """The app, sending spans every 200 ms; it sets `tenant.id` on its spans from the X-Tenant-ID header."""
    # FastAPI's own telemetry would record every request a second time.
    app = FastAPI(title="Orders", telemetry={"tracing": False, "metrics": False, "logs": False})
    provider = TracerProvider(
        resource=Resource.create(
            {"service.name": f"orders-{exporter}", "service.version": "0.9.1", "deployment.environment.name": "demo"}
        )
    )
    provider.add_span_processor(
        BatchSpanProcessor(span_exporter or _span_exporter(exporter), schedule_delay_millis=200)
    )
    tracer = provider.get_tracer("orders")
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
    app.state.tracer_provider = provider

    @app.get("/orders/{order_id}")
    async def show_order(order_id: int, x_tenant_id: Annotated[str, Header()] = "acme") -> dict[str, object]:
        trace.get_current_span().set_attribute("tenant.id", x_tenant_id)
        with tracer.start_as_current_span("load order", attributes={"tenant.id": x_tenant_id}):
            await asyncio.sleep(0.005)
        if order_id == 0:
            raise HTTPException(404, "no order 0")
        return {"order_id": order_id, "tenant": x_tenant_id}

    @app.post("/orders/{order_id}/ship")
    async def ship_order(order_id: int, x_tenant_id: Annotated[str, Header()] = "acme") -> None:
        trace.get_current_span().set_attribute("tenant.id", x_tenant_id)
        raise RuntimeError(f"cannot ship order {order_id}: the carrier has no account for {x_tenant_id}")

    return app


def _span_exporter(exporter: Exporter) -> SpanExporter:
    if exporter == "http-json":
        return JsonSpanExporter()
    if exporter == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter(insecure=True)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

    return HttpExporter()


def _headers_from_environment() -> dict[str, str]:
    pairs = os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "").split(",")
    parts = (pair.partition("=") for pair in pairs)
    # As the official exporters read them: values are URL-encoded, so that "Bearer key" can stand there at all.
    return {name.strip(): unquote(value).strip() for name, _, value in parts if name.strip()}


def _write_ids_in_hex(node: Any) -> None:
    if isinstance(node, list):
        for item in node:
            _write_ids_in_hex(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in ("traceId", "spanId", "parentSpanId"):
                node[key] = base64.b64decode(value).hex()
            else:
                _write_ids_in_hex(value)
