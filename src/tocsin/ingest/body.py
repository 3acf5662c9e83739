"""Request bodies: decompressed within bounds, OTLP/JSON turned into the protobuf that the spool keeps."""

from __future__ import annotations

import base64
import binascii
import sys
import zlib
from collections.abc import Callable
from typing import Any

import orjson
from google.protobuf import json_format
from google.protobuf.message import Message

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENCODINGS = ("gzip", "deflate", "zstd", "identity")
HEX_FIELDS = {"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"}
MAX_JSON_DEPTH = 64
# Each costs a copy of all that follows it, so a body of a million empty ones would keep a core busy for hours.
MAX_MEMBERS = 100


class BodyError(ValueError):
    """The body cannot be read as what its headers say."""


class UnknownEncodingError(BodyError):
    """The body is compressed in a way that is not read here."""


class BodyTooLargeError(Exception):
    """The body is larger than the `max_bytes` allowed once decompressed."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.max_bytes = max_bytes


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The plain bytes of `body`.

    Raises BodyTooLargeError as soon as more than `max_bytes` come out, so a bomb costs no more memory than that, and
    BodyError for damaged data, UnknownEncodingError for an unknown encoding.
    """
    name = encoding.strip().lower() or "identity"
    if name == "identity":
        plain = body
    elif name in ("gzip", "x-gzip"):
        plain = _inflate(body, zlib.MAX_WBITS | 16, max_bytes)
    elif name == "deflate":
        # Some senders leave out the zlib wrapper that RFC 9110 asks for.
        wrapped = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
        plain = _inflate(body, zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS, max_bytes)
    elif name == "zstd":
        plain = _unzstd(body, max_bytes)
    else:
        raise UnknownEncodingError(f"cannot read content-encoding {encoding!r}; send one of {', '.join(ENCODINGS)}")
    if len(plain) > max_bytes:
        raise BodyTooLargeError(max_bytes)
    return plain


def _inflate(body: bytes, window_bits: int, max_bytes: int) -> bytes:
    try:
        return _join_members(body, lambda: zlib.decompressobj(window_bits), max_bytes)
    except zlib.error as error:
        raise BodyError(f"cannot decompress the body: {error}") from error


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    try:
        return _join_members(body, zstd.ZstdDecompressor, max_bytes)
    except zstd.ZstdError as error:
        raise BodyError(f"cannot decompress the body: {error}") from error


def _join_members(body: bytes, decompressor_of_one: Callable[[], Any], max_bytes: int) -> bytes:
    """The contents of all members (gzip's word; zstd says frames), which simply follow one another."""
    parts: list[bytes] = []
    size, rest = 0, body
    while rest:
        if len(parts) == MAX_MEMBERS:
            raise BodyError(f"cannot decompress the body: it has more than {MAX_MEMBERS} members; send it as one")
        decompressor = decompressor_of_one()
        part = decompressor.decompress(rest, max_bytes + 1 - size)
        size += len(part)
        if size > max_bytes:
            raise BodyTooLargeError(max_bytes)
        if not decompressor.eof:
            raise BodyError("cannot decompress the body: it is cut off")
        parts.append(part)
        rest = decompressor.unused_data
    return b"".join(parts)


def from_json(body: bytes, message: Message) -> None:
    """Fill `message` from OTLP/JSON, in which ids are hex where protobuf's own JSON mapping has base64.

    Raises BodyError with the place of the fault.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BodyError(f"cannot read the body as JSON: {error}") from error
    if not isinstance(document, dict):
        raise BodyError("cannot read the body as OTLP/JSON: the top level must be an object")
    try:
        json_format.ParseDict(_ids_as_base64(document, 0), message, ignore_unknown_fields=True)
    except (json_format.ParseError, RecursionError, ValueError) as error:
        raise BodyError(f"cannot read the body as OTLP/JSON: {error}") from error


def _ids_as_base64(value: Any, depth: int) -> Any:
    if depth > MAX_JSON_DEPTH:
        raise BodyError(f"cannot read the body as OTLP/JSON: nested deeper than {MAX_JSON_DEPTH} levels")
    if isinstance(value, dict):
        return {
            key: _base64(key, item) if key in HEX_FIELDS and isinstance(item, str) else _ids_as_base64(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_ids_as_base64(item, depth + 1) for item in value]
    return value


def _base64(key: str, text: str) -> str:
    try:
        return base64.b64encode(binascii.unhexlify(text)).decode()
    except (binascii.Error, ValueError) as error:
        raise BodyError(f"cannot read {key} {text[:40]!r}: OTLP/JSON ids are hexadecimal") from error
