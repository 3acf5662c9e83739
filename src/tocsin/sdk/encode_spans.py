"""Ended spans to OTLP `Span` messages. Source of the field numbers: opentelemetry-proto, trace.proto."""

from __future__ import annotations

import struct
import time
from typing import Any
from urllib.parse import unquote_to_bytes

from tocsin.sdk.encode import CACHE_ENTRIES, AttributeCache, delimited, export_request, instrumentation_scope, varint
from tocsin.sdk.encode import text as utf8
from tocsin.sdk.exchange import Exchange
from tocsin.sdk.guard import guarded_function
from tocsin.sdk.spans import ERROR, Event, RecordingSpan

_ATTRIBUTE = b"\x4a"  # Span.attributes
_IDS_AND_TIMES = struct.Struct("<2s16s2s8ssQsQ")
_PARENT = b"\x22\x08"
_KIND = tuple(b"\x30" + bytes((kind,)) for kind in range(6))
_TRACE_ID, _SPAN_ID, _START, _END = b"\x0a\x10", b"\x12\x08", b"\x39", b"\x41"
_CACHED_TEXT = 96
_QUERY_BYTES = 2048


class TextCache:
    """Whole text attributes of one key, kept by their raw value; bounded."""

    def __init__(self, key: str) -> None:
        self._key_field = delimited(b"\x0a", key.encode())
        self._kept: dict[Any, bytes] = {}
        # The same dictionary's own method: a hit costs one call.
        self.find = self._kept.get

    def add(self, raw: Any, shown: str) -> bytes:
        """The attribute with the text `shown`, from now on found by `raw`."""
        value = delimited(b"\x12", delimited(b"\x0a", utf8(shown)))
        field = delimited(_ATTRIBUTE, self._key_field + value)
        if len(raw) <= _CACHED_TEXT:
            if len(self._kept) >= CACHE_ENTRIES:
                self._kept.clear()
            self._kept[raw] = field
        return field


class SpanEncoder:
    """Encodes spans with what repeats between them kept as bytes; used by one thread at a time."""

    def __init__(self, resource_field: bytes, version: str, redact: tuple[str, ...]) -> None:
        self.resource_field = resource_field
        self._own_scope = instrumentation_scope("tocsin", version)
        self._redact = frozenset(name.lower().encode() for name in redact)
        self._attributes = AttributeCache(_ATTRIBUTE)
        self._event_attributes = AttributeCache(b"\x1a")
        self._link_attributes = AttributeCache(b"\x22")
        # Pieces of request spans: by endpoint and status, by client, by sizes.
        self._shareds: dict[tuple[Any, ...], bytes] = {}
        self._peers: dict[tuple[Any, ...], bytes] = {}
        self._sizes: dict[tuple[Any, ...], bytes] = {}
        self._paths = TextCache("url.path")
        self._queries = TextCache("url.query")
        self._clock_offset_ns = 0

    def encode_request(self, spans: list[RecordingSpan]) -> bytes:
        """One ExportTraceServiceRequest with these spans, grouped by instrumentation scope."""
        self._clock_offset_ns = time.time_ns() - time.perf_counter_ns()
        by_library: dict[tuple[str, str] | None, list[bytes]] = {}
        for span in spans:
            body = self.encode_span(span)
            if body:
                by_library.setdefault(span.library, []).append(b"\x12" + varint(len(body)) + body)
        scopes = [
            (instrumentation_scope(*library) if library else self._own_scope, fields)
            for library, fields in by_library.items()
        ]
        return export_request(self.resource_field, scopes)

    # Guarded one by one: a value that cannot be encoded costs its own span, counted as a fault, not the batch.
    @guarded_function(b"")
    def encode_span(self, span: RecordingSpan) -> bytes:
        """The content of one Span message."""
        if isinstance(span, Exchange):
            parts = self._request_parts(span)
            has_more = not span.is_plain
        else:
            parts = self._inner_parts(span)
            has_more = not span.is_plain or bool(span.root.trace_state or span.links)
        if has_more:
            self._add_rare(span, parts)
        return b"".join(parts)

    def _inner_parts(self, span: RecordingSpan) -> list[bytes]:
        root = span.root
        parts = [
            _ids_and_times(span, span.start_ns, max(span.end_ns, span.start_ns)),
            delimited(b"\x2a", utf8(span.name)),
            _KIND[span.kind],
        ]
        if root.tenant:
            parts.append(self._attributes.encode("tocsin.tenant", root.tenant))
        if span is root and root.reason:
            parts.append(self._attributes.encode("tocsin.sample.reason", root.reason))
        if span.status:
            parts.append(_status(span.status, span.status_text))
        return parts

    def _request_parts(self, span: Exchange) -> list[bytes]:
        """A handful of looked-up pieces; only ids and times are written anew for each request."""
        kind, _, path, query, client, server, scheme, version = span.facts
        offset_ns = self._clock_offset_ns
        agent = span.header_map().get(b"user-agent")
        shared = (span.key, span.reason)
        shared_part = self._shareds.get(shared) if span.is_plain else self._shared(span)
        peer = (client[0] if client else "", agent, server, scheme, version, kind)
        sizes = (span.response_bytes, span.request_bytes)
        try:
            peer_part = self._peers.get(peer) or self._keep(self._peers, peer, self._peer(*peer))
        except TypeError:  # ASGI allows lists, which cannot be looked up
            peer_part = self._peer(*peer)
        return [
            _ids_and_times(span, span.started_ns + offset_ns, span.ended_ns + offset_ns),
            shared_part or self._keep(self._shareds, shared, self._shared(span)),
            peer_part,
            self._paths.find(path) or self._paths.add(path, path),
            self._sizes.get(sizes) or self._keep(self._sizes, sizes, self._size(*sizes)),
            (self._queries.find(query) or self._queries.add(query, self._visible_query(query))) if query else b"",
        ]

    def _keep(self, cache: dict[tuple[Any, ...], bytes], key: tuple[Any, ...], part: bytes) -> bytes:
        if len(cache) >= CACHE_ENTRIES:
            cache.clear()
        cache[key] = part
        return part

    def _shared(self, span: Exchange) -> bytes:
        """What spans of one endpoint, status and tenant share: name, kind, status and most attributes."""
        method, route, status, tenant, error_type = span.key
        facts: dict[str, Any] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "error.type": error_type,
            "tocsin.tenant": tenant,
            "tocsin.sample.reason": span.reason,
        }
        head = delimited(b"\x2a", utf8(span.name or span.default_name())) + _KIND[span.kind]
        if span.status:
            head += _status(span.status, span.status_text)
        return head + self._all_known(facts)

    def _peer(self, client: str, agent: bytes | None, server: Any, scheme: Any, version: Any, kind: str) -> bytes:
        """What the requests of one client share."""
        facts: dict[str, Any] = {
            "url.scheme": scheme or "http",
            "server.address": server[0] if server else "",
            "server.port": server[1] if server and server[1] is not None else "",
            "client.address": client,
            "user_agent.original": agent.decode("latin-1") if agent else "",
            "network.protocol.version": version or "",
            "network.protocol.name": "websocket" if kind == "websocket" else "",
        }
        return self._all_known(facts)

    def _size(self, response_bytes: int, request_bytes: int) -> bytes:
        found = self._attributes.encode("http.response.body.size", response_bytes)
        if request_bytes >= 0:
            found += self._attributes.encode("http.request.body.size", request_bytes)
        return found

    def _all_known(self, facts: dict[str, Any]) -> bytes:
        return self._attributes.encode_all({key: value for key, value in facts.items() if value != ""})

    def _visible_query(self, query: bytes) -> str:
        """The query string with the values of sensitive names replaced."""
        pairs = query[:_QUERY_BYTES].split(b"&")
        return b"&".join(self._visible_pair(pair) for pair in pairs).decode("latin-1")

    def _visible_pair(self, pair: bytes) -> bytes:
        name, equals, _ = pair.partition(b"=")
        plain = unquote_to_bytes(name.replace(b"+", b" ")).strip().lower()
        return name + b"=REDACTED" if equals and plain in self._redact else pair

    def _event(self, event: Event) -> bytes:
        body = b"\x09" + event.time_ns.to_bytes(8, "little") + delimited(b"\x12", utf8(event.name))
        body += self._event_attributes.encode_all(event.facts())
        return delimited(b"\x5a", body)

    def _add_rare(self, span: RecordingSpan, parts: list[bytes]) -> None:
        if span.root.trace_state:
            parts.append(delimited(b"\x1a", span.root.trace_state.encode()))
        if span.attributes:
            parts.append(self._attributes.encode_all(span.attributes))
        if span.events:
            parts += [self._event(event) for event in span.events]
        if span.dropped_attributes:
            parts.append(b"\x50" + varint(span.dropped_attributes))
        if span.dropped_events:
            parts.append(b"\x60" + varint(span.dropped_events))
        for link in span.links or ():
            context = link.context
            body = _TRACE_ID + context.trace_id.to_bytes(16, "big") + _SPAN_ID + context.span_id.to_bytes(8, "big")
            if context.trace_state:
                body += delimited(b"\x1a", utf8(context.trace_state.to_header()))
            if link.attributes:
                body += self._link_attributes.encode_all(link.attributes)
            parts.append(delimited(b"\x6a", body))


def _ids_and_times(span: RecordingSpan, start_ns: int, end_ns: int) -> bytes:
    packed = _IDS_AND_TIMES.pack(_TRACE_ID, span.trace_id, _SPAN_ID, span.span_id, _START, start_ns, _END, end_ns)
    return packed + _PARENT + span.parent_id if span.parent_id else packed


def _status(code: int, message: str) -> bytes:
    body = (delimited(b"\x12", utf8(message)) if message and code == ERROR else b"") + b"\x18" + bytes((code,))
    return delimited(b"\x7a", body)
