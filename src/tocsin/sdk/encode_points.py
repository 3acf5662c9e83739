"""Points of OTLP metrics that several encoders write. Source: opentelemetry-proto, metrics.proto."""

from __future__ import annotations

import struct
from typing import Protocol

from tocsin.sdk.encode import delimited, varint
from tocsin.sdk.encode import text as utf8
from tocsin.sdk.red import SCALE

DELTA, CUMULATIVE = b"\x10\x01", b"\x10\x02"
TIMES = struct.Struct("<sQsQ")
COUNT_AND_SUM = struct.Struct("<sQsd")
_SCALE_FIELD = b"\x30" + varint(SCALE << 1)  # sint32: zigzag


class Spread(Protocol):
    """Seconds in exponential buckets of `red.SCALE`."""

    buckets: dict[int, int]
    seconds: float

    @property
    def count(self) -> int: ...


def metric(name: str, unit: str, data_tag: bytes, points: list[bytes]) -> bytes:
    return head(name, unit) + delimited(data_tag, b"".join(points) + DELTA) if points else b""


def head(name: str, unit: str) -> bytes:
    return delimited(b"\x0a", utf8(name)) + (delimited(b"\x1a", utf8(unit)) if unit else b"")


def plain_point(labels: bytes, times: bytes, count: int, total: float) -> bytes:
    return delimited(b"\x0a", times + COUNT_AND_SUM.pack(b"\x21", count, b"\x29", total) + labels)


def exponential(row: Spread) -> bytes:
    first, last = min(row.buckets), max(row.buckets)
    counts = b"".join([varint(row.buckets.get(index, 0)) for index in range(first, last + 1)])
    offset = varint(first << 1 if first >= 0 else -first * 2 - 1)
    buckets = b"\x08" + offset + delimited(b"\x12", counts)
    return COUNT_AND_SUM.pack(b"\x21", row.count, b"\x29", row.seconds) + _SCALE_FIELD + delimited(b"\x42", buckets)
