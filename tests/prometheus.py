"""Builds remote-write requests for tests: `write_request([series("up", [(ms, 1.0)], job="x")])`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import cramjam

from tocsin.ingest.prometheus_messages import CLASSES

MINUTE_MS = 60_000
NOW_MS = time.time_ns() // 10**6 // 3_600_000 * 3_600_000 - 3_600_000
"""A whole hour in the recent past, as NOW_NS of `otlp`."""
SNAPPY = {"content-type": "application/x-protobuf", "content-encoding": "snappy"}
SNAPPY_2 = SNAPPY | {"content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}

Points = Sequence[tuple[int, float]]


def series(name: str, points: Points, labels: dict[str, str] | None = None, **more: str) -> Any:
    """A TimeSeries of 1.0 with sorted labels."""
    message = CLASSES["TimeSeries"]()
    for key, value in sorted({"__name__": name, **(labels or {}), **more}.items()):
        message.labels.add(name=key, value=value)
    for time_ms, value in points:
        message.samples.add(timestamp=time_ms, value=value)
    return message


def write_request(entries: Sequence[Any], metadata: Sequence[dict[str, Any]] = ()) -> bytes:
    request = CLASSES["WriteRequest"]()
    request.timeseries.extend(entry.SerializeToString() for entry in entries)
    for entry in metadata:
        request.metadata.add(**entry)
    encoded: bytes = request.SerializeToString()
    return encoded


def request_2(entries: Sequence[tuple[dict[str, str], Points]], **metadata: Any) -> bytes:
    """A request of 2.0; `metadata` (type, help, unit) holds for all series."""
    request = CLASSES["Request2"]()
    symbols = {"": 0}

    def ref(text: str) -> int:
        return symbols.setdefault(text, len(symbols))

    for labels, points in entries:
        message = request.timeseries.add()
        for key, value in sorted(labels.items()):
            message.labels_refs.extend([ref(key), ref(value)])
        for time_ms, number in points:
            message.samples.add(timestamp=time_ms, value=number)
        message.metadata.type = metadata.get("type", 0)
        message.metadata.help_ref, message.metadata.unit_ref = (ref(metadata.get(k, "")) for k in ("help", "unit"))
    request.symbols.extend(symbols)
    encoded: bytes = request.SerializeToString()
    return encoded


def snappy(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))
