"""Native histograms as rows for the engine."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from tocsin.model.histogram import CUSTOM_SCHEMA, NativeHistogram
from tocsin.storage.telemetry.spool import varint

MAX_BUCKETS = 10_000
SCHEMAS = range(-4, 9)


class HistogramError(ValueError):
    """A native histogram contradicts itself."""


def of_prometheus(message: Any) -> NativeHistogram:
    """A remote-write histogram with its buckets counted out. Raises HistogramError."""
    if message.schema not in SCHEMAS and message.schema != CUSTOM_SCHEMA:
        raise HistogramError(f"cannot use histogram schema {message.schema}: it is neither -4 to 8 nor -53")
    is_integer = message.HasField("count_int")
    sides = (
        (message.positive_spans, message.positive_deltas, message.positive_counts),
        (message.negative_spans, message.negative_deltas, message.negative_counts),
    )
    positive, negative = (_buckets(spans, deltas if is_integer else (), counts) for spans, deltas, counts in sides)
    return NativeHistogram(
        schema=message.schema,
        count=float(message.count_int if is_integer else message.count_float),
        sum=message.sum,
        zero_threshold=message.zero_threshold,
        zero_count=float(message.zero_count_int) if is_integer else message.zero_count_float,
        positive=positive,
        negative=negative,
        custom_bounds=tuple(message.custom_values),
        reset_hint=message.reset_hint,
    )


def _buckets(spans: Sequence[Any], deltas: Sequence[int], counts: Sequence[float]) -> dict[int, float]:
    """Counts by index. Integer histograms give each bucket as the difference to the one before it."""
    if sum(span.length for span in spans) > MAX_BUCKETS:
        raise HistogramError(f"cannot use a histogram of more than {MAX_BUCKETS} buckets")
    indexes: list[int] = []
    at = 0
    for span in spans:
        at += span.offset
        indexes += range(at, at + span.length)
        at += span.length
    values: list[float] = list(counts)
    if deltas:
        running, values = 0, []
        for delta in deltas:
            running += delta
            values.append(float(running))
    if len(values) != len(indexes) or any(value < 0 for value in values):
        raise HistogramError(
            f"cannot use a histogram whose spans have {len(indexes)} buckets and which gives {len(values)} counts, all "
            "of which must be 0 or more"
        )
    return {index: value for index, value in zip(indexes, values, strict=True) if value}


def histogram_row(fields: bytes, time_ms: int, histogram: NativeHistogram, *, is_delta: bool = False) -> bytes:
    """A row of the native histograms table; `fields` are the series' own."""
    return b"".join(
        (
            _key(2, 0), varint(time_ms), fields, _key(6, 0), varint(int(is_delta)),
            _key(7, 0), varint(_zigzag(histogram.schema)), _key(8, 0), varint(histogram.reset_hint),
            _double(9, histogram.count), _double(10, histogram.sum),
            _double(11, histogram.zero_threshold), _double(12, histogram.zero_count),
            _indexes(13, histogram.positive), _doubles(14, histogram.positive.values()),
            _indexes(15, histogram.negative), _doubles(16, histogram.negative.values()),
            _doubles(17, histogram.custom_bounds),
        )
    )  # fmt: skip


def _key(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def _double(number: int, value: float) -> bytes:
    return _key(number, 1) + struct.pack("<d", value)


def _indexes(number: int, buckets: Mapping[int, float]) -> bytes:
    return _packed(number, b"".join(varint(_zigzag(index)) for index in buckets))


def _doubles(number: int, values: Any) -> bytes:
    return _packed(number, b"".join(struct.pack("<d", value) for value in values))


def _packed(number: int, values: bytes) -> bytes:
    """A field of many numbers; the engine cannot read one of none."""
    return _key(number, 2) + varint(len(values)) + values if values else b""


def _zigzag(value: int) -> int:
    return value * 2 if value >= 0 else -2 * value - 1
