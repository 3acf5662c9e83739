"""httpx: every request of its clients, redirects one by one, with what connecting took where it tells."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.guard import guarded_hook
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._http import Client, Sent
from tocsin.sdk.settings import Settings

# Parts of a request, by the word that httpcore's trace has for them.
_PARTS = {
    "connect_tcp": "tocsin.http.connect_ms",
    "start_tls": "tocsin.http.tls_ms",
    "receive_response_headers": "tocsin.http.first_byte_ms",
}


class Instrument(_contract.Instrument):
    """Requests as spans and numbers, and the trace handed on."""

    modules = ("httpx",)
    contrib = "opentelemetry.instrumentation.httpx"

    def switch_on(self, settings: Settings) -> None:
        library = sys.modules[self.modules[0]]
        self._client = Client()
        # Transports to the network alone: a test client calls the app in its own process.
        self.patches.wrap(library.HTTPTransport, "handle_request", self._watch)
        self.patches.wrap(library.AsyncHTTPTransport, "handle_async_request", self._watch_async)

    def _watch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        begin, end = self._client.begin, self._client.end

        def handle_request(self: Any, request: Any) -> Any:
            headers = request.headers
            sent = begin("traceparent" in headers, headers.__setitem__)
            if sent is not None and "trace" not in request.extensions:
                request.extensions["trace"] = _part_timer(sent)
            try:
                response = original(self, request)
            except BaseException as error:
                end(sent, request.method, _url(request), 0, error)
                raise
            end(sent, request.method, _url(request), response.status_code, None)
            return response

        return handle_request

    def _watch_async(self, original: Callable[..., Any]) -> Callable[..., Any]:
        begin, end = self._client.begin, self._client.end

        async def handle_async_request(self: Any, request: Any) -> Any:
            headers = request.headers
            sent = begin("traceparent" in headers, headers.__setitem__)
            if sent is not None and "trace" not in request.extensions:
                request.extensions["trace"] = _async_part_timer(sent)
            try:
                response = await original(self, request)
            except BaseException as error:
                end(sent, request.method, _url(request), 0, error)
                raise
            end(sent, request.method, _url(request), response.status_code, None)
            return response

        return handle_async_request


def _url(request: Any) -> tuple[str, str, int | None, str]:
    url = request.url
    return url.scheme, url.host, url.port, url.path


def _part_timer(sent: Sent) -> Callable[[str, Any], None]:
    began: dict[str, int] = {}

    @guarded_hook
    def trace(event: str, _info: Any) -> None:
        part, _, state = event.rpartition(".")
        name = _PARTS.get(part.rpartition(".")[2])
        if name is not None:
            if state == "started":
                began[name] = perf_counter_ns()
            elif state == "complete" and name in began:
                sent.timings[name] = round((perf_counter_ns() - began[name]) / 1e6, 3)

    return trace


def _async_part_timer(sent: Sent) -> Callable[[str, Any], Any]:
    trace = _part_timer(sent)

    async def trace_async(event: str, info: Any) -> None:
        trace(event, info)

    return trace_async
