"""Ended spans to OTLP `Span` messages. Source of the field numbers: opentelemetry-proto, trace.proto."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from tocsin.sdk.encode import CACHE_ENTRIES, AttributeCache, delimited, export_request, instrumentation_scope, varint
from tocsin.sdk.encode import text as utf8
from tocsin.sdk.guard import guarded
from tocsin.sdk.spans import ERROR, Event, RecordingSpan

_ATTRIBUTE = b"\x4a"  # Span.attributes
_IDS_AND_TIMES = struct.Struct("<2s16s2s8ssQsQ")
_PARENT = b"\x22\x08"
_KIND = tuple(b"\x30" + bytes((kind,)) for kind in range(6))
_TRACE_ID, _SPAN_ID, _START, _END = b"\x0a\x10", b"\x12\x08", b"\x39", b"\x41"
_CACHED_TEXT = 96
_QUERY_BYTES = 2048

_PATH, _QUERY = delimited(b"\x0a", b"url.path"), delimited(b"\x0a", b"url.query")
_ADDRESS, _AGENT = delimited(b"\x0a", b"client.address"), delimited(b"\x0a", b"user_agent.original")
_REQUEST_SIZE = delimited(b"\x0a", b"http.request.body.size")
_RESPONSE_SIZE = delimited(b"\x0a", b"http.response.body.size")


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
        self._texts: dict[tuple[bytes, str], bytes] = {}

    def encode_request(self, spans: list[RecordingSpan]) -> bytes:
        """One ExportTraceServiceRequest with these spans, grouped by instrumentation scope."""
        by_scope: dict[tuple[str, str] | None, list[bytes]] = {}
        for span in spans:
            body = self.encode_span(span)
            if body:
                by_scope.setdefault(span.scope, []).append(delimited(b"\x12", body))
        scopes = [
            (instrumentation_scope(*scope) if scope else self._own_scope, fields) for scope, fields in by_scope.items()
        ]
        return export_request(self.resource_field, scopes)

    # Guarded one by one: a value that cannot be encoded costs its own span, counted as a fault, not the batch.
    @guarded(b"")
    def encode_span(self, span: RecordingSpan) -> bytes:
        """The content of one Span message."""
        parts = [
            _IDS_AND_TIMES.pack(
                _TRACE_ID, span.trace_id.to_bytes(16, "big"), _SPAN_ID, span.span_id.to_bytes(8, "big"),
                _START, span.start_ns, _END, max(span.end_ns, span.start_ns),
            )
        ]  # fmt: skip
        if span.parent_id:
            parts.append(_PARENT + span.parent_id.to_bytes(8, "big"))
        if span.root.trace_state:
            parts.append(delimited(b"\x1a", span.root.trace_state.encode()))
        if span.request is not None:
            self._add_request(span, span.request, parts)
        else:
            self._add_plain(span, parts)
        if span.attributes:
            parts.append(self._attributes.encode_all(span.attributes))
        if span.events:
            parts += [self._event(event) for event in span.events]
        if span.links or span.dropped_attributes or span.dropped_events:
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

    def _add_request(self, span: RecordingSpan, request: tuple[Any, ...], parts: list[bytes]) -> None:
        """The facts of a request: see `exchange.Exchange.facts` for the tuple."""
        static, path, query, client, agent, request_bytes, response_bytes, rare = request
        key = (static, span.name, span.reason, span.status, span.root.tenant)
        found = self._statics.get(key)
        if found is None:
            if len(self._statics) >= CACHE_ENTRIES:
                self._statics.clear()
            found = self._statics[key] = self._static(span, static)
        parts.append(found)
        parts.append(self._text(_PATH, path))
        if query:
            parts.append(self._text(_QUERY, query, self._visible_query))
        if client:
            parts.append(self._text(_ADDRESS, client))
        if agent:
            parts.append(self._text(_AGENT, agent, _latin))
        parts.append(_size(_RESPONSE_SIZE, response_bytes))
        if request_bytes >= 0:
            parts.append(_size(_REQUEST_SIZE, request_bytes))
        if rare:
            parts.append(self._attributes.encode_all(rare))

    def _static(self, span: RecordingSpan, static: tuple[Any, ...]) -> bytes:
        """What spans of one endpoint, status and tenant share: name, kind, status and most attributes."""
        method, route, status, error_type, scheme, server, version, is_websocket = static
        facts: dict[str, Any] = {"http.request.method": method, "http.route": route, "url.scheme": scheme}
        if status:
            facts["http.response.status_code"] = status
        if error_type:
            facts["error.type"] = error_type
        if server:
            facts["server.address"] = server[0]
            if server[1] is not None:
                facts["server.port"] = server[1]
        if version:
            facts["network.protocol.version"] = version
        if is_websocket:
            facts["network.protocol.name"] = "websocket"
        if span.root.tenant:
            facts["tocsin.tenant"] = span.root.tenant
        if span.reason:
            facts["tocsin.sample.reason"] = span.reason
        name = span.name or f"{method} {route}"
        head = delimited(b"\x2a", utf8(name)) + _KIND[span.kind]
        if span.status:
            head += _status(span.status, span.status_text)
        return head + AttributeCache(_ATTRIBUTE).encode_all(facts)

    def _text(self, key_field: bytes, value: Any, convert: Callable[[Any], str] | None = None) -> bytes:
        """One text attribute, kept by its raw value."""
        entry = (key_field, value)
        found = self._texts.get(entry)
        if found is None:
            body = utf8(convert(value) if convert else value)
            found = delimited(_ATTRIBUTE, key_field + delimited(b"\x12", delimited(b"\x0a", body)))
            if len(value) <= _CACHED_TEXT:
                if len(self._texts) >= CACHE_ENTRIES:
                    self._texts.clear()
                self._texts[entry] = found
        return found

    def _visible_query(self, query: bytes) -> str:
        """The query string with the values of sensitive names replaced."""
        pairs = query[:_QUERY_BYTES].split(b"&")
        return _latin(b"&".join(self._visible_pair(pair) for pair in pairs))

    def _visible_pair(self, pair: bytes) -> bytes:
        name, equals, _ = pair.partition(b"=")
        plain = unquote_to_bytes(name.replace(b"+", b" ")).strip().lower()
        return name + b"=REDACTED" if equals and plain in self._redact else pair

    def _event(self, event: Event) -> bytes:
        body = b"\x09" + event.time_ns.to_bytes(8, "little") + delimited(b"\x12", utf8(event.name))
        if event.attributes:
            body += self._event_attributes.encode_all(event.attributes)
        return delimited(b"\x5a", body)

    def _add_rare(self, span: RecordingSpan, parts: list[bytes]) -> None:
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


def _size(key_field: bytes, size: int) -> bytes:
    value = b"\x18" + varint(size)
    return delimited(_ATTRIBUTE, key_field + delimited(b"\x12", value))


def _latin(value: bytes) -> str:
    return value.decode("latin-1")
