"""Ended spans to OTLP `Span` messages. Source of the field numbers: opentelemetry-proto, trace.proto."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tocsin.sdk.encode import CACHE_ENTRIES, AttributeCache, delimited, export_request, instrumentation_scope, varint
from tocsin.sdk.encode import text as utf8
from tocsin.sdk.encode_requests import (
    ATTRIBUTE,
    END,
    KIND,
    PARENT_ID,
    SPAN_ID,
    START,
    STATUS_CHARACTERS,
    TRACE_ID,
    OperationOf,
    RequestEncoder,
    encode_status,
    no_operation,
    pack_times,
)
from tocsin.sdk.errors import STACK_CHARACTERS
from tocsin.sdk.exchange import Exchange
from tocsin.sdk.guard import guarded_function
from tocsin.sdk.redaction import Redactor
from tocsin.sdk.spans import Event, RecordingSpan

_SPAN = b"\x12"  # ScopeSpans.spans

# What waits to be sent: an ended span, or for most requests the content of its Span message.
Queued = RecordingSpan | bytes


@lru_cache(CACHE_ENTRIES)
def _head(length: int) -> bytes:
    return _SPAN + varint(length)


class SpanEncoder:
    """Encodes spans with what repeats between them kept as bytes; used by one thread at a time."""

    def __init__(
        self,
        resource_field: bytes,
        version: str,
        redact: tuple[str, ...],
        operation_of: OperationOf = no_operation,
        redactor: Redactor | None = None,
        characters: int = 4096,
    ) -> None:
        self._redactor, self._characters = redactor or Redactor(), characters
        self.resource_field = resource_field
        self._own_scope = instrumentation_scope("tocsin", version)
        self._requests = RequestEncoder(redact, operation_of, self._redactor)
        self._attributes = AttributeCache(ATTRIBUTE)
        self._event_attributes = AttributeCache(b"\x1a")
        self._link_attributes = AttributeCache(b"\x22")

    def encode_request(self, spans: list[Queued]) -> bytes:
        """One ExportTraceServiceRequest with these spans, grouped by instrumentation scope."""
        self.set_clock()
        own: list[bytes] = []
        by_library: dict[tuple[str, str] | None, list[bytes]] = {None: own}
        for span in spans:
            if isinstance(span, bytes):
                own += (_head(len(span)), span)
            elif body := self.encode_span(span):
                by_library.setdefault(span.library, []).append(delimited(_SPAN, body))
        scopes = [
            (instrumentation_scope(*library) if library else self._own_scope, fields)
            for library, fields in by_library.items()
            if fields
        ]
        return export_request(self.resource_field, scopes)

    def set_clock(self) -> None:
        """Compares the clocks anew; to be called before `encode_span`."""
        self._requests.set_clock()

    # Guarded one by one: a value that cannot be encoded costs its own span, counted as a fault, not the batch.
    @guarded_function(b"")
    def encode_span(self, span: RecordingSpan) -> bytes:
        """The content of one Span message."""
        if isinstance(span, Exchange):
            parts = [self._requests.encode(span, span.header_map())]
            has_more = not span.is_plain
        else:
            parts = self._inner_parts(span)
            has_more = not span.is_plain or bool(span.root.trace_state or span.links)
        if has_more:
            self._add_rare(span, parts)
        return b"".join(parts)

    def _inner_parts(self, span: RecordingSpan) -> list[bytes]:
        root = span.root
        start_ns = span.start_ns
        parts = [
            TRACE_ID + span.trace_id + SPAN_ID + span.span_id,
            PARENT_ID + span.parent_id if span.parent_id else b"",
            pack_times(START, start_ns, END, max(span.end_ns, start_ns)),
            delimited(b"\x2a", utf8(self._redactor.text(span.name))),
            KIND[span.kind],
        ]
        if root.tenant:
            parts.append(self._attributes.encode("tocsin.tenant", root.tenant))
        if span is root and root.reason:
            parts.append(self._attributes.encode("tocsin.sample.reason", root.reason))
        if span.status:
            parts.append(encode_status(span.status, self._redactor.cut(span.status_text, STATUS_CHARACTERS)))
        return parts

    def _shown(self, attributes: Mapping[str, Any], characters: int) -> Mapping[str, Any]:
        return self._redactor.attributes(attributes, characters)

    def _event(self, event: Event) -> bytes:
        body = b"\x09" + event.time_ns.to_bytes(8, "little") + delimited(b"\x12", utf8(event.name))
        body += self._event_attributes.encode_all(self._shown(event.facts(), STACK_CHARACTERS))
        return delimited(b"\x5a", body)

    def _add_rare(self, span: RecordingSpan, parts: list[bytes]) -> None:
        if span.root.trace_state:
            parts.append(delimited(b"\x1a", span.root.trace_state.encode()))
        if span.attributes:
            parts.append(self._attributes.encode_all(self._shown(span.attributes, self._characters)))
        if span.events:
            parts += [self._event(event) for event in span.events]
        if span.dropped_attributes:
            parts.append(b"\x50" + varint(span.dropped_attributes))
        if span.dropped_events:
            parts.append(b"\x60" + varint(span.dropped_events))
        for link in span.links or ():
            context = link.context
            body = TRACE_ID + context.trace_id.to_bytes(16, "big") + SPAN_ID + context.span_id.to_bytes(8, "big")
            if context.trace_state:
                body += delimited(b"\x1a", utf8(context.trace_state.to_header()))
            if link.attributes:
                body += self._link_attributes.encode_all(self._shown(link.attributes, self._characters))
            parts.append(delimited(b"\x6a", body))
