"""httpx: every request of its clients, redirects one by one, with what connecting took."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.guard import guarded_hook
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._http import Client, Sent
from tocsin.sdk.settings import Settings

# Where a request on its way is found again by whoever opens a connection for it.
_KEY = "tocsin"


class Instrument(_contract.Instrument):
    """Requests as spans and numbers, and the trace handed on."""

    # httpx imports httpcore with its first client.
    modules = ("httpx", "httpcore")
    contrib = "opentelemetry.instrumentation.httpx"

    def switch_on(self, settings: Settings) -> None:
        library = sys.modules[self.modules[0]]
        self._client = Client()
        # Transports to the network alone: a test client calls the app in its own process.
        self.patches.wrap(library.HTTPTransport, "handle_request", self._watch)
        self.patches.wrap(library.AsyncHTTPTransport, "handle_async_request", self._watch_async)
        core = sys.modules[self.modules[1]]
        # Only new connections pass there: httpcore's trace extension was measured at 25 µs for every request.
        if hasattr(getattr(core, "HTTPConnection", None), "_connect"):
            self.patches.wrap(core.HTTPConnection, "_connect", _watch_connect)
        if hasattr(getattr(core, "AsyncHTTPConnection", None), "_connect"):
            self.patches.wrap(core.AsyncHTTPConnection, "_connect", _watch_async_connect)

    def _watch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        begin, end = self._client.begin, self._client.end

        def handle_request(self: Any, request: Any) -> Any:
            headers = request.headers
            sent = begin("traceparent" in headers, headers.__setitem__)
            request.extensions[_KEY] = sent
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
            request.extensions[_KEY] = sent
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


@guarded_hook
def _connected(request: Any, began_ns: int) -> None:
    sent: Sent | None = request.extensions.get(_KEY)
    if sent is not None:
        sent.timings["tocsin.http.connect_ms"] = round((perf_counter_ns() - began_ns) / 1e6, 3)


def _watch_connect(original: Callable[..., Any]) -> Callable[..., Any]:
    def _connect(self: Any, request: Any) -> Any:
        began_ns = perf_counter_ns()
        stream = original(self, request)
        _connected(request, began_ns)
        return stream

    return _connect


def _watch_async_connect(original: Callable[..., Any]) -> Callable[..., Any]:
    async def _connect(self: Any, request: Any) -> Any:
        began_ns = perf_counter_ns()
        stream = await original(self, request)
        _connected(request, began_ns)
        return stream

    return _connect
