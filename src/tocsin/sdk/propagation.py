"""W3C Trace Context: reading `traceparent` and `tracestate`, and making ids.

Ids are bytes, as OTLP carries them: 16 for a trace, 8 for a span, none for "no parent".
"""

from __future__ import annotations

import os
import random
from binascii import unhexlify

_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
# What a header may begin with (version ff is forbidden) and end with (bit 0 of the flags is "sampled").
_VERSIONS = frozenset(b"%02x-" % version for version in range(255))
_IS_SAMPLED = {b"%02x" % flags: flags & 1 == 1 for flags in range(256)}
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
    is_sampled = _IS_SAMPLED.get(value[53:])
    if is_sampled is None or value[:3] not in _VERSIONS or value[35:53:17] != b"--" or value != value.lower():
        return None
    try:
        trace_id, span_id = unhexlify(value[3:35]), unhexlify(value[36:52])
    except ValueError:
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return trace_id, span_id, is_sampled, _trace_state(trace_state) if trace_state else ""


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


# os.urandom releases the GIL and then has to win it back; a generator seeded from it once does not.
_random = random.Random()
_new_bits = _random.getrandbits


def new_trace_id() -> bytes:
    return (_new_bits(128) or 1).to_bytes(16, "big")


def new_span_id() -> bytes:
    return (_new_bits(64) or 1).to_bytes(8, "big")


def _reseed() -> None:
    _random.seed(os.urandom(16))


# Without this every forked worker would hand out the same ids.
os.register_at_fork(after_in_child=_reseed)
