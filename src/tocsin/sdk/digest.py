"""Ended requests become numbers, slow-request lines and kept traces; in the export thread, in small portions.

Inside a request the same steps cost two to three times as much: there they run once between much other code, here
in a loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.sdk.exchange import Exchange
from tocsin.sdk.guard import guarded_observer
from tocsin.sdk.tenant import resolve_first

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent

# The pseudo-method of WebSockets: their minutes must not be mixed into the durations of GET.
WEBSOCKET = "WS"
# Less than this after the last byte is the framework returning, not background work.
BACKGROUND_SECONDS = 0.005

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "QUERY"})


class Digest:
    """Takes ended exchanges one by one; used under the agent's digest lock."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        # Counted, but the app has not returned yet: background tasks are running.
        self._unfinished: list[Exchange] = []

    @guarded_observer
    def take(self, exchange: Exchange) -> None:
        """Counts one request whose last byte is out, and finishes it if the app has returned."""
        agent = self._agent
        exchange.headers = headers = dict(exchange.facts[4])
        tenant = exchange.tenant
        if not tenant and agent.header_resolvers and not exchange.has_tenant:
            tenant = exchange.tenant = resolve_first(agent.header_resolvers, {}, headers)
        method = exchange.facts[1]
        if method not in _METHODS:
            method = WEBSOCKET if exchange.facts[0] == "websocket" else "_OTHER"
        error_type = exchange.error_type() if exchange.status else ""
        exchange.key = key = (method, exchange.route, exchange.http_status, tenant, error_type)
        if exchange.request_bytes < 0 and b"content-length" in headers:
            exchange.request_bytes = _announced_bytes(headers[b"content-length"])
        seconds = exchange.ended_at - exchange.started_at
        agent.red.record(key, seconds, exchange.request_bytes, exchange.response_bytes)
        if exchange.finished_at:
            self._finish(exchange)
        else:
            self._unfinished.append(exchange)

    def review_unfinished(self) -> None:
        """Finishes those whose background work has ended meanwhile."""
        if not self._unfinished:
            return
        waiting, self._unfinished = self._unfinished, []
        for exchange in waiting:
            if exchange.finished_at:
                self._finish(exchange)
            else:
                self._unfinished.append(exchange)

    def _finish(self, exchange: Exchange) -> None:
        agent = self._agent
        seconds = exchange.ended_at - exchange.started_at
        background = exchange.finished_at - exchange.ended_at
        if background >= BACKGROUND_SECONDS and not exchange.has_failed:
            agent.red.record_background(exchange.key, background)
            _add(exchange, "tocsin.background.duration", background)
        if exchange.disconnected:
            _add(exchange, "tocsin.client.disconnected", True)
        if seconds >= agent.settings.slow_seconds:
            self._note_slow(exchange, seconds)
        if not exchange.is_recorded:
            return
        exchange.identify()
        exchange.reason = agent.reason_to_keep(exchange, seconds)
        children = exchange.close()
        if exchange.reason:
            agent.exporter.put(exchange)
            if children:
                agent.keep_all(children)

    def _note_slow(self, exchange: Exchange, seconds: float) -> None:
        """Streams of server-sent events and WebSockets last by design: they are never slow."""
        key = exchange.key
        exchange.is_lasting = key[0] == WEBSOCKET or any(
            name.lower() == b"content-type" and value.startswith(b"text/event-stream")
            for name, value in exchange.response_headers
        )
        if not exchange.is_lasting:
            exchange.identify()
            method, route, status, tenant, _ = key
            facts = {"method": method, "route": route, "status": status, "tenant": tenant}
            self._agent.slow.write(seconds, {**facts, "trace_id": f"{exchange.trace_id:032x}"})


def _announced_bytes(content_length: bytes) -> int:
    """The size of the body for apps that do not read it; -1 when nothing sensible is said."""
    return int(content_length) if content_length.isdigit() else -1


def _add(exchange: Exchange, key: str, value: object) -> None:
    exchange.attributes = {**(exchange.attributes or {}), key: value}
