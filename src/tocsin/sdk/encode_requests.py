"""Ended requests to OTLP `Span` messages. Source of the field numbers: opentelemetry-proto, trace.proto.

Requests repeat themselves: what those of one endpoint, of one client or of one size have in common is encoded once,
and a span is these pieces joined. Only ids and times are written anew.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from tocsin.sdk.encode import CACHE_ENTRIES, AttributeCache, delimited
from tocsin.sdk.encode import text as utf8
from tocsin.sdk.exchange import Exchange
from tocsin.sdk.redaction import Redactor
from tocsin.sdk.spans import ERROR

ATTRIBUTE = b"\x4a"  # Span.attributes
TRACE_ID, SPAN_ID, PARENT_ID, START, END = b"\x0a\x10", b"\x12\x08", b"\x22\x08", 0x39, 0x41
pack_times = struct.Struct("<BQBQ").pack
_pack_root = struct.Struct("<2s16s2s8sBQBQ").pack
_pack_child = struct.Struct("<2s16s2s8s2s8sBQBQ").pack
KIND = tuple(b"\x30" + bytes((kind,)) for kind in range(6))
STATUS_CHARACTERS = 256
_CACHED_TEXT = 96
_QUERY_BYTES = 2048

# (method, route) to the critical operation that it is, or ''.
OperationOf = Callable[[str, str], str]


def no_operation(_method: str, _route: str) -> str:
    return ""


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
        field = delimited(ATTRIBUTE, self._key_field + value)
        if len(raw) <= _CACHED_TEXT:
            if len(self._kept) >= CACHE_ENTRIES:
                self._kept.clear()
            self._kept[raw] = field
        return field


class RequestEncoder:
    """Encodes the spans of requests; used by one thread at a time."""

    def __init__(self, redact: tuple[str, ...], operation_of: OperationOf, redactor: Redactor) -> None:
        self._redactor = redactor
        self._operation_of = operation_of
        self._redact = frozenset(name.lower().encode() for name in redact)
        self._attributes = AttributeCache(ATTRIBUTE)
        # Pieces of request spans: by endpoint and status, by client, by sizes.
        self._shareds: dict[tuple[Any, ...], bytes] = {}
        self._peers: dict[tuple[Any, ...], bytes] = {}
        self._sizes: dict[Any, bytes] = {}
        self._paths = TextCache("url.path")
        self._queries = TextCache("url.query")
        self._clock_offset_ns = 0

    def set_clock(self) -> None:
        """Compares the clocks anew; to be called once for each batch."""
        self._clock_offset_ns = time.time_ns() - time.perf_counter_ns()

    def encode(self, span: Exchange, headers: Mapping[bytes, bytes]) -> bytes:
        """The content of the Span message of an ended request, without what only few have; see `is_plain`."""
        kind, _, path, query, client, server, scheme, version = span.facts
        offset_ns = self._clock_offset_ns
        start_ns, end_ns = span.started_ns + offset_ns, span.ended_ns + offset_ns
        shared = (span.key, span.reason)
        shared_part = self._shareds.get(shared) if span.is_plain else self._shared(span)
        peer = (client[0] if client else "", headers.get(b"user-agent"), server, scheme, version, kind)
        try:
            peer_part = self._peers.get(peer) or self._keep(self._peers, peer, self._peer(*peer))
        except TypeError:  # ASGI allows lists, which cannot be looked up
            peer_part = self._peer(*peer)
        response_bytes, request_bytes = span.response_bytes, span.request_bytes
        sizes = response_bytes if request_bytes < 0 else (response_bytes, request_bytes)
        trace_id, span_id, parent_id = span.trace_id, span.span_id, span.parent_id
        return b"".join((
            _pack_child(TRACE_ID, trace_id, SPAN_ID, span_id, PARENT_ID, parent_id, START, start_ns, END, end_ns)
            if parent_id
            else _pack_root(TRACE_ID, trace_id, SPAN_ID, span_id, START, start_ns, END, end_ns),
            shared_part or self._keep(self._shareds, shared, self._shared(span)),
            peer_part,
            self._paths.find(path) or self._paths.add(path, self._redactor.text(path, ids_stay=True)),
            self._sizes.get(sizes) or self._keep(self._sizes, sizes, self._size(response_bytes, request_bytes)),
            (self._queries.find(query) or self._queries.add(query, self._visible_query(query))) if query else b"",
        ))  # fmt: skip

    def _keep(self, cache: dict[Any, bytes], key: Any, part: bytes) -> bytes:
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
            "tocsin.operation": self._operation_of(method, route),
            "tocsin.sample.reason": span.reason,
        }
        head = delimited(b"\x2a", utf8(span.name or span.default_name())) + KIND[span.kind]
        if span.status:
            head += encode_status(span.status, self._redactor.cut(span.status_text, STATUS_CHARACTERS))
        return head + self._all_known(facts)

    def _peer(self, client: str, agent: bytes | None, server: Any, scheme: Any, version: Any, kind: str) -> bytes:
        """What the requests of one client share."""
        facts: dict[str, Any] = {
            "url.scheme": scheme or "http",
            "server.address": server[0] if server else "",
            "server.port": server[1] if server and server[1] is not None else "",
            "client.address": client,
            "user_agent.original": self._redactor.text(agent.decode("latin-1")) if agent else "",
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
        name, equals, value = pair.partition(b"=")
        plain = _plain(name)
        if equals and (plain.lower().encode() in self._redact or self._redactor.is_secret(plain)):
            return name + b"=REDACTED"
        text = f"{plain}={_plain(value)}" if equals else plain
        return pair if self._redactor.text(text, ids_stay=True) is text else (name if equals else b"") + b"=REDACTED"


def _plain(encoded: bytes) -> str:
    return unquote_to_bytes(encoded.replace(b"+", b" ")).decode("utf-8", "replace").strip()


def encode_status(code: int, message: str) -> bytes:
    """Span.status."""
    body = (delimited(b"\x12", utf8(message)) if message and code == ERROR else b"") + b"\x18" + bytes((code,))
    return delimited(b"\x7a", body)
