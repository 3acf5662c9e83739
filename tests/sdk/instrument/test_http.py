"""HTTP clients watched from inside, against a real server that remembers what it was sent."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import tocsin
from tocsin.sdk import instrument
from tocsin.testing import Capture, CapturedSpan, capture_spans

ACME, GLOBEX = {"X-Tenant-ID": "acme"}, {"X-Tenant-ID": "globex"}


class Remembering:
    """A server that answers what its path says, such as `/404`, and `/moved` with a redirect."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        seen = self.seen

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                seen.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
                last = self.path.partition("?")[0].rpartition("/")[2]
                self.send_response(302 if last == "moved" else int(last) if last in ("404", "500") else 200)
                if last == "moved":
                    self.send_header("Location", "/users/8")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_POST = do_GET

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def remote() -> Iterator[Remembering]:
    running = Remembering()
    yield running
    running.close()


def with_httpx(method: str, url: str) -> int:
    library = pytest.importorskip("httpx")
    with library.Client(follow_redirects=True) as client:
        return int(client.request(method, url).status_code)


def with_httpx2(method: str, url: str) -> int:
    library = pytest.importorskip("httpx2")
    with library.Client(follow_redirects=True) as client:
        return int(client.request(method, url).status_code)


def with_httpx_async(method: str, url: str) -> int:
    library = pytest.importorskip("httpx")

    async def work() -> int:
        async with library.AsyncClient(follow_redirects=True) as client:
            return int((await client.request(method, url)).status_code)

    return asyncio.run(work())


def with_requests(method: str, url: str) -> int:
    library = pytest.importorskip("requests")
    with library.Session() as session:
        return int(session.request(method, url).status_code)


def with_urllib3(method: str, url: str) -> int:
    library = pytest.importorskip("urllib3")
    with library.PoolManager(retries=library.Retry(redirect=5, connect=0)) as pool:
        return int(pool.request(method, url).status)


def with_aiohttp(method: str, url: str) -> int:
    library = pytest.importorskip("aiohttp")

    async def work() -> int:
        async with library.ClientSession() as session, session.request(method, url) as response:
            await response.read()
            return int(response.status)

    return asyncio.run(work())


CLIENTS = [with_httpx, with_httpx2, with_httpx_async, with_requests, with_urllib3, with_aiohttp]
each_client = pytest.mark.parametrize("call", CLIENTS, ids=lambda call: call.__name__.removeprefix("with_"))
Call = Callable[[str, str], int]


def serve(handler: Callable[..., Any], **settings: Any) -> TestClient:
    app = FastAPI()
    tocsin.instrument(app, tenant="header:X-Tenant-ID", **settings)
    app.include_router(tocsin.metrics_router)
    app.get("/work")(handler)
    return TestClient(app, raise_server_exceptions=False)


def calls(captured: Capture) -> list[CapturedSpan]:
    return [span for span in captured.spans if span.kind == "client"]


@each_client
def test_a_call_is_a_span_and_the_trace_goes_with_it(call: Call, remote: Remembering) -> None:
    def handler() -> int:
        return call("GET", f"{remote.url}/users/7?token=s3cret")

    client = serve(handler)
    with capture_spans() as captured:
        assert client.get("/work", headers=ACME).json() == 200
        [span] = calls(captured)
        request = captured.find("GET /work")
        told = str(captured.spans)
    assert (span.name, span.parent, span.tenant) == ("GET /users/{id}", "GET /work", "acme")
    assert span.attributes["url.template"] == "/users/{id}"
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["server.address"] == "127.0.0.1"
    assert "s3cret" not in told
    [(_, path, headers)] = remote.seen
    assert path == "/users/7?token=s3cret"
    assert headers["traceparent"] == f"00-{request.trace_id}-{span.span_id}-01"


@each_client
def test_numbers_go_by_host_method_status_and_tenant(call: Call, remote: Remembering) -> None:
    def handler(path: str) -> int:
        return call("GET", f"{remote.url}/{path}")

    client = serve(handler)
    with capture_spans() as captured:
        for path in ("users/1", "users/2", "404"):
            client.get("/work", params={"path": path}, headers=ACME)
        client.get("/work", params={"path": "500"}, headers=GLOBEX)
        failed = [span.attributes["error.type"] for span in calls(captured) if span.status == "error"]
    assert sorted(failed) == ["404", "500"]
    shown = client.get("/metrics").text
    assert (
        'http_client_requests_total{error_type="404",host="127.0.0.1",method="GET",status="404",tenant="acme"} 1'
        in shown
    )
    assert 'http_client_requests_total{host="127.0.0.1",method="GET",status="200",tenant="acme"} 2' in shown
    assert 'http_client_request_duration_seconds_count{host="127.0.0.1",method="GET",status="500"} 1' in shown
    assert len(remote.seen) == 4


@each_client
def test_nobody_listening_is_an_error_that_passes_on(call: Call, free_tcp_port: int) -> None:
    def handler() -> str:
        try:
            call("GET", f"http://127.0.0.1:{free_tcp_port}/users/7")
        except Exception as error:  # noqa: BLE001  each client raises its own
            return type(error).__name__
        return "answered"

    client = serve(handler)
    with capture_spans() as captured:
        raised = client.get("/work").json()
        span = calls(captured)[0]
    assert raised != "answered"
    assert span.status == "error"
    assert "." in span.attributes["error.type"]
    assert "http.response.status_code" not in span.attributes


@each_client
def test_connecting_is_told_apart(call: Call, remote: Remembering) -> None:
    client = serve(lambda: call("GET", f"{remote.url}/a"))
    with capture_spans() as captured:
        client.get("/work")
        [span] = calls(captured)
    assert 0 < span.attributes["tocsin.http.connect_ms"] <= span.duration_seconds * 1e3


@each_client
def test_outside_of_any_request_no_trace_is_sent_and_the_call_is_counted(call: Call, remote: Remembering) -> None:
    client = serve(lambda: 1)
    assert call("POST", f"{remote.url}/a") == 200
    assert "traceparent" not in remote.seen[0][2]
    assert 'host="127.0.0.1",method="POST",status="200"} 1' in client.get("/metrics").text


@pytest.mark.parametrize("call", [with_httpx, with_requests, with_urllib3], ids=["httpx", "requests", "urllib3"])
def test_redirects_are_spans_of_their_own(call: Call, remote: Remembering) -> None:
    client = serve(lambda: call("GET", f"{remote.url}/moved"))
    with capture_spans() as captured:
        client.get("/work")
        spans = calls(captured)
    assert [span.attributes["http.response.status_code"] for span in spans] == [302, 200]
    sent = [headers["traceparent"].split("-")[2] for _, _, headers in remote.seen]
    assert sent[0] == spans[0].span_id
    assert len(sent) == 2


def test_a_trace_header_of_the_app_stays(remote: Remembering) -> None:
    httpx = pytest.importorskip("httpx")
    own = "00-11111111111111111111111111111111-2222222222222222-01"

    client = serve(lambda: httpx.get(f"{remote.url}/a", headers={"traceparent": own}).status_code)
    client.get("/work")
    assert remote.seen[0][2]["traceparent"] == own


def test_headers_given_to_requests_are_not_changed(remote: Remembering) -> None:
    requests = pytest.importorskip("requests")
    mine = {"X-Mine": "1"}

    client = serve(lambda: requests.get(f"{remote.url}/a", headers=mine, timeout=5).status_code)
    with capture_spans():
        client.get("/work")
    assert mine == {"X-Mine": "1"}
    assert remote.seen[0][2]["x-mine"] == "1"
    assert "traceparent" in remote.seen[0][2]


def test_endless_paths_and_hosts_are_bounded() -> None:
    from tocsin.sdk.instrument._http import Client

    client = Client("httpx")
    for number in range(3000):
        sent = client.begin(0, True, lambda *_: None)
        url = ("http", f"host-{chr(97 + number % 26) * (number // 26 + 1)}", None, "/x")
        client.end(sent, 0, "GET", url, 200, None)
    assert len(client._operations) <= 1002


def test_a_client_that_is_left_out_is_untouched() -> None:
    httpx = pytest.importorskip("httpx")
    before = httpx.HTTPTransport.handle_request
    serve(lambda: 1, instruments="sqlalchemy")
    assert httpx.HTTPTransport.handle_request is before
    assert instrument.states()["httpx"] == "off: left out in the settings"
