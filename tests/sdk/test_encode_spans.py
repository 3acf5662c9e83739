from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import Link, SpanKind

import tocsin
from sdk.receiver import attributes_of
from tocsin.sdk import agents
from tocsin.testing import capture_spans


@pytest.fixture(autouse=True)
def _captured() -> Iterator[None]:
    with capture_spans():
        yield


def exported() -> tuple[Any, list[Any]]:
    """The official decoder's view of what is queued: (resource, spans)."""
    agent = agents.all_agents()[-1]
    agent.digest()
    queue = agent.exporter.queue
    body = agent._encode_spans([queue.popleft() for _ in range(len(queue))])
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    return resource, [span for scope in resource.scope_spans for span in scope.spans]


def test_the_official_decoder_reads_a_request_span() -> None:
    app = FastAPI()
    app.get("/items/{item_id}")(lambda item_id: item_id)
    tocsin.instrument(
        app, service="shop", release="1.2", environment="staging", tenant="header:X-Org", attribute_characters=100
    )
    began = time.time_ns()
    headers = {
        "X-Org": "acme",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": "a=1",
    }
    TestClient(app).get("/items/ü?password=x&plain=1", headers=headers)
    resource, (span,) = exported()
    assert (span.name, span.kind, span.trace_state) == ("GET /items/{item_id}", 2, "a=1")
    assert span.trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert (span.parent_span_id.hex(), len(span.span_id)) == ("00f067aa0ba902b7", 8)
    assert began - 5_000_000 < span.start_time_unix_nano <= span.end_time_unix_nano < time.time_ns() + 5_000_000
    attributes = attributes_of(span)
    assert attributes["url.path"] == "/items/ü"
    assert attributes["url.query"] == "password=REDACTED&plain=1"
    assert attributes["tocsin.sample.reason"] == "parent"
    about = attributes_of(resource.resource)
    assert (about["service.name"], about["service.version"], about["deployment.environment.name"]) == (
        "shop",
        "1.2",
        "staging",
    )
    assert (about["telemetry.sdk.name"], about["telemetry.sdk.language"]) == ("tocsin", "python")
    assert {"service.instance.id", "host.name", "process.pid", "telemetry.sdk.version"} <= set(about)


def test_the_official_decoder_reads_spans_of_the_api() -> None:
    tracer = agents.all_agents()[0].provider.get_tracer("library", "1.5")
    link = Link(trace.SpanContext(1, 2, True, trace_state=trace.TraceState([("a", "1")])), {"why": "batch"})
    with tracer.start_as_current_span(
        "work", kind=SpanKind.PRODUCER, links=[link], attributes={"list": [1, 2]}
    ) as span:
        span.add_event("step", {"n": 1}, timestamp=123)
        for number in range(100):
            span.set_attribute(f"k{number}", number)
        span.record_exception(ValueError("no"))
    resource, (seen,) = exported()
    assert (resource.scope_spans[0].scope.name, resource.scope_spans[0].scope.version) == ("library", "1.5")
    assert (seen.kind, seen.dropped_attributes_count, len(seen.attributes)) == (4, 37, 65)
    assert (seen.events[0].name, seen.events[0].time_unix_nano, attributes_of(seen.events[0])) == (
        "step",
        123,
        {"n": 1},
    )
    assert attributes_of(seen.events[1])["exception.type"] == "ValueError"
    (sent,) = seen.links
    assert (sent.trace_id.hex()[-1], sent.span_id.hex()[-1], sent.trace_state, attributes_of(sent)) == (
        "1", "2", "a=1", {"why": "batch"},
    )  # fmt: skip


def test_a_value_that_cannot_be_encoded_costs_its_own_span_only() -> None:
    from tocsin.sdk import guard

    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    for value in ("fine", Hostile()):
        with tocsin.span("work", value=value):
            pass
    _, spans = exported()
    assert [attributes_of(span)["value"] for span in spans] == ["fine"]
    assert guard.faults.pop("SpanEncoder.encode_span") == 1


def test_secrets_in_the_query_are_replaced_however_they_are_written() -> None:
    app = FastAPI()
    tocsin.instrument(app, redact=("token",))
    TestClient(app).get("/?TOKEN=a&%74oken=b&token&x=token")
    _, (span,) = exported()
    assert attributes_of(span)["url.query"] == "TOKEN=REDACTED&%74oken=REDACTED&token&x=token"


def test_what_only_few_requests_say_is_sent_with_them_and_not_with_the_next() -> None:
    app = FastAPI()

    @app.get("/{what}")
    async def read(what: str) -> None:
        span = trace.get_current_span()
        if what == "name":
            span.update_name("renamed")
        elif what == "status":
            span.set_status(trace.StatusCode.ERROR, "odd")
        elif what == "event":
            span.add_event("step")
        elif what == "attribute":
            span.set_attribute("part", 1)
        elif what == "link":
            span.add_link(trace.SpanContext(1, 2, True))

    tocsin.instrument(app)
    client = TestClient(app)
    for what in ("plain", "name", "status", "event", "attribute", "link", "plain"):
        client.get(f"/{what}")
    _, (plain, name, status, event, attribute, link, again) = exported()
    for span in (plain, again):
        assert (span.name, span.status.code, len(span.events), len(span.links)) == ("GET /{what}", 0, 0, 0)
        assert "part" not in attributes_of(span)
    assert (name.name, status.status.code, status.status.message) == ("renamed", 2, "odd")
    assert (event.events[0].name, attributes_of(attribute)["part"], len(link.links)) == ("step", 1, 1)


def test_a_trace_state_in_several_headers_is_one() -> None:
    app = FastAPI()
    app.get("/")(lambda: "ok")
    tocsin.instrument(app)
    parent = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    TestClient(app).get("/", headers=[parent, ("tracestate", "a=1"), ("tracestate", "b=2")])
    _, (span,) = exported()
    assert span.trace_state == "a=1,b=2"


def test_a_request_says_the_same_with_and_without_spans_below_it() -> None:
    app = FastAPI()

    @app.get("/items/{item_id}")
    def read(item_id: str, deep: bool = False) -> None:
        if deep:
            with tocsin.span("work"):
                pass

    tocsin.instrument(app, tenant="header:X-Org")
    client = TestClient(app)
    for query in ("deep=0", "deep=1"):
        client.get(f"/items/1?{query}", headers={"X-Org": "acme"})
    _, spans = exported()
    plain, deep = (span for span in spans if span.kind == 2)
    seen, expected = attributes_of(plain), attributes_of(deep)
    for facts in (seen, expected):
        facts.pop("tocsin.background.duration", None)  # a busy machine takes its time to return
    assert (seen.pop("url.query"), expected.pop("url.query")) == ("deep=0", "deep=1")
    assert (plain.name, len(plain.trace_id), len(plain.span_id)) == (deep.name, 16, 8)
    assert seen == expected
