"""Native histograms out of the store; increases are made cumulative."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tocsin.model.histogram import CUSTOM_SCHEMA, NativeHistogram
from tocsin.model.tenant import Scope
from tocsin.storage.telemetry.store import TelemetryStore

STALE_BITS = 0x7FF0000000000002

COLUMNS = (
    "toString(series), toUnixTimestamp64Milli(time), is_delta, schema, count, toString(reinterpretAsUInt64(sum)), "
    "zero_threshold, zero_count, positive_indexes, positive_counts, negative_indexes, negative_counts, custom_bounds, "
    "reset_hint"
)


def read(
    store: TelemetryStore, scope: Scope, names: Mapping[int, str], start_ms: int, end_ms: int
) -> dict[int, dict[int, NativeHistogram]]:
    """By series id and time in milliseconds. Deltas count from the start of the range."""
    if not names:
        return {}
    sql = (
        f"SELECT {COLUMNS} FROM native_histograms FINAL WHERE name IN {{names:Array(String)}} AND series IN "
        f"{{ids:Array(UInt64)}} AND time > fromUnixTimestamp64Milli({{start:Int64}}) "
        f"AND time <= fromUnixTimestamp64Milli({{end:Int64}}) ORDER BY series, time"
    )
    rows = store.read(scope, sql, names=sorted(set(names.values())), ids=list(names), start=start_ms, end=end_ms).rows
    found: dict[int, dict[int, NativeHistogram]] = {}
    for row in rows:
        own = found.setdefault(int(row[0]), {})
        histogram = _histogram(row)
        if row[2] and own:
            histogram = added(own[next(reversed(own))], histogram)
        own[int(row[1])] = histogram
    return found


def is_stale(histogram: NativeHistogram) -> bool:
    return bool(struct.unpack("<Q", struct.pack("<d", histogram.sum))[0] == STALE_BITS)


def added(one: NativeHistogram, other: NativeHistogram) -> NativeHistogram:
    """Both together, in the coarser of their schemas."""
    if (one.schema == CUSTOM_SCHEMA) != (other.schema == CUSTOM_SCHEMA):
        return other
    schema = min(one.schema, other.schema)
    one, other = coarser(one, schema), coarser(other, schema)
    return replace(
        other,
        count=one.count + other.count,
        sum=one.sum + other.sum,
        zero_threshold=max(one.zero_threshold, other.zero_threshold),
        zero_count=one.zero_count + other.zero_count,
        positive=_summed(one.positive.items(), other.positive.items()),
        negative=_summed(one.negative.items(), other.negative.items()),
    )


def coarser(histogram: NativeHistogram, schema: int) -> NativeHistogram:
    """With pairs of buckets merged until it has this schema, which is its own or lower."""
    by = histogram.schema - schema
    if not by:
        return histogram

    def merged(buckets: Mapping[int, float]) -> dict[int, float]:
        return _summed((((index - 1 >> by) + 1, count) for index, count in buckets.items()))

    return replace(histogram, schema=schema, positive=merged(histogram.positive), negative=merged(histogram.negative))


def _summed(*parts: Iterable[tuple[int, float]]) -> dict[int, float]:
    total: dict[int, float] = {}
    for part in parts:
        for index, count in part:
            total[index] = total.get(index, 0.0) + count
    return dict(sorted(total.items()))


def _histogram(row: list[Any]) -> NativeHistogram:
    (_, _, _, schema, count, sum_bits, threshold, zeros, up_at, up, down_at, down, bounds, hint) = row
    return NativeHistogram(
        schema=schema,
        count=count,
        sum=struct.unpack("<d", struct.pack("<Q", int(sum_bits)))[0],
        zero_threshold=threshold,
        zero_count=zeros,
        positive=dict(zip(up_at, up, strict=True)),
        negative=dict(zip(down_at, down, strict=True)),
        custom_bounds=tuple(bounds),
        reset_hint=hint,
    )
