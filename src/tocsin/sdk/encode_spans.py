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
        self._statics: dict[tuple[Any, ...], bytes] = {}
        self._connections: dict[tuple[Any, ...], bytes] = {}
        self._sizes: dict[tuple[int, int], bytes] = {}
        self._paths = TextCache("url.path")
        self._queries = TextCache("url.query")
        self._agents = TextCache("user_agent.original")
        self._clock_offset_ns = 0

    def encode_request(self, spans: list[RecordingSpan]) -> bytes:
        """One ExportTraceServiceRequest with these spans, grouped by instrumentation scope."""
        self._clock_offset_ns = time.time_ns() - time.perf_counter_ns()
        own: list[bytes] = []
        by_library: dict[tuple[str, str] | None, list[bytes]] = {None: own}
        for span in spans:
            body = self.encode_span(span)
            size = len(body)
            field = b"\x12" + (varint(size) if size > 127 else bytes((size,))) + body
            if not body:
                continue
            if span.library is None:
                own.append(field)
            else:
                by_library.setdefault(span.library, []).append(field)
        scopes = [
            (instrumentation_scope(*library) if library else self._own_scope, fields)
            for library, fields in by_library.items()
            if fields
        ]
        return export_request(self.resource_field, scopes)

    # Guarded one by one: a value that cannot be encoded costs its own span, counted as a fault, not the batch.
    @guarded_function(b"")
    def encode_span(self, span: RecordingSpan) -> bytes:
        """The content of one Span message."""
        if isinstance(span, Exchange):
            start_ns = span.started_ns + self._clock_offset_ns
            end_ns = span.ended_ns + self._clock_offset_ns
        else:
            start_ns, end_ns = span.start_ns, max(span.end_ns, span.start_ns)
        parts = [
            _IDS_AND_TIMES.pack(
                _TRACE_ID, span.trace_id, _SPAN_ID, span.span_id,
                _START, start_ns, _END, end_ns,
            )
        ]  # fmt: skip
        if span.parent_id:
            parts.append(_PARENT + span.parent_id)
        if isinstance(span, Exchange):
            self._add_request(span, parts)
        else:
            self._add_plain(span, parts)
        if span.attributes or span.events or span.links or span.root.trace_state or span.dropped_attributes:
            self._add_rare(span, parts)
        return b"".join(parts)

    def _add_plain(self, span: RecordingSpan, parts: list[bytes]) -> None:
        parts.append(delimited(b"\x2a", utf8(span.name)))
        parts.append(_KIND[span.kind])
        root = span.root
        if root.tenant:
            parts.append(self._attributes.encode("tocsin.tenant", root.tenant))
        if span is root and root.reason:
            parts.append(self._attributes.encode("tocsin.sample.reason", root.reason))
        if span.status:
            parts.append(_status(span.status, span.status_text))

    def _add_request(self, span: Exchange, parts: list[bytes]) -> None:
        kind, _, path, query, client, server, scheme, version = span.facts
        if span.status or span.name:
            parts.append(self._static(span))
        else:
            static = (span.key, span.reason)
            parts.append(self._statics.get(static) or self._keep_static(static, span))
        connection = (client, server, scheme, version, kind)
        try:
            parts.append(self._connections.get(connection) or self._keep_connection(connection))
        except TypeError:  # ASGI allows lists, which cannot be looked up
            parts.append(self._connection(*connection))
        parts.append(self._paths.find(path) or self._paths.add(path, path))
        if query:
            parts.append(self._queries.find(query) or self._queries.add(query, self._visible_query(query)))
        agent = span.header_map().get(b"user-agent")
        if agent:
            parts.append(self._agents.find(agent) or self._agents.add(agent, agent.decode("latin-1")))
        sizes = (span.response_bytes, span.request_bytes)
        parts.append(self._sizes.get(sizes) or self._keep_sizes(sizes))

    def _keep_static(self, key: tuple[Any, ...], span: Exchange) -> bytes:
        if len(self._statics) >= CACHE_ENTRIES:
            self._statics.clear()
        found = self._statics[key] = self._static(span)
        return found

    def _static(self, span: Exchange) -> bytes:
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

    def _keep_connection(self, key: tuple[Any, ...]) -> bytes:
        if len(self._connections) >= CACHE_ENTRIES:
            self._connections.clear()
        found = self._connections[key] = self._connection(*key)
        return found

    def _connection(self, client: Any, server: Any, scheme: Any, version: Any, kind: str) -> bytes:
        """What the requests of one connection share."""
        facts: dict[str, Any] = {
            "url.scheme": scheme or "http",
            "server.address": server[0] if server else "",
            "server.port": server[1] if server and server[1] is not None else "",
            "client.address": client[0] if client else "",
            "network.protocol.version": version or "",
            "network.protocol.name": "websocket" if kind == "websocket" else "",
        }
        return self._all_known(facts)

    def _keep_sizes(self, sizes: tuple[int, int]) -> bytes:
        if len(self._sizes) >= CACHE_ENTRIES:
            self._sizes.clear()
        response_bytes, request_bytes = sizes
        found = self._attributes.encode("http.response.body.size", response_bytes)
        if request_bytes >= 0:
            found += self._attributes.encode("http.request.body.size", request_bytes)
        self._sizes[sizes] = found
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


def _status(code: int, message: str) -> bytes:
    body = (delimited(b"\x12", utf8(message)) if message and code == ERROR else b"") + b"\x18" + bytes((code,))
    return delimited(b"\x7a", body)
