"""httpx: every request of its clients, redirects one by one, with what connecting took."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.guard import guarded, guarded_step, outcome
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
        self._client = Client(self.modules[0])
        # As a mapping, headers take 3 µs of a request's 20; where their list is as we know it, it is used as it is.
        known = outcome(lambda: library.Headers({"a": "b"})._list) == [(b"a", b"a", b"b")]
        self._ways_of = guarded((True, None))(_ways_into_list if known else _ways_into)
        # Transports to the network alone: a test client calls the app in its own process.
        self.patches.wrap(library.HTTPTransport, "handle_request", self._watch)
        self.patches.wrap(library.AsyncHTTPTransport, "handle_async_request", self._watch_async)
        core = sys.modules[self.modules[1]]
        # Only new connections pass there: httpcore's trace extension was measured at 25 µs for every request, so it is
        # there while one is opened and no longer.
        if hasattr(getattr(core, "HTTPConnection", None), "_connect"):
            self.patches.wrap(core.HTTPConnection, "_connect", self._watch_connect)
        if hasattr(getattr(core, "AsyncHTTPConnection", None), "_connect"):
            self.patches.wrap(core.AsyncHTTPConnection, "_connect", self._watch_async_connect)

    def gauges(self) -> Iterable[_contract.Gauge]:
        return self._client.gauges()

    def _watch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        begin, end, ways_of = self._client.begin, self._client.end, self._ways_of

        def handle_request(self: Any, request: Any) -> Any:
            entered_ns = perf_counter_ns()
            headers = request.headers
            sent = begin(entered_ns, *ways_of(headers))
            request.extensions[_KEY] = sent
            try:
                response = original(self, request)
            except BaseException as error:
                end(sent, perf_counter_ns(), request.method, _url(request), 0, error)
                raise
            end(sent, perf_counter_ns(), request.method, _url(request), response.status_code, None)
            return response

        return handle_request

    def _watch_async(self, original: Callable[..., Any]) -> Callable[..., Any]:
        begin, end, ways_of = self._client.begin, self._client.end, self._ways_of

        async def handle_async_request(self: Any, request: Any) -> Any:
            entered_ns = perf_counter_ns()
            headers = request.headers
            sent = begin(entered_ns, *ways_of(headers))
            request.extensions[_KEY] = sent
            try:
                response = await original(self, request)
            except BaseException as error:
                end(sent, perf_counter_ns(), request.method, _url(request), 0, error)
                raise
            end(sent, perf_counter_ns(), request.method, _url(request), response.status_code, None)
            return response

        return handle_async_request

    def _watch_connect(self, original: Callable[..., Any]) -> Callable[..., Any]:
        look = self._look

        def _connect(connection: Any, request: Any) -> Any:
            phases = _Phases(request)

            def trace(name: str, info: Any) -> None:
                phases.note(name)

            phases.open(trace)
            try:
                stream = original(connection, request)
            finally:
                phases.close()
            look(connection, stream)
            return stream

        return _connect

    def _watch_async_connect(self, original: Callable[..., Any]) -> Callable[..., Any]:
        look = self._look

        async def _connect(connection: Any, request: Any) -> Any:
            phases = _Phases(request)

            async def trace(name: str, info: Any) -> None:
                phases.note(name)

            phases.open(trace)
            try:
                stream = await original(connection, request)
            finally:
                phases.close()
            look(connection, stream)
            return stream

        return _connect

    @guarded(None)
    def _look(self, connection: Any, stream: Any) -> None:
        """At the certificate of a new connection."""
        host = connection._origin.host.decode()
        secured = stream.get_extra_info("ssl_object")
        if secured is not None and not self._client.is_certificate_known(host):
            self._client.note_certificate(host, secured.getpeercert())


def _ways_into(headers: Any) -> tuple[bool, Callable[[str, str], Any]]:
    """Whether a trace is handed on already, and how to set a header."""
    return "traceparent" in headers, headers.__setitem__


def _ways_into_list(headers: Any) -> tuple[bool, Callable[[str, str], Any]]:
    """The same, of headers kept as (name, name in lower case, value)."""
    pairs = headers._list

    def put(name: str, value: str) -> None:
        if name != "traceparent":
            headers[name] = value  # the app may have set it already
            return
        pairs.append((b"traceparent", b"traceparent", value.encode()))

    for _, name, _ in pairs:
        if name == b"traceparent":
            return True, put
    return False, put


def _url(request: Any) -> tuple[str, str, int | None, str]:
    url = request.url
    return url.scheme, url.host, url.port, url.path


class _Phases:
    """The parts of opening one connection. httpcore's trace extension tells them; it is there meanwhile only."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._sent: Sent | None = request.extensions.get(_KEY)
        self._is_first = "trace" not in request.extensions
        self._began_ns = self._part_ns = perf_counter_ns()

    def open(self, trace: Any) -> None:
        if self._is_first:
            self._request.extensions["trace"] = trace

    def note(self, name: str) -> None:
        """`connection.connect_tcp.started`, `connection.start_tls.complete` and their like."""
        _, _, part = name.partition(".")
        if part.endswith(".started"):
            self._part_ns = perf_counter_ns()
        elif part == "connect_tcp.complete":
            self._put("connect")
        elif part == "start_tls.complete":
            self._put("tls")

    @guarded_step
    def close(self) -> None:
        if self._is_first:
            self._request.extensions.pop("trace", None)
        if self._sent is not None and "tocsin.http.connect_ms" not in self._sent.timings:
            self._part_ns = self._began_ns
            self._put("connect")

    def _put(self, part: str) -> None:
        if self._sent is not None:
            self._sent.timings[f"tocsin.http.{part}_ms"] = round((perf_counter_ns() - self._part_ns) / 1e6, 3)
