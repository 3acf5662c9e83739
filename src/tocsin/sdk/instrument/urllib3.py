"""urllib3, and with it requests and every client built on them: each attempt, retries and redirects one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.guard import guarded_hook
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._http import Client, has_trace
from tocsin.sdk.settings import Settings

# On a connection that was just opened: what its parts took.
_PHASES = "_tocsin_phases"


class Instrument(_contract.Instrument):
    """Requests as spans and numbers, and the trace handed on."""

    modules = ("urllib3", "urllib3.connectionpool")
    contrib = "opentelemetry.instrumentation.urllib3"

    def switch_on(self, settings: Settings) -> None:
        from urllib3.connection import HTTPConnection, HTTPSConnection
        from urllib3.connectionpool import HTTPConnectionPool

        self._client = Client("urllib3")
        self.patches.wrap(HTTPConnectionPool, "_make_request", self._watch)
        for kind in (HTTPConnection, HTTPSConnection):
            self.patches.wrap(kind, "connect", self._watch_connect)
        self.patches.wrap(HTTPConnection, "_new_conn", _watch_new)

    def gauges(self) -> Iterable[_contract.Gauge]:
        return self._client.gauges()

    def _watch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        begin, end = self._client.begin, self._client.end

        def _make_request(self: Any, conn: Any, method: str, url: str, *args: Any, **options: Any) -> Any:
            entered_ns = perf_counter_ns()
            given = options.get("headers")
            # The caller's headers stay its own: they may be used again for the next request.
            headers = dict(given.items()) if given is not None else {}
            sent = begin(entered_ns, has_trace(given), headers.__setitem__)
            if len(headers) != len(given or ()):
                options["headers"] = headers if given is None else _like(given, headers)
            address = (self.scheme, self.host, self.port, url.partition("?")[0])
            before = conn.__dict__.pop(_PHASES, None)
            try:
                response = original(self, conn, method, url, *args, **options)
            except BaseException as error:
                end(sent, perf_counter_ns(), method, address, 0, error)
                raise
            phases = conn.__dict__.pop(_PHASES, before)
            if phases is not None and sent is not None:
                sent.timings.update(phases)
            end(sent, perf_counter_ns(), method, address, response.status, None)
            return response

        return _make_request

    def _watch_connect(self, original: Callable[..., Any]) -> Callable[..., Any]:
        client = self._client

        @guarded_hook
        def remember(connection: Any, began_ns: int) -> None:
            phases = connection.__dict__.setdefault(_PHASES, {})
            whole, way = _since(began_ns), phases.get("tocsin.http.connect_ms")
            if way is None:
                phases["tocsin.http.connect_ms"] = whole
            get_certificate = getattr(connection.sock, "getpeercert", None)
            if get_certificate is None:
                return
            if way is not None:
                phases["tocsin.http.tls_ms"] = round(whole - way, 3)
            if not client.is_certificate_known(connection.host):
                client.note_certificate(connection.host, get_certificate())

        def connect(self: Any, *args: Any, **options: Any) -> Any:
            began_ns = perf_counter_ns()
            given = original(self, *args, **options)
            remember(self, began_ns)
            return given

        return connect


def _like(given: Any, headers: dict[str, str]) -> Any:
    """The headers and ours, repeated ones of the caller's own kind of dictionary kept."""
    copy = getattr(given, "copy", None)
    if copy is None or type(given) is dict:
        return headers
    copied = copy()
    for name in ("traceparent", "tracestate"):
        if name in headers:
            copied[name] = headers[name]
    return copied


def _watch_new(original: Callable[..., Any]) -> Callable[..., Any]:
    """The way to the server, without TLS."""

    @guarded_hook
    def remember(connection: Any, began_ns: int) -> None:
        connection.__dict__[_PHASES] = {"tocsin.http.connect_ms": _since(began_ns)}

    def _new_conn(self: Any, *args: Any, **options: Any) -> Any:
        began_ns = perf_counter_ns()
        made = original(self, *args, **options)
        remember(self, began_ns)
        return made

    return _new_conn


def _since(began_ns: int) -> float:
    return round((perf_counter_ns() - began_ns) / 1e6, 3)
