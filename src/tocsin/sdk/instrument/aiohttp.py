"""aiohttp's client: every request, its redirects included, and how long it waited for a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.guard import guarded, guarded_hook
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._http import Client, Sent, has_trace
from tocsin.sdk.settings import Settings

_sent: ContextVar[Sent | None] = ContextVar("tocsin_aiohttp", default=None)


class Instrument(_contract.Instrument):
    """Requests as spans and numbers, and the trace handed on."""

    modules = ("aiohttp",)
    contrib = "opentelemetry.instrumentation.aiohttp_client"

    def switch_on(self, settings: Settings) -> None:
        import aiohttp

        self._client = Client("aiohttp")
        self.patches.wrap(aiohttp.ClientSession, "_request", self._watch)
        self.patches.wrap(aiohttp.BaseConnector, "connect", self._watch_connect)
        if hasattr(aiohttp.TCPConnector, "_resolve_host"):
            self.patches.wrap(aiohttp.TCPConnector, "_resolve_host", _watch_resolve)

    def gauges(self) -> Iterable[_contract.Gauge]:
        return self._client.gauges()

    def _watch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        from multidict import CIMultiDict

        begin, end = self._client.begin, self._client.end

        @guarded(None)
        def prepare(session: Any, options: dict[str, Any]) -> Sent | None:
            entered_ns = perf_counter_ns()
            given = options.get("headers")
            headers = CIMultiDict(given or {})
            has_header = "traceparent" in headers or has_trace(session.headers)
            sent = begin(entered_ns, has_header, headers.__setitem__)
            if len(headers) != len(given or ()):
                options["headers"] = headers
            return sent

        @guarded_hook
        def finish(sent: Any, session: Any, method: str, target: Any, status: int, error: Any) -> None:
            ended_ns = perf_counter_ns()
            url = session._build_url(target)
            end(sent, ended_ns, method.upper(), (url.scheme, url.host or "", url.port, url.path), status, error)

        async def _request(self: Any, method: str, str_or_url: Any, **options: Any) -> Any:
            sent = prepare(self, options)
            token = _sent.set(sent)
            try:
                response = await original(self, method, str_or_url, **options)
            except BaseException as error:
                finish(sent, self, method, str_or_url, 0, error)
                raise
            finally:
                _sent.reset(token)
            finish(sent, self, method, str_or_url, response.status, None)
            return response

        return _request

    def _watch_connect(self, original: Callable[..., Any]) -> Callable[..., Any]:
        client = self._client

        @guarded_hook
        def look(request: Any, connection: Any) -> None:
            host = request.url.host or ""
            if request.url.scheme in ("https", "wss") and not client.is_certificate_known(host):
                client.note_certificate(host, connection.transport.get_extra_info("peercert"))

        async def connect(connector: Any, req: Any, *args: Any, **options: Any) -> Any:
            began_ns = perf_counter_ns()
            connection = await original(connector, req, *args, **options)
            _remember("connect", began_ns)
            look(req, connection)
            return connection

        return connect


@guarded_hook
def _remember(part: str, began_ns: int) -> None:
    """Redirects add up."""
    sent = _sent.get()
    if sent is not None:
        name = f"tocsin.http.{part}_ms"
        sent.timings[name] = sent.timings.get(name, 0.0) + round((perf_counter_ns() - began_ns) / 1e6, 3)


def _watch_resolve(original: Callable[..., Any]) -> Callable[..., Any]:
    async def _resolve_host(self: Any, *args: Any, **options: Any) -> Any:
        began_ns = perf_counter_ns()
        addresses = await original(self, *args, **options)
        _remember("dns", began_ns)
        return addresses

    return _resolve_host
