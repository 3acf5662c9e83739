"""W3C Trace Context: reading `traceparent` and `tracestate`, and making ids.

Ids are bytes, as OTLP carries them: 16 for a trace, 8 for a span, none for "no parent".
"""

from __future__ import annotations

import os
import random
import struct
from binascii import unhexlify

_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_FORBIDDEN_VERSION = 0xFF
_DASH = ord("-")
_TRACESTATE_CHARACTERS = 8192
_TRACESTATE_MEMBERS = 32


# (trace id, span id, is sampled, trace state): a plain tuple, one is built for each request.
RemoteParent = tuple[bytes, bytes, bool, str]


def parse_traceparent(value: bytes, trace_state: bytes = b"") -> RemoteParent | None:
    """The parent in a `traceparent` header, or None when it is malformed (a new trace then begins).

    Source: W3C Trace Context §3.2; a higher version may carry more after the flags.
    """
    if len(value) != 55:
        value = _version_00_part(value)
    try:
        # Four fields in one go: version, trace, parent, flags. Upper case is forbidden, so are dashes elsewhere.
        raw = unhexlify(value.replace(b"-", b""))
    except ValueError:
        return None
    if len(raw) != 26 or value[2] != _DASH or value[35] != _DASH or value[52] != _DASH or value != value.lower():
        return None
    trace_id, span_id = raw[1:17], raw[17:25]
    if trace_id == _NO_TRACE or span_id == _NO_SPAN or raw[0] == _FORBIDDEN_VERSION:
        return None
    return trace_id, span_id, raw[25] & 1 == 1, _trace_state(trace_state) if trace_state else ""


def _version_00_part(value: bytes) -> bytes:
    """The first 55 bytes of a padded or future header, or nothing."""
    value = value.strip()
    # Only versions to come may carry more, after another dash.
    return value[:55] if len(value) == 55 or (value[:2] != b"00" and value[55:56] == b"-") else b""


def _trace_state(header: bytes) -> str:
    """The header as text, or nothing when it is too large or not ASCII: it is only handed on."""
    if len(header) > _TRACESTATE_CHARACTERS or header.count(b",") >= _TRACESTATE_MEMBERS:
        return ""
    try:
        return header.decode("ascii")
    except UnicodeDecodeError:
        return ""


def format_traceparent(trace_id: bytes, span_id: bytes, is_sampled: bool) -> str:
    return f"00-{trace_id.hex()}-{span_id.hex()}-{'01' if is_sampled else '00'}"


# os.urandom releases the GIL and then has to win it back; a generator seeded from it once does not. The one that
# `random` shares is the app's: it may have seeded it.
_random = random.Random()
_new_bits = _random.getrandbits
chance = _random.random


def new_trace_id() -> bytes:
    return (_new_bits(128) or 1).to_bytes(16, "big")


def new_span_id() -> bytes:
    try:
        return _span_ids.pop()
    except IndexError:
        return _make_span_ids()


# Made in portions, which costs a tenth each. Popping is atomic, so threads need no lock.
_PORTION = 128
_split = struct.Struct("8s" * _PORTION).unpack
_span_ids: list[bytes] = []


def _make_span_ids() -> bytes:
    first, *others = _split(_new_bits(64 * _PORTION).to_bytes(8 * _PORTION, "big"))
    if first == _NO_SPAN or _NO_SPAN in others:
        return _make_span_ids()
    _span_ids.extend(others)
    return bytes(first)


def _reseed() -> None:
    _span_ids.clear()
    _random.seed(os.urandom(16))


# Without this every forked worker would hand out the same ids.
os.register_at_fork(after_in_child=_reseed)
