from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import propagate, trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

import tocsin
from tocsin.sdk import agents
from tocsin.testing import Capture, capture_spans


@pytest.fixture
def captured() -> Iterator[Capture]:
    with capture_spans() as capture:
        yield capture


def tracer() -> trace.Tracer:
    (agent,) = agents.all_agents()
    return agent.provider.get_tracer("library", "1.0")


def test_spans_of_the_opentelemetry_api_are_kept_with_everything_said(captured: Capture) -> None:
    with tracer().start_as_current_span("query", kind=SpanKind.CLIENT, attributes={"db.system": "sqlite"}) as span:
        span.set_attribute("rows", 3)
        span.set_attributes({"tables": ["a", "b"], "nothing": None})  # type: ignore[dict-item]
        span.add_event("cache.miss", {"key": "k"})
        span.add_link(trace.SpanContext(7, 8, True))
        span.update_name("SELECT items")
        span.set_status(Status(StatusCode.ERROR, "locked"))
    (seen,) = captured.spans
    assert (seen.name, seen.kind, seen.scope) == ("SELECT items", "client", "library")
    assert (seen.status, seen.status_text) == ("error", "locked")
    assert seen.attributes["tables"] == ["a", "b"]
    assert (seen.attributes["db.system"], seen.attributes["rows"]) == ("sqlite", 3)
    assert "nothing" not in seen.attributes
    assert [(event.name, event.attributes) for event in seen.events] == [("cache.miss", {"key": "k"})]


def test_an_exception_is_recorded_once_and_passes_on(captured: Capture) -> None:
    with pytest.raises(ValueError, match="no"), tracer().start_as_current_span("work"):
        raise ValueError("no")
    with pytest.raises(ValueError, match="no"), tracer().start_span("work"):
        raise ValueError("no")
    for span in captured.spans:
        assert (span.status, len(span.events)) == ("error", 1)


def test_nothing_changes_after_the_end(captured: Capture) -> None:
    span = tracer().start_span("work")
    span.end()
    span.set_attribute("late", 1)
    span.add_event("late")
    span.update_name("late")
    span.set_status(StatusCode.ERROR)
    span.end()
    assert not span.is_recording()
    (seen,) = captured.spans
    assert (seen.name, seen.status, seen.events, "late" in seen.attributes) == ("work", "unset", [], False)


def test_ok_is_final(captured: Capture) -> None:
    span = tracer().start_span("work")
    span.set_status(StatusCode.OK)
    span.set_status(StatusCode.ERROR, "too late")
    span.end()
    assert captured.spans[0].status == "ok"


def traced_app(**settings: Any) -> TestClient:
    app = FastAPI()

    @app.get("/")
    async def read() -> dict[str, str]:
        library = trace.get_tracer("library")
        with library.start_as_current_span("outer"), tocsin.span("inner", size=1):
            headers: dict[str, str] = {}
            propagate.inject(headers)
        return headers

    @app.get("/sync")
    def read_sync() -> None:
        with tocsin.span("in a thread"):
            pass

    @app.get("/tasks")
    async def tasks() -> None:
        async def job(name: str) -> None:
            with tocsin.span(name):
                await asyncio.sleep(0)

        await asyncio.gather(job("first"), job("second"))
        with ThreadPoolExecutor() as pool:
            pool.submit(tocsin.wrap(lambda: asyncio.run(job("wrapped")))).result()

    tocsin.instrument(app, tenant="header:X-Org", **settings)
    return TestClient(app)


def test_spans_made_inside_a_request_are_its_children_and_carry_its_tenant(captured: Capture) -> None:
    traced_app().get("/", headers={"X-Org": "acme"})
    request, outer, inner = captured.spans
    assert (outer.parent, inner.parent) == ("GET /", "outer")
    assert {span.trace_id for span in captured.spans} == {request.trace_id}
    assert {span.tenant for span in captured.spans} == {"acme"}
    assert {span.attributes["tocsin.tenant"] for span in captured.spans} == {"acme"}


def test_the_trace_goes_on_to_the_next_service(captured: Capture) -> None:
    incoming = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{incoming}-00f067aa0ba902b7-01", "tracestate": "vendor=1"}
    answer = traced_app().get("/", headers=headers).json()
    inner = captured.find("inner")
    assert answer["traceparent"] == f"00-{incoming}-{inner.span_id}-01"
    assert answer["tracestate"] == "vendor=1"
    assert captured.find("GET /").parent_id == "00f067aa0ba902b7"


def test_an_unsampled_trace_says_so_to_the_next_service(captured: Capture) -> None:
    answer = traced_app(sample_ratio=0.0, sample_minimum_per_second=0).get("/").json()
    assert answer["traceparent"].endswith("-00")
    assert not captured.spans


def test_threads_and_tasks_of_a_request_belong_to_it(captured: Capture) -> None:
    client = traced_app()
    client.get("/sync")
    client.get("/tasks")
    parents = {span.name: span.parent for span in captured.spans}
    assert parents["in a thread"] == "GET /sync"
    assert parents["first"] == parents["second"] == parents["wrapped"] == "GET /tasks"


def test_a_job_outside_of_requests_is_a_trace_of_its_own(captured: Capture) -> None:
    def job() -> None:
        tocsin.set_tenant("globex")
        with tocsin.span("nightly"), tocsin.span("step"):
            pass

    tocsin.wrap(job)()
    assert [(span.name, span.parent, span.tenant) for span in captured.spans] == [
        ("nightly", None, "globex"),
        ("step", "nightly", "globex"),
    ]


def test_the_decorator_works_on_functions_and_coroutine_functions(captured: Capture) -> None:
    @tocsin.span("plain", part=1)
    def plain(value: int) -> int:
        return value + 1

    @tocsin.span("later")
    async def later() -> int:
        return plain(1)

    assert asyncio.run(later()) == 2
    assert [(span.name, span.parent) for span in captured.spans] == [("later", None), ("plain", "later")]
    assert plain.__name__ == "plain"


def test_spans_and_attributes_of_a_trace_are_bounded_and_losses_counted() -> None:
    app = FastAPI()

    @app.get("/")
    async def read() -> None:
        for number in range(50):
            with tocsin.span("step") as span:
                for key in range(20):
                    span.set_attribute(f"key{key}", "x" * 1000)
                span.add_event(f"event {number}")

    tocsin.instrument(app, spans_per_trace=10, attributes_per_span=5, attribute_characters=100)
    with capture_spans() as captured:
        TestClient(app).get("/")
        assert len(captured.spans) == 10
        step = captured.spans[1]
    assert [len(value) for key, value in step.attributes.items() if key.startswith("key")] == [100] * 5
    assert agents.all_agents()[0].exporter.dropped["traces", "trace_limit"] == 41


def test_an_endless_trace_does_not_grow(captured: Capture) -> None:
    root = tracer().start_span("consumer")
    with trace.use_span(root):
        root.get_span_context()  # the head decision is taken
        for _ in range(500):
            tracer().start_span("message").end()
        assert len(root.children or ()) < 100  # type: ignore[attr-defined]
    root.end()
    assert len(captured.spans) == 501


def test_a_span_that_ends_after_its_request_is_kept_with_it(captured: Capture) -> None:
    root = tracer().start_span("request")
    with trace.use_span(root):
        late = tracer().start_span("late")
    root.end()
    late.end()
    assert captured.find("late").parent == "request"


def test_many_threads_lose_no_span(captured: Capture) -> None:
    root = tracer().start_span("root")

    def work() -> None:
        with trace.use_span(root):
            for _ in range(50):
                tracer().start_span("step").end()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    root.end()
    assert len(captured.spans) == 401


def test_links_and_the_given_times_are_kept() -> None:
    with capture_spans():
        link = Link(trace.SpanContext(1, 2, True), {"why": "batch"})
        span = tracer().start_span("work", links=[link], start_time=1_000)
        span.end(5_000)
        (agent,) = agents.all_agents()
        (kept,) = agent.exporter.queue
    assert (kept.start_ns, kept.end_ns, list(kept.links or ())) == (1_000, 5_000, [link])


def test_a_span_without_any_agent_does_nothing() -> None:
    with tocsin.span("nothing") as span:
        assert not span.is_recording()
