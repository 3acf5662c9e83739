"""Ended requests become numbers, slow-request lines and kept traces; in the export thread, in small portions.

Inside a request the same steps cost two to three times as much: there they run once between much other code, here
in a loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.sdk.exchange import Exchange
from tocsin.sdk.guard import guarded_observer

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent

# The pseudo-method of WebSockets: their minutes must not be mixed into the durations of GET.
WEBSOCKET = "WS"
# Less than this after the last byte is the framework returning, not background work.
BACKGROUND_SECONDS = 0.001

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "QUERY"})

Key = tuple[str, str, int, str, str]


class Digest:
    """Takes ended exchanges one by one; used under the agent's digest lock."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        # Counted, but the app has not returned yet: background tasks are running.
        self._unfinished: list[tuple[Exchange, Key]] = []

    @guarded_observer
    def take(self, exchange: Exchange) -> None:
        """Counts one request whose last byte is out, and finishes it if the app has returned."""
        agent = self._agent
        error_type = exchange.error_type() if exchange.status else ""
        key = (_method(exchange), exchange.route, exchange.http_status, exchange.find_tenant(), error_type)
        if exchange.request_bytes < 0:
            exchange.request_bytes = _content_length(exchange)
        seconds = exchange.ended_at - exchange.started_at
        agent.red.record(key, seconds, exchange.request_bytes, exchange.response_bytes)
        if exchange.finished_at:
            self._finish(exchange, key)
        else:
            self._unfinished.append((exchange, key))

    def review_unfinished(self) -> None:
        """Finishes those whose background work has ended meanwhile."""
        if not self._unfinished:
            return
        waiting, self._unfinished = self._unfinished, []
        for exchange, key in waiting:
            if exchange.finished_at:
                self._finish(exchange, key)
            else:
                self._unfinished.append((exchange, key))

    def _finish(self, exchange: Exchange, key: Key) -> None:
        agent = self._agent
        background = exchange.finished_at - exchange.ended_at
        has_background = background >= BACKGROUND_SECONDS and not exchange.has_failed
        if has_background:
            agent.red.record_background(key, background)
        seconds = exchange.ended_at - exchange.started_at
        if seconds >= agent.settings.slow_seconds:
            self._note_slow(exchange, key, seconds)
        if not exchange.is_recorded:
            return
        exchange.tenant = key[3]
        exchange.method = key[0]
        if agent.decide(exchange, int(seconds * 1e9)):
            if has_background:
                _add(exchange, "tocsin.background.duration", background)
            if exchange.disconnected:
                _add(exchange, "tocsin.client.disconnected", True)
            agent.keep_trace(exchange)

    def _note_slow(self, exchange: Exchange, key: Key, seconds: float) -> None:
        """Streams of server-sent events and WebSockets last by design: they are never slow."""
        exchange.is_lasting = key[0] == WEBSOCKET or any(
            name.lower() == b"content-type" and value.startswith(b"text/event-stream")
            for name, value in exchange.response_headers
        )
        if not exchange.is_lasting:
            exchange.identify()
            method, route, status, tenant, _ = key
            facts = {"method": method, "route": route, "status": status, "tenant": tenant}
            self._agent.slow.write(seconds, {**facts, "trace_id": f"{exchange.trace_id:032x}"})


def _method(exchange: Exchange) -> str:
    method = exchange.method
    if method in _METHODS:
        return method
    return WEBSOCKET if exchange.facts[0] == "websocket" else "_OTHER"


def _content_length(exchange: Exchange) -> int:
    """The size of the body as announced, for apps that do not read it; -1 when nothing is said."""
    for name, value in exchange.facts[3]:
        if name == b"content-length":
            return int(value) if value.isdigit() else -1
    return -1


def _add(exchange: Exchange, key: str, value: object) -> None:
    exchange.attributes = {**(exchange.attributes or {}), key: value}
