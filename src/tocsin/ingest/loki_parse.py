"""A body of Loki's push, protobuf or JSON, as log records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from google.protobuf.message import DecodeError

from tocsin.ingest.body import BodyError
from tocsin.ingest.log_batch import LogBatch
from tocsin.ingest.loki_messages import PushRequest
from tocsin.ingest.stream_labels import LEVELS, Origin, StreamLabelsError, origin_of, origin_of_text
from tocsin.model.log_line import (
    OF_RECORD,
    SPAN_IDS,
    TENANT,
    TRACE_IDS,
    LogLine,
    binary_id,
    json_object,
    line_of_fields,
)
from tocsin.model.log_severity import severity_of_line, severity_of_word
from tocsin.model.log_time import time_ns_of

JOINING = (TENANT, "request.id", "correlation.id", "enduser.id")
"""Fields of a JSON line that tie it to a request; the others are left to queries, as Loki leaves them."""

NO_LABELS = "at least one label pair is required per stream"


@dataclass(slots=True)
class Pushed:
    """The records of one request, and how many could not be read by why."""

    batch: LogBatch = field(default_factory=LogBatch)
    problems: Counter[str] = field(default_factory=Counter)


def read_protobuf(body: bytes, tenant: str) -> Pushed:
    """Raises BodyError."""
    try:
        request = PushRequest.FromString(body)
    except DecodeError as error:
        raise BodyError(
            f"cannot read the body as Loki's push: it is not valid protobuf, or a string in it is not UTF-8 ({error}); "
            "send JSON as application/json"
        ) from error
    pushed = Pushed()
    for stream in request.streams:
        origin = _origin(pushed, stream.labels, tenant, len(stream.entries))
        if origin is None:
            continue
        for entry in stream.entries:
            at = entry.timestamp
            pairs = [(pair.name, pair.value) for pair in entry.metadata]
            _add(pushed, origin, at.seconds * 10**9 + at.nanos, entry.line, pairs)
    return pushed


def read_json(body: bytes, tenant: str) -> Pushed:
    """Raises BodyError, which names the stream and entry at fault."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BodyError(f"cannot read the body as JSON: {error}") from error
    streams = document.get("streams") if isinstance(document, dict) else None
    if not isinstance(streams, list):
        raise BodyError('cannot read the body as Loki\'s push: it must be an object with a list of "streams"')
    pushed = Pushed()
    for place, stream in enumerate(streams):
        if not isinstance(stream, dict):
            raise BodyError(f"cannot read streams[{place}]: it is no object")
        _read_stream(pushed, stream, f"streams[{place}]", tenant)
    return pushed


def _read_stream(pushed: Pushed, stream: Mapping[str, Any], where: str, tenant: str) -> None:
    """In today's form, {"stream": {…}, "values": [[time, line, {…}]]}, or that of Loki before 1.0."""
    labels = stream.get("stream", stream.get("labels"))
    values = stream.get("values", stream.get("entries", []))
    if not isinstance(labels, (dict, str)) or not isinstance(values, list):
        raise BodyError(f'cannot read {where}: it needs "stream", an object of labels, and "values", a list')
    if isinstance(labels, dict) and not all(isinstance(value, str) for value in labels.values()):
        raise BodyError(f"cannot read {where}: a label is no text")
    origin = _origin(pushed, labels, tenant, len(values))
    for place, value in enumerate(values):
        time_ns, line, pairs = _read_value(value, f"{where}.values[{place}]")
        if origin is not None:
            _add(pushed, origin, time_ns, line, pairs)


def _read_value(value: Any, where: str) -> tuple[int, str, Iterable[tuple[str, str]]]:
    if isinstance(value, dict):
        value = [value.get("ts", value.get("timestamp")), value.get("line"), value.get("structuredMetadata") or {}]
    if not isinstance(value, list) or not 2 <= len(value) <= 3 or not isinstance(value[1], str):
        raise BodyError(f'cannot read {where}: it must be [time, line] or [time, line, {{"name": "value"}}]')
    metadata = value[2] if len(value) == 3 else {}
    if not isinstance(metadata, dict) or not all(isinstance(item, str) for item in metadata.values()):
        raise BodyError(f"cannot read {where}: its structured metadata must be an object of texts")
    at = value[0]
    if isinstance(at, str) and at.isdigit():
        return int(at), value[1], metadata.items()
    time_ns = time_ns_of(at) if isinstance(at, str) else at if isinstance(at, int) else 0
    if not time_ns:
        raise BodyError(f"cannot read {where}: time {str(at)[:40]!r} is no count of nanoseconds since 1970, as text")
    return time_ns, value[1], metadata.items()


def _origin(pushed: Pushed, labels: Mapping[str, str] | str, tenant: str, entries: int) -> Origin | None:
    try:
        origin = origin_of_text(labels, tenant) if isinstance(labels, str) else origin_of(labels.items(), tenant)
    except StreamLabelsError as error:
        pushed.problems[str(error)] += entries
        return None
    if not origin.has_labels:
        pushed.problems[NO_LABELS] += entries
        return None
    return origin


def _add(pushed: Pushed, origin: Origin, time_ns: int, text: str, metadata: Iterable[tuple[str, str]]) -> None:
    if not 0 <= time_ns < 2**63:
        pushed.problems["the time is no count of nanoseconds between 1970 and 2262"] += 1
        return
    line = LogLine(text, time_ns, origin.severity, origin.severity_text)
    for name, value in metadata:
        note_metadata(line, name, value)
    fields = json_object(text)
    if fields is not None:
        _join(line, line_of_fields(text, fields))
    elif not line.severity:
        line.severity = severity_of_line(text)
    # Observed is the line's own time: a request that is sent again must be the same bytes, to be recognised.
    pushed.batch.add(origin.resource, line, time_ns)


def note_metadata(line: LogLine, name: str, value: str) -> None:
    """One pair of structured metadata."""
    if name in LEVELS:
        line.severity, line.severity_text = severity_of_word(value) or line.severity, value
    elif name in TRACE_IDS and (found := binary_id(value, 16)):
        line.trace_id = found
    elif name in SPAN_IDS and (found := binary_id(value, 8)):
        line.span_id = found
    else:
        line.attributes[OF_RECORD.get(name, name)] = value


def _join(line: LogLine, said: LogLine) -> None:
    """Take over what a JSON line says of its request, unless its labels or metadata did."""
    if not line.severity:
        line.severity, line.severity_text = said.severity, line.severity_text or said.severity_text
    if not line.trace_id:
        line.trace_id, line.span_id = said.trace_id, line.span_id or said.span_id
    for name in JOINING:
        if name in said.attributes:
            line.attributes.setdefault(name, said.attributes[name])
