from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.websockets import WebSocketDisconnect

import tocsin
from tocsin.sdk import agents
from tocsin.testing import Capture, CapturedSpan, capture_spans


@pytest.fixture
def captured() -> Iterator[Capture]:
    with capture_spans() as capture:
        yield capture


def client_of(app: Any, **settings: Any) -> TestClient:
    tocsin.instrument(app, service="shop", **settings)
    return TestClient(app, raise_server_exceptions=False)


def only(captured: Capture) -> CapturedSpan:
    (span,) = captured.spans
    return span


def scope_of(path: str = "/", **changes: Any) -> dict[str, Any]:
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [],
        "client": ("10.0.0.9", 5000), "server": ("10.0.0.1", 80), **changes,
    }  # fmt: skip


async def no_body() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def nowhere(message: Any) -> None:
    pass


# -- one request


def test_a_request_becomes_one_server_span_with_its_facts(captured: Capture) -> None:
    app = FastAPI()

    @app.get("/items/{item_id}")
    async def read_item(item_id: int) -> dict[str, int]:
        return {"item": item_id}

    client_of(app, tenant="header:X-Tenant-ID").get("/items/7?token=geheim&q=1", headers={"X-Tenant-ID": "acme"})
    span = only(captured)
    assert (span.name, span.kind, span.status, span.tenant) == ("GET /items/{item_id}", "server", "unset", "acme")
    span.attributes.pop("tocsin.background.duration", None)  # a busy machine takes its time to return
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/items/{item_id}",
        "http.response.status_code": 200,
        "http.response.body.size": 10,
        "url.path": "/items/7",
        "url.query": "token=REDACTED&q=1",
        "url.scheme": "http",
        "server.address": "testserver",
        "server.port": 80,
        "client.address": "testclient",
        "user_agent.original": "testclient",
        "network.protocol.version": "1.1",
        "tocsin.tenant": "acme",
        "tocsin.sample.reason": "head",
    }
    assert 0 < span.duration_seconds < 5


def test_a_request_is_counted_with_its_sizes(captured: Capture) -> None:
    app = FastAPI()

    @app.post("/orders")
    async def order(request: Request) -> PlainTextResponse:
        await request.body()
        return PlainTextResponse("created", 201)

    client_of(app, tenant="header:X-Tenant-ID").post("/orders", content=b"x" * 100, headers={"X-Tenant-ID": "globex"})
    (row,) = captured.requests
    assert (row.method, row.route, row.status, row.tenant, row.error_type) == ("POST", "/orders", 201, "globex", None)
    assert (row.count, row.request_bytes, row.response_bytes) == (1, 100, 7)


def test_a_body_without_a_length_is_added_up(captured: Capture) -> None:
    app = FastAPI()

    @app.post("/upload")
    async def upload(request: Request) -> int:
        return len(await request.body())

    client_of(app).post("/upload", content=(part for part in [b"a" * 10, b"b" * 20]))
    assert captured.requests[0].request_bytes == 30


def test_unknown_methods_share_one_name(captured: Capture) -> None:
    client_of(FastAPI()).request("BREW", "/pot")
    assert captured.requests[0].method == "_OTHER"


def test_methods_that_a_route_does_not_take_keep_its_template(captured: Capture) -> None:
    app = FastAPI()
    app.get("/items/{item_id}")(lambda item_id: item_id)
    client_of(app).delete("/items/7")
    assert only(captured).name == "DELETE /items/{item_id}"
    assert only(captured).attributes["http.response.status_code"] == 405


def test_the_literal_form_of_add_middleware_works(captured: Capture) -> None:
    app = FastAPI()
    app.add_middleware(tocsin.MonitoringMiddleware)
    app.include_router(tocsin.monitoring_router)
    assert TestClient(app).get("/api/v1/monitoring/health").json() == {"status": "healthy"}
    assert captured.find("GET /api/v1/monitoring/health").kind == "server"


def test_add_middleware_takes_settings(captured: Capture) -> None:
    app = FastAPI()
    app.add_middleware(tocsin.MonitoringMiddleware, tenant="header:X-Org", service="shop")
    TestClient(app).get("/", headers={"X-Org": "acme"})
    assert only(captured).tenant == "acme"


def test_a_plain_starlette_app_and_a_bare_asgi_callable_can_be_instrumented(captured: Capture) -> None:
    async def hello(request: Request) -> JSONResponse:
        return JSONResponse({"hello": request.path_params["name"]})

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    client_of(Starlette(routes=[Route("/hello/{name}", hello)])).get("/hello/acme")
    asyncio.run(tocsin.instrument(bare)(scope_of(), no_body, nowhere))
    assert [span.name for span in captured.spans] == ["GET /hello/{name}", "GET unmatched"]


def test_instrumenting_twice_and_adding_the_middleware_records_once(captured: Capture) -> None:
    app, sub = FastAPI(), FastAPI()
    sub.get("/inner")(lambda: "ok")
    tocsin.instrument(sub)
    app.mount("/sub", sub)
    app.add_middleware(tocsin.MonitoringMiddleware)
    app.add_middleware(tocsin.MonitoringMiddleware)
    tocsin.instrument(app)
    client_of(app).get("/sub/inner")
    assert [span.name for span in captured.spans] == ["GET /sub/inner"]
    assert sum(row.count for row in captured.requests) == 1


def test_an_app_that_has_started_cannot_be_instrumented() -> None:
    app = FastAPI()
    TestClient(app).get("/")
    with pytest.raises(RuntimeError, match="already started"):
        tocsin.instrument(app)


def test_disabled_monitoring_leaves_no_trace(captured: Capture) -> None:
    app = FastAPI()
    app.get("/")(lambda: "ok")
    assert client_of(app, enabled=False).get("/").status_code == 200
    assert not captured.spans
    assert not captured.requests


# -- errors


def failing_app() -> FastAPI:
    app = FastAPI()

    @app.get("/boom/{number}")
    async def boom(number: int) -> None:
        raise ValueError(f"number {number} is too large")

    @app.get("/unavailable")
    async def unavailable() -> None:
        raise HTTPException(503, "come back later")

    @app.get("/missing")
    async def missing() -> None:
        raise HTTPException(404)

    return app


def test_an_unhandled_exception_is_recorded_and_passes_on_untouched(captured: Capture) -> None:
    app = failing_app()
    tocsin.instrument(app)
    with pytest.raises(ValueError, match="number 7") as raised:
        TestClient(app).get("/boom/7")
    span = only(captured)
    assert (span.status, span.status_text) == ("error", "ValueError: number 7 is too large")
    assert (span.attributes["error.type"], span.attributes["http.response.status_code"]) == ("ValueError", 500)
    (event,) = span.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "ValueError"
    assert event.attributes["exception.message"] == "number 7 is too large"
    assert 'raise ValueError(f"number {number} is too large")' in event.attributes["exception.stacktrace"]
    assert len(event.attributes["tocsin.error.fingerprint"]) == 16
    assert raised.value.args == ("number 7 is too large",)


def test_the_fingerprint_is_the_same_for_the_same_fault(captured: Capture) -> None:
    client = client_of(failing_app())
    for path in ("/boom/1", "/boom/2"):
        client.get(path)
    first, second = (span.events[0].attributes["tocsin.error.fingerprint"] for span in captured.spans)
    assert first == second


def test_an_exception_that_a_handler_turns_into_500_is_still_named(captured: Capture) -> None:
    app = failing_app()
    app.add_exception_handler(ValueError, lambda request, error: PlainTextResponse("sorry", 500))
    client_of(app).get("/boom/1")
    assert only(captured).attributes["error.type"] == "ValueError"
    assert [event.name for event in only(captured).events] == ["exception"]
    assert captured.requests[0].error_type == "ValueError"


def test_an_http_error_is_named_by_its_status(captured: Capture) -> None:
    client = client_of(failing_app())
    client.get("/unavailable")
    client.get("/missing")
    unavailable, missing = captured.spans
    assert (unavailable.status, unavailable.attributes["error.type"]) == ("error", "503")
    assert (missing.status, missing.attributes.get("error.type")) == ("unset", None)


def test_an_exception_without_any_response_counts_as_500(captured: Capture) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("no answer")

    with pytest.raises(RuntimeError):
        asyncio.run(tocsin.instrument(broken)(scope_of(), no_body, nowhere))
    assert (captured.requests[0].status, captured.requests[0].error_type) == (500, "RuntimeError")
    assert not agents.all_agents()[0].live


# -- streams, background work, disconnects


def test_a_stream_ends_with_its_last_byte(captured: Capture) -> None:
    app = FastAPI()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> Any:
            for _ in range(4):
                await asyncio.sleep(0.02)
                yield b"0123456789"

        return StreamingResponse(parts())

    client_of(app).get("/stream")
    assert only(captured).duration_seconds >= 0.08
    assert only(captured).attributes["http.response.body.size"] == 40


def test_background_work_is_a_second_number(captured: Capture) -> None:
    app = FastAPI()

    @app.get("/export")
    async def export(tasks: BackgroundTasks) -> str:
        tasks.add_task(asyncio.sleep, 0.1)
        return "started"

    client_of(app).get("/export")
    span, row = captured.find("GET /export"), captured.requests[0]
    assert span.duration_seconds < 0.1
    assert span.attributes["tocsin.background.duration"] >= 0.1
    assert row.seconds < 0.1 <= row.background_seconds


def test_a_failing_background_task_keeps_the_trace_but_is_no_failed_request(captured: Capture) -> None:
    app = FastAPI()

    def fail() -> None:
        raise KeyError("later")

    @app.get("/export")
    async def export(tasks: BackgroundTasks) -> str:
        tasks.add_task(fail)
        return "started"

    client_of(app, sample_ratio=0.0, sample_minimum_per_second=0).get("/export")
    request = captured.find("GET /export")
    assert request.attributes["tocsin.background.error"] == "KeyError"
    assert request.attributes["tocsin.sample.reason"] == "error"
    assert (captured.requests[0].status, captured.requests[0].error_type) == (200, None)


def test_a_request_is_counted_while_its_background_work_still_runs(captured: Capture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
        await release.wait()

    release = asyncio.Event()

    async def drive() -> None:
        task = asyncio.create_task(tocsin.instrument(app)(scope_of(), no_body, nowhere))
        await asyncio.sleep(0.01)
        assert captured.requests[0].count == 1
        assert not captured.spans
        assert not agents.all_agents()[0].live
        release.set()
        await task

    asyncio.run(drive())
    assert only(captured).attributes["tocsin.background.duration"] > 0


def test_a_client_that_goes_away_is_no_error_and_leaves_nothing_active(captured: Capture) -> None:
    async def waits(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    asyncio.run(tocsin.instrument(waits)(scope_of(), gone, nowhere))
    span = only(captured)
    assert (span.attributes["http.response.status_code"], span.status) == (499, "unset")
    assert span.attributes["tocsin.client.disconnected"] is True
    assert not agents.all_agents()[0].live


def test_a_cancelled_request_leaves_nothing_active(captured: Capture) -> None:
    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def drive() -> None:
        task = asyncio.create_task(tocsin.instrument(waits)(scope_of(), no_body, nowhere))
        await asyncio.sleep(0.01)
        (agent,) = agents.all_agents()
        assert [figure.value for figure in agent.figures.all() if figure.name == "http.server.active_requests"] == [1]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not agent.live

    asyncio.run(drive())
    assert captured.requests[0].status == 499


def test_a_stream_that_the_server_refuses_ends_as_a_disconnect(captured: Capture) -> None:
    async def streams(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})

    async def broken_pipe(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(tocsin.instrument(streams)(scope_of(), no_body, broken_pipe))
    span = only(captured)
    assert span.attributes["tocsin.client.disconnected"] is True
    assert (span.status, span.attributes["http.response.status_code"]) == ("unset", 200)


def test_trailers_belong_to_the_response(captured: Capture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"ok"})
        await asyncio.sleep(0.03)
        await send({"type": "http.response.trailers", "headers": []})

    asyncio.run(tocsin.instrument(app)(scope_of(), no_body, nowhere))
    assert only(captured).duration_seconds >= 0.03


def test_active_requests_are_counted_by_tenant(captured: Capture) -> None:
    async def waits(scope: Any, receive: Any, send: Any) -> None:
        tocsin.set_tenant(scope["path"][1:])
        await release.wait()

    release = asyncio.Event()

    async def drive() -> dict[str, int | float]:
        app = tocsin.instrument(waits)
        tasks = [
            asyncio.create_task(app(scope_of(f"/{name}"), no_body, nowhere)) for name in ("acme", "acme", "globex")
        ]
        await asyncio.sleep(0.01)
        figures = agents.all_agents()[0].figures.all()
        release.set()
        await asyncio.gather(*tasks)
        active = [figure for figure in figures if figure.name == "http.server.active_requests"]
        return {figure.attributes.get("tocsin.tenant", ""): figure.value for figure in active}

    assert asyncio.run(drive()) == {"": 0, "acme": 2, "globex": 1}


def test_a_tenant_without_active_requests_is_told_so_once(captured: Capture) -> None:
    async def waits(scope: Any, receive: Any, send: Any) -> None:
        tocsin.set_tenant("acme")
        await release.wait()

    release = asyncio.Event()

    async def drive() -> list[dict[str, int | float]]:
        app = tocsin.instrument(waits)
        task = asyncio.create_task(app(scope_of("/"), no_body, nowhere))
        await asyncio.sleep(0.01)
        figures = agents.all_agents()[0].figures
        told = [figures.all()]
        release.set()
        await task
        told += [figures.all(), figures.all()]
        return [
            {one.attributes.get("tocsin.tenant", ""): one.value for one in each if one.name.endswith("active_requests")}
            for each in told
        ]

    assert asyncio.run(drive()) == [{"": 0, "acme": 1}, {"": 0, "acme": 0}, {"": 0}]


# -- websockets


def websocket_app() -> FastAPI:
    app = FastAPI()
    router = APIRouter(prefix="/chat")

    @router.websocket("/{room}")
    async def chat(websocket: WebSocket, room: str) -> None:
        if room == "closed":
            await websocket.close()
            return
        await websocket.accept()
        try:
            while True:
                text = await websocket.receive_text()
                if text == "boom":
                    raise RuntimeError("chat broke")
                await websocket.send_text(text)
        except WebSocketDisconnect:
            if room == "strict":
                raise

    app.include_router(router, prefix="/v1")
    return app


def test_a_websocket_is_one_span_until_it_closes(captured: Capture) -> None:
    client = client_of(websocket_app(), slow_seconds=0.0)
    with client.websocket_connect("/v1/chat/lobby") as session:
        session.send_text("hello")
        assert session.receive_text() == "hello"
    with contextlib.suppress(WebSocketDisconnect), client.websocket_connect("/v1/chat/strict") as session:
        session.send_text("hello")
    lobby, strict = captured.spans
    assert (lobby.name, lobby.status) == ("WS /v1/chat/{room}", "unset")
    assert lobby.attributes["http.response.status_code"] == 101
    assert lobby.attributes["network.protocol.name"] == "websocket"
    assert (strict.status, strict.events) == ("unset", [])


def test_a_refused_websocket_and_a_broken_one_are_told_apart(captured: Capture) -> None:
    client = client_of(websocket_app())
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/v1/chat/closed"):
        pass
    with contextlib.suppress(RuntimeError), client.websocket_connect("/v1/chat/lobby") as session:
        session.send_text("boom")
    refused, broken = captured.spans
    assert (refused.attributes["http.response.status_code"], refused.status) == (403, "unset")
    assert (broken.attributes["error.type"], broken.status) == ("RuntimeError", "error")


# -- tenant


def test_a_tenant_set_by_a_dependency_wins_over_what_the_client_claims(captured: Capture) -> None:
    app = FastAPI()

    def authenticated() -> None:  # runs in a thread
        tocsin.set_tenant("acme")

    @app.get("/", dependencies=[Depends(authenticated)])
    def read() -> str | None:
        with tocsin.span("inner"):
            return tocsin.current_tenant()

    answer = client_of(app, tenant="header:X-Tenant-ID").get("/", headers={"X-Tenant-ID": "globex"})
    assert answer.json() == "acme"
    assert {span.tenant for span in captured.spans} == {"acme"}
    assert captured.requests[0].tenant == "acme"


def test_claims_are_ignored_when_only_the_app_is_trusted(captured: Capture) -> None:
    app = FastAPI()
    app.get("/")(lambda: "ok")
    client_of(app, tenant="header:X-Tenant-ID", tenant_trusted_only=True).get("/", headers={"X-Tenant-ID": "globex"})
    assert only(captured).tenant is None


def test_tenants_in_the_path_and_by_callable_are_found(captured: Capture) -> None:
    def create() -> FastAPI:
        app = FastAPI()
        app.get("/orgs/{org_id}/items")(lambda org_id: tocsin.current_tenant())
        return app

    assert client_of(create(), tenant="path:org_id").get("/orgs/acme/items").json() == "acme"
    client_of(create(), tenant=lambda scope: scope["path"].split("/")[2]).get("/orgs/globex/items")
    assert [span.tenant for span in captured.spans] == ["acme", "globex"]


def test_a_tenant_callable_that_raises_hurts_nobody(captured: Capture) -> None:
    from tocsin.sdk import guard

    app = FastAPI()
    app.get("/")(lambda: "ok")
    assert client_of(app, tenant=lambda scope: scope["nothing"]).get("/").status_code == 200
    assert only(captured).tenant is None
    assert guard.faults.pop("tenant callable") >= 1


# -- sampling and slow requests


def test_numbers_are_exact_whatever_is_sampled(captured: Capture) -> None:
    app = failing_app()
    app.get("/")(lambda: "ok")
    client = client_of(app, sample_ratio=0.0, sample_minimum_per_second=0)
    for _ in range(50):
        client.get("/")
    client.get("/boom/1")
    assert sum(row.count for row in captured.requests) == 51
    assert [span.attributes["tocsin.sample.reason"] for span in captured.spans] == ["error"]


def test_the_callers_decision_is_honoured(captured: Capture) -> None:
    app = FastAPI()
    app.get("/")(lambda: "ok")
    client = client_of(app, sample_ratio=0.0, sample_minimum_per_second=0)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    client.get("/", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    client.get("/", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-00"})
    span = only(captured)
    assert (span.trace_id, span.parent_id) == (trace, "00f067aa0ba902b7")
    assert span.attributes["tocsin.sample.reason"] == "parent"


def test_a_slow_request_is_kept_whole_and_logged_once(captured: Capture, caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()

    @app.get("/report")
    async def report() -> str:
        with tocsin.span("query"):
            await asyncio.sleep(0.03)
        return "done"

    with caplog.at_level(logging.WARNING, "tocsin.slow"):
        client = client_of(app, sample_ratio=0.0, sample_minimum_per_second=0, slow_seconds=0.02, tenant="header:X-Org")
        client.get("/report", headers={"X-Org": "acme"})
        assert [span.name for span in captured.spans] == ["GET /report", "query"]
    assert captured.spans[0].attributes["tocsin.sample.reason"] == "slow"
    (record,) = caplog.records
    assert (record.route, record.tenant, record.status) == ("/report", "acme", 200)  # type: ignore[attr-defined]
    assert record.trace_id == captured.spans[0].trace_id  # type: ignore[attr-defined]
    assert record.duration_seconds >= 0.03  # type: ignore[attr-defined]


def test_a_stream_of_events_is_never_slow(captured: Capture, caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def parts() -> Any:
            await asyncio.sleep(0.03)
            yield b"data: 1\n\n"

        return StreamingResponse(parts(), media_type="text/event-stream")

    client_of(app, sample_ratio=0.0, sample_minimum_per_second=0, slow_seconds=0.02).get("/events")
    assert not captured.spans
    assert not caplog.records


# -- safety


def test_an_app_that_sends_nonsense_gets_the_servers_answer_not_ours(captured: Capture) -> None:
    from tocsin.sdk import guard

    async def nonsense(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start"})
        await send({"type": "http.response.body", "body": 7})

    asyncio.run(tocsin.instrument(nonsense)(scope_of(), no_body, nowhere))
    assert guard.faults
    guard.faults.clear()


def test_a_response_sent_twice_is_counted_once_and_calls_after_the_end_hurt_nobody(captured: Capture) -> None:
    async def eager(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x"})
        kept.append((receive, send))

    kept: list[Any] = []
    asyncio.run(tocsin.instrument(eager)(scope_of(), no_body, nowhere))
    receive, send = kept[0]
    assert asyncio.run(receive()) == {"type": "http.disconnect"}
    asyncio.run(send({"type": "http.response.body", "body": b"late"}))
    assert sum(row.count for row in captured.requests) == 1


def test_the_scope_is_let_go(captured: Capture) -> None:
    import gc
    import weakref

    class Held:
        pass

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    held = Held()
    gone = weakref.ref(held)
    gc.disable()
    try:
        asyncio.run(tocsin.instrument(app)(scope_of(held=held), no_body, nowhere))
        del held
        assert gone() is None  # by reference counting alone: no cycle is left behind
    finally:
        gc.enable()
    assert captured.spans
