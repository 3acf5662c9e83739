"""Native histograms out of the store; increases are made cumulative."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.query.promql.histogram import Hint, NativeHistogram
from tocsin.storage.telemetry.store import TelemetryStore

STALE_BITS = 0x7FF0000000000002

# As Prometheus' protocols number them.
HINTS: tuple[Hint, ...] = ("unknown", "reset", "not_reset", "gauge")

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
    """Both together, in the coarser of their layouts; the later one where they do not mix."""
    if one.is_custom != other.is_custom:
        return other
    both, _ = one.plus(other)
    return both


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
        custom_values=tuple(bounds),
        hint=HINTS[hint],
    )
