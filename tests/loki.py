"""Builds the bodies of Loki's push for tests: `push([stream('{job="shop"}', [(time_ns, "hello")])])`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cramjam

from tocsin.ingest.loki_messages import PushRequest

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}


def push(streams: Sequence[tuple[str, Sequence[tuple[Any, ...]]]]) -> bytes:
    """Streams of (labels, entries); an entry is (time_ns, line) or (time_ns, line, structured metadata)."""
    request = PushRequest()
    for labels, entries in streams:
        stream = request.streams.add(labels=labels)
        for time_ns, line, *metadata in entries:
            entry = stream.entries.add(line=line)
            entry.timestamp.seconds, entry.timestamp.nanos = divmod(time_ns, 10**9)
            for name, value in (metadata[0] if metadata else {}).items():
                entry.metadata.add(name=name, value=value)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def stream(labels: Mapping[str, str], *values: Any) -> dict[str, Any]:
    """A stream in JSON; values are [time, line] or [time, line, structured metadata]."""
    return {"stream": dict(labels), "values": list(values)}
