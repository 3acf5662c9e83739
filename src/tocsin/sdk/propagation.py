"""W3C Trace Context: reading `traceparent` and `tracestate`, and making ids."""

from __future__ import annotations

import os
import random

_HEX = b"0123456789abcdef"
_DASH = ord("-")
_TRACESTATE_CHARACTERS = 8192
_TRACESTATE_MEMBERS = 32


# (trace id, span id, is sampled, trace state): a plain tuple, one is built for each request.
RemoteParent = tuple[int, int, bool, str]


def parse_traceparent(value: bytes, trace_state: bytes = b"") -> RemoteParent | None:
    """The parent in a `traceparent` header, or None when it is malformed (a new trace then begins).

    Source: W3C Trace Context §3.2; a higher version may carry more after the flags.
    """
    # Deleting every hexadecimal digit must leave the dashes: one call instead of a look at each byte.
    if len(value) != 55 or value.translate(None, _HEX) != b"---":
        value = _version_00_part(value)
    if not value or value[2] != _DASH or value[35] != _DASH or value[52] != _DASH or value[:2] == b"ff":
        return None
    trace_id, span_id = int(value[3:35], 16), int(value[36:52], 16)
    if not trace_id or not span_id:
        return None
    state = _trace_state(trace_state) if trace_state else ""
    return trace_id, span_id, int(value[53:55], 16) & 1 == 1, state


def _version_00_part(value: bytes) -> bytes:
    """The first 55 bytes of a padded or future header if they are well-formed, else nothing."""
    value = value.strip()
    head = value[:55]
    if len(head) != 55 or head.translate(None, _HEX) != b"---":
        return b""
    # Only versions to come may carry more, after another dash.
    return head if len(value) == 55 or (head[:2] != b"00" and value[55:56] == b"-") else b""


def _trace_state(header: bytes) -> str:
    """The header as text, or nothing when it is too large or not ASCII: it is only handed on."""
    if len(header) > _TRACESTATE_CHARACTERS or header.count(b",") >= _TRACESTATE_MEMBERS:
        return ""
    try:
        return header.decode("ascii")
    except UnicodeDecodeError:
        return ""


def format_traceparent(trace_id: int, span_id: int, is_sampled: bool) -> str:
    return f"00-{trace_id:032x}-{span_id:016x}-{'01' if is_sampled else '00'}"


# os.urandom releases the GIL and then has to win it back; a generator seeded from it once does not.
_random = random.Random()
new_bits = _random.getrandbits


def new_trace_id() -> int:
    return new_bits(128) or 1


def new_span_id() -> int:
    return new_bits(64) or 1


def _reseed() -> None:
    _random.seed(os.urandom(16))


# Without this every forked worker would hand out the same ids.
os.register_at_fork(after_in_child=_reseed)
