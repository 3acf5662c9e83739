"""Ended requests become numbers, slow-request lines and kept traces, in small portions.

Inside a request the same steps cost two to three times as much: there they run once between much other code, here
in a loop. The thread that answers does it for each portion that is full, after an answer: handed to the export thread,
requests would have to come out of another processor's caches, which costs as much again. That thread does the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat, starmap
from typing import TYPE_CHECKING

from tocsin.sdk.encode_requests import RequestEncoder
from tocsin.sdk.exchange import Exchange
from tocsin.sdk.guard import guarded_function
from tocsin.sdk.tenant import NO_SCOPE

if TYPE_CHECKING:
    from collections import deque

    from tocsin.sdk.agent import Agent
    from tocsin.sdk.encode_spans import Queued

# The pseudo-method of WebSockets: their minutes must not be mixed into the durations of GET.
WEBSOCKET = "WS"
# Less than this after the last byte is the framework returning, not background work.
BACKGROUND_NS = 5_000_000

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "QUERY"})


class Digest:
    """Takes ended exchanges one by one; used under the agent's digest lock."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._resolve, self._record = agent.resolve_headers, agent.red.record
        # Kept spans of the portion at hand.
        self._kept: list[Queued] = []
        self._encoder = RequestEncoder(agent.settings.redact, agent.routes.name_of, agent.redactor)
        # Counted, but the app has not returned yet: background tasks are running.
        self._unfinished: list[Exchange] = []

    def take(self, pending: deque[Exchange], count: int) -> None:
        """Counts requests whose last byte is out, and finishes those whose app has returned: the first of `pending`."""
        self._encoder.set_clock()
        # One by one, so that each is let go while it is still in the processor's caches.
        waiting = starmap(pending.popleft, repeat((), count))
        while not self._take_each(waiting):
            pass  # one failed, which costs itself only
        self._hand_over()

    def _hand_over(self) -> None:
        kept, self._kept = self._kept, []
        self._agent.exporter.put_all(kept)

    @guarded_function(False)
    def _take_each(self, exchanges: Iterator[Exchange]) -> bool:
        """True at the end, False where one failed. One long loop, because every request passes here."""
        resolve, record, encode, keep = self._resolve, self._record, self._encoder.encode, self._kept.append
        slow_ns, reason_to_keep = self._agent.slow_ns, self._agent.reason_to_keep
        for exchange in exchanges:
            headers = exchange.headers or exchange.header_map()
            tenant = exchange.tenant
            if not tenant and resolve is not None and not exchange.has_tenant:
                tenant = exchange.tenant = resolve(NO_SCOPE, headers) or ""
            method = exchange.facts[1]
            if method not in METHODS:
                method = WEBSOCKET if exchange.facts[0] == "websocket" else "_OTHER"
            error_type = exchange.error_type() if exchange.status else ""
            exchange.key = key = (method, exchange.route, exchange.http_status, tenant, error_type)
            request_bytes = exchange.request_bytes
            if request_bytes < 0 and b"content-length" in headers:
                request_bytes = exchange.request_bytes = _announced_bytes(headers[b"content-length"])
            ended_ns, finished_ns = exchange.ended_ns, exchange.finished_ns
            duration_ns = ended_ns - exchange.started_ns
            record(key, duration_ns * 1e-9, request_bytes, exchange.response_bytes)
            if not finished_ns:
                self._unfinished.append(exchange)
                continue
            if not exchange.span_id:
                exchange.identify()
            if exchange.span_count > 1 and exchange.calls is not None:
                self._agent.calls.review(exchange)
            is_lengthy = duration_ns >= slow_ns or finished_ns - ended_ns >= BACKGROUND_NS
            if is_lengthy or not exchange.is_plain:
                self._finish(exchange, duration_ns)
                continue
            # Most requests end here: their span is never more than its bytes.
            exchange.reason = reason = "parent" if exchange.remote_sampled else reason_to_keep(exchange, duration_ns)
            exchange.is_done = True
            if reason:
                keep(encode(exchange, headers))
            if exchange.span_count > 1:
                self._close(exchange)
        return True

    def review_unfinished(self) -> None:
        """Finishes those whose background work has ended meanwhile."""
        if not self._unfinished:
            return
        waiting, self._unfinished = self._unfinished, []
        for exchange in waiting:
            if exchange.finished_ns:
                if exchange.calls is not None:
                    self._agent.calls.review(exchange)
                self._finish(exchange, exchange.ended_ns - exchange.started_ns)
            else:
                self._unfinished.append(exchange)
        self._hand_over()

    def _finish(self, exchange: Exchange, duration_ns: int) -> None:
        agent = self._agent
        background_ns = exchange.finished_ns - exchange.ended_ns
        if background_ns >= BACKGROUND_NS and not exchange.has_failed:
            agent.red.record_background(exchange.key, background_ns * 1e-9)
            exchange.set_attribute_late("tocsin.background.duration", background_ns * 1e-9)
        if exchange.disconnected:
            exchange.set_attribute_late("tocsin.client.disconnected", True)
        if duration_ns >= agent.slow_ns:
            self._note_slow(exchange, duration_ns * 1e-9)
        if not exchange.is_recorded:
            exchange.is_done = True
            self._agent.calls.close(exchange, is_kept=False)
            return
        if not exchange.span_id:
            exchange.identify()
        exchange.reason = agent.reason_to_keep(exchange, duration_ns)
        exchange.is_done = True
        if exchange.reason:
            self._kept.append(exchange)
        if exchange.span_count > 1:
            self._close(exchange)

    def _close(self, exchange: Exchange) -> None:
        """Keeps or forgets the children of a request that is done already: later ones find out by themselves."""
        children = exchange.close()
        if children and exchange.reason:
            self._agent.keep_all(children)
        if exchange.calls is not None:
            self._agent.calls.close(exchange, bool(exchange.reason))

    def _note_slow(self, exchange: Exchange, seconds: float) -> None:
        """Streams of server-sent events and WebSockets last by design: they are never slow."""
        exchange.is_lasting = exchange.is_lasting or exchange.key[0] == WEBSOCKET
        if not exchange.is_lasting:
            exchange.identify()
            method, route, status, tenant, _ = exchange.key
            facts = {"method": method, "route": route, "status": status, "tenant": tenant}
            self._agent.slow.write(seconds, {**facts, "trace_id": exchange.trace_id.hex()})


def _announced_bytes(content_length: bytes) -> int:
    """The size of the body for apps that do not read it; -1 when nothing sensible is said."""
    return int(content_length) if content_length.isdigit() else -1
