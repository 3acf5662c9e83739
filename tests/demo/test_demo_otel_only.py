"""The app on OpenTelemetry alone sends what any OpenTelemetry product would send."""

from __future__ import annotations

import json

import pytest
from demo.otel_only import create_otel_app, otlp_json
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode


def _spans(path: str, method: str = "GET") -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    app = create_otel_app("http-protobuf", exporter)
    TestClient(app, raise_server_exceptions=False).request(method, path, headers={"X-Tenant-ID": "globex"})
    app.state.tracer_provider.shutdown()
    return list(exporter.get_finished_spans())


def test_server_span_carries_route_and_tenant() -> None:
    [server] = [span for span in _spans("/orders/7") if span.kind is SpanKind.SERVER]
    assert server.name == "GET /orders/{order_id}"
    assert server.attributes is not None
    assert server.attributes["tenant.id"] == "globex"
    assert server.resource.attributes["service.name"] == "orders-http-protobuf"


def test_unhandled_error_is_recorded_with_its_exception() -> None:
    [server] = [span for span in _spans("/orders/7/ship", "POST") if span.kind is SpanKind.SERVER]
    assert server.status.status_code is StatusCode.ERROR


def test_json_has_ids_in_hex_and_enums_as_numbers() -> None:
    spans = _spans("/orders/7")
    sent = json.loads(otlp_json(spans))
    written = [span for scope in sent["resourceSpans"][0]["scopeSpans"] for span in scope["spans"]]
    assert {span["traceId"] for span in written} == {f"{spans[0].context.trace_id:032x}"}
    assert 2 in {span["kind"] for span in written}


@pytest.mark.parametrize("exporter", ["http-protobuf", "http-json", "grpc"])
def test_each_exporter_can_be_chosen(exporter: str) -> None:
    app = create_otel_app(exporter)  # type: ignore[arg-type]  # the three literals, from the parametrisation
    assert app.state.tracer_provider.resource.attributes["service.name"] == f"orders-{exporter}"
    app.state.tracer_provider.shutdown()
