from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.testclient import TestClient
from opentelemetry import metrics, trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import tocsin
from tocsin.sdk.trace import TocsinTracerProvider
from tocsin.testing import Capture, capture_spans
from waiting import eventually


@pytest.fixture
def captured() -> Iterator[Capture]:
    with capture_spans() as capture:
        yield capture


@pytest.fixture
def foreign() -> InMemorySpanExporter:
    """An OpenTelemetry SDK that the product has set up globally."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


def fastapi_app(**arguments: Any) -> FastAPI:
    app = FastAPI(**arguments)

    @app.get("/items/{item_id}")
    async def read(item_id: int, tasks: BackgroundTasks) -> int:
        with trace.get_tracer("library").start_as_current_span("inner"):
            return item_id

    sub = FastAPI()
    sub.get("/{name}")(lambda name: name)
    app.mount("/sub", sub)
    return app


async def hello(request: Any) -> PlainTextResponse:
    with trace.get_tracer("library").start_as_current_span("inner"):
        return PlainTextResponse("hello")


def starlette_app() -> Starlette:
    return Starlette(routes=[Route("/items/{item_id}", hello)])


def counted(captured: Capture) -> list[tuple[str, str | None, int]]:
    return [(row.route, row.tenant, row.count) for row in captured.requests]


def ask(app: Any, path: str = "/items/7") -> None:
    with TestClient(app) as client:
        assert client.get(path, headers={"X-Org": "acme"}).status_code == 200


def ours(captured: Capture, kind: str = "server") -> list[str]:
    return [span.name for span in captured.spans if span.kind == kind]


def theirs(exporter: InMemorySpanExporter, kind: SpanKind = SpanKind.SERVER) -> list[Any]:
    return [span for span in exporter.get_finished_spans() if span.kind is kind]


COUNTED = [("/items/{item_id}", "acme", 1)]


def test_alone_ours_is_the_global_provider_and_native_telemetry_stays_asleep(captured: Capture) -> None:
    app = tocsin.instrument(fastapi_app(), tenant="header:X-Org")
    ask(app)
    ask(app, "/sub/x")
    assert isinstance(trace.get_tracer_provider(), TocsinTracerProvider)
    assert [(span.name, span.parent) for span in captured.spans] == [
        ("GET /items/{item_id}", None),
        ("inner", "GET /items/{item_id}"),
        ("GET /sub/{name}", None),
    ]


def test_a_second_app_of_the_process_is_recorded_once_too(captured: Capture) -> None:
    ask(tocsin.instrument(fastapi_app(), service="one"))
    ask(tocsin.instrument(fastapi_app(), service="two"))
    assert ours(captured) == ["GET /items/{item_id}"] * 2


def test_native_telemetry_of_an_app_with_an_sdk_records_and_ours_only_counts(
    captured: Capture, foreign: InMemorySpanExporter
) -> None:
    ask(tocsin.instrument(fastapi_app(), tenant="header:X-Org"))
    (span,) = theirs(foreign)
    assert (span.name, span.attributes["tocsin.tenant"]) == ("GET /items/{item_id}", "acme")
    assert ours(captured) == []
    assert counted(captured) == COUNTED


def test_native_metrics_begin_when_a_provider_comes_after_the_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    app = tocsin.instrument(fastapi_app(), metrics_seconds=0.05)
    with TestClient(app) as client:
        client.get("/items/7")
        assert not app._native_telemetry.enabled()
        reader = InMemoryMetricReader()
        provider = MeterProvider([reader])
        monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", provider)
        eventually(app._native_telemetry.enabled, "native telemetry is awake")
        client.get("/items/7")
    data = reader.get_metrics_data()
    assert data is not None
    (point,) = (
        point
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if metric.name == "http.server.request.duration"
    )
    assert (point.attributes["http.route"], point.count) == ("/items/{item_id}", 1)
    provider.shutdown()


def test_native_metrics_of_a_provider_that_is_there_or_named_go_on(captured: Capture) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    app = fastapi_app(telemetry={"meter_provider": provider})
    ask(tocsin.instrument(app))
    assert reader.get_metrics_data() is not None
    assert ours(captured) == ["GET /items/{item_id}"]
    provider.shutdown()


def test_native_telemetry_on_our_own_provider_is_recorded_by_us_once(captured: Capture) -> None:
    from tocsin.sdk.agents import all_agents

    (agent,) = all_agents()
    app = fastapi_app(telemetry={"tracer_provider": agent.provider, "operation_spans": False})
    ask(tocsin.instrument(app, tenant="header:X-Org"))
    assert ours(captured) == ["GET /items/{item_id}"]
    assert captured.find("inner").parent == "GET /items/{item_id}"
    assert {span.tenant for span in captured.spans} == {"acme"}
    assert counted(captured) == COUNTED


def test_an_sdk_that_records_no_requests_keeps_its_spans_and_we_record_the_request(
    captured: Capture, foreign: InMemorySpanExporter
) -> None:
    ask(tocsin.instrument(starlette_app(), tenant="header:X-Org"))
    (inner,) = theirs(foreign, SpanKind.INTERNAL)
    assert inner.parent is None
    assert ours(captured) == ["GET /items/{item_id}"]
    assert not isinstance(trace.get_tracer_provider(), TocsinTracerProvider)


@pytest.mark.parametrize("contrib_first", [True, False])
def test_contrib_instrumentation_with_an_sdk_records_and_ours_only_counts(
    captured: Capture, foreign: InMemorySpanExporter, contrib_first: bool
) -> None:
    app = fastapi_app(telemetry={"tracing": False})
    steps = [FastAPIInstrumentor.instrument_app, lambda app: tocsin.instrument(app, tenant="header:X-Org")]
    for step in steps if contrib_first else steps[::-1]:
        step(app)
    try:
        ask(app)
    finally:
        FastAPIInstrumentor.uninstrument_app(app)
    (span,) = theirs(foreign)
    assert span.parent is None
    assert ours(captured) == []
    assert counted(captured) == COUNTED


@pytest.mark.parametrize("contrib_first", [True, False])
def test_contrib_instrumentation_without_an_sdk_feeds_us_once(captured: Capture, contrib_first: bool) -> None:
    app = fastapi_app()
    steps = [FastAPIInstrumentor.instrument_app, lambda app: tocsin.instrument(app, tenant="header:X-Org")]
    for step in steps if contrib_first else steps[::-1]:
        step(app)
    try:
        ask(app)
    finally:
        FastAPIInstrumentor.uninstrument_app(app)
    assert len(ours(captured)) == 1
    assert {span.tenant for span in captured.spans} == {"acme"}
    assert counted(captured) == COUNTED


@pytest.mark.parametrize("theirs_inside", [True, False])
def test_starlettes_middleware_with_an_sdk_records_and_ours_only_counts(
    captured: Capture, foreign: InMemorySpanExporter, theirs_inside: bool
) -> None:
    app = starlette_app()
    app.add_middleware(OpenTelemetryMiddleware)
    if theirs_inside:
        app.add_middleware(tocsin.MonitoringMiddleware, tenant="header:X-Org")
    else:
        app.user_middleware.reverse()
        app = starlette_app()
        app.add_middleware(tocsin.MonitoringMiddleware, tenant="header:X-Org")
        app.add_middleware(OpenTelemetryMiddleware)
    ask(app)
    assert [span.name for span in theirs(foreign)] == ["GET /items/{item_id}"]
    assert ours(captured) == []
    assert counted(captured) == COUNTED


def test_starlettes_middleware_without_an_sdk_feeds_us_once(captured: Capture) -> None:
    app = starlette_app()
    app.add_middleware(OpenTelemetryMiddleware)
    ask(tocsin.instrument(app, tenant="header:X-Org"))
    assert ours(captured) == ["GET /items/{item_id}"]
    assert counted(captured) == COUNTED


def test_a_provider_set_while_the_app_starts_wins(captured: Capture) -> None:
    from collections.abc import AsyncIterator
    from contextlib import asynccontextmanager

    provider = TracerProvider()

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        trace.set_tracer_provider(provider)
        yield

    ask(tocsin.instrument(Starlette(routes=[Route("/items/{item_id}", hello)], lifespan=lifespan)))
    assert trace.get_tracer_provider() is provider


def test_a_request_inside_a_test_s_own_span_stays_below_it(captured: Capture) -> None:
    client = TestClient(tocsin.instrument(starlette_app()))
    client.get("/items/1")
    captured.clear()
    with tocsin.span("my test"):
        client.get("/items/7")
    assert captured.find("GET /items/{item_id}").parent_id == captured.find("my test").span_id


def test_an_app_called_in_process_by_another_apps_handler_is_a_request_of_its_own(captured: Capture) -> None:
    import asyncio

    from sdk.test_middleware import no_body, nowhere, scope_of

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    called = tocsin.instrument(inner)

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        await called(scope_of("/inner"), no_body, nowhere)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    asyncio.run(tocsin.instrument(outer)(scope_of("/outer"), no_body, nowhere))
    first, second = captured.spans
    assert (second.parent_id, second.kind) == (first.span_id, "server")
    assert sum(row.count for row in captured.requests) == 2
