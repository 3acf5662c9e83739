"""W3C Trace Context: reading `traceparent` and `tracestate`, and making ids."""

from __future__ import annotations

import os
import random
from typing import NamedTuple

_HEX = frozenset(b"0123456789abcdef")
_TRACESTATE_CHARACTERS = 8192
_TRACESTATE_MEMBERS = 32


class RemoteParent(NamedTuple):
    """The caller's span, as its headers say."""

    trace_id: int
    span_id: int
    is_sampled: bool
    trace_state: str


def parse_traceparent(value: bytes, trace_state: bytes = b"") -> RemoteParent | None:
    """The parent in a `traceparent` header, or None when it is malformed (a new trace then begins).

    Source: W3C Trace Context §3.2; a higher version may carry more after the flags.
    """
    value = value.strip()
    if len(value) < 55 or value[2] != 45 or value[35] != 45 or value[52] != 45:
        return None
    version, trace_id, span_id, flags = value[:2], value[3:35], value[36:52], value[53:55]
    if not _HEX.issuperset(version + trace_id + span_id + flags) or version == b"ff":
        return None
    if len(value) > 55 and (version == b"00" or value[55] != 45):
        return None
    trace, span = int(trace_id, 16), int(span_id, 16)
    if not trace or not span:
        return None
    return RemoteParent(trace, span, bool(int(flags, 16) & 1), _trace_state(trace_state) if trace_state else "")


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
