"""Checks parsed OTLP messages item by item: what cannot be stored is taken out and explained to the sender."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tocsin.ingest.body import BodyError
from tocsin.ingest.log_bodies import write_out
from tocsin.ingest.reasons import told
from tocsin.storage.telemetry.decode import Signal

REQUESTS: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
ITEM_NAMES = {Signal.TRACES: "spans", Signal.METRICS: "data points", Signal.LOGS: "log records"}
NULL_TRACE_ID, NULL_SPAN_ID = bytes(16), bytes(8)
HEAVY_SPAN_BYTES = 4096  # average size from which the spans of a request are looked at more closely


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an item may look like. Times are nanoseconds since 1970."""

    oldest_ns: int
    newest_ns: int
    max_attributes: int
    max_events: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A message fit for the spool, and what the sender should be told about it."""

    message: bytes
    items: int  # that will be stored
    rejected: int
    explanation: str  # '' when there is nothing to say


def parse(signal: Signal, body: bytes) -> Any:
    """The body as an OTLP request. Raises BodyError when it is not one."""
    try:
        return REQUESTS[signal].FromString(body)
    except DecodeError as error:
        raise BodyError(
            f"cannot read the body as an OTLP {signal} request: it is not valid protobuf, or a string in it is not "
            f"UTF-8 ({error}); check the exporter's protocol setting"
        ) from error


def check(signal: Signal, body: bytes | None, request: Any, bounds: Bounds) -> Checked:
    """Take unusable items out of `request`. `body` is its encoding if there is one, to be passed on untouched unless
    something is taken out or a log record's body written out."""
    problems: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    if signal is Signal.TRACES:
        items = _check_spans(request, bounds, problems, notes)
    elif signal is Signal.LOGS:
        items = _check_logs(request, bounds, problems)
    else:
        items = _check_metrics(request, bounds, problems)
    rejected = problems.total()
    is_changed = signal is Signal.LOGS and write_out(request, body)
    message = request.SerializeToString() if rejected or is_changed or body is None else body
    return Checked(message, items - rejected, rejected, _explain(signal, problems, notes))


def _explain(signal: Signal, problems: Counter[str], notes: Counter[str]) -> str:
    name = ITEM_NAMES[signal]
    return "; ".join([*told(problems, f"{name} rejected"), *told(notes, f"{name} accepted")])


def _check_spans(request: Any, bounds: Bounds, problems: Counter[str], notes: Counter[str]) -> int:
    # One pass with the cheap tests inline: this loop runs for every span that ever arrives. Counting events and links
    # costs as much again, so it is left out where the spans of a request are small on average.
    oldest, newest, max_attributes = bounds.oldest_ns, bounds.newest_ns, bounds.max_attributes
    items = sum(len(scope.spans) for part in request.resource_spans for scope in part.scope_spans)
    is_heavy = request.ByteSize() > HEAVY_SPAN_BYTES * items
    for part in request.resource_spans:
        crowded_resource = len(part.resource.attributes) > bounds.max_attributes
        for scope in part.scope_spans:
            bad = []
            for span in scope.spans:
                start, end, trace_id, span_id = (
                    span.start_time_unix_nano, span.end_time_unix_nano, span.trace_id, span.span_id
                )  # fmt: skip
                if (
                    start < oldest
                    or start > newest
                    or end > newest
                    or len(trace_id) != 16
                    or len(span_id) != 8
                    or trace_id == NULL_TRACE_ID
                    or span_id == NULL_SPAN_ID
                    or crowded_resource
                    or len(span.attributes) > max_attributes
                    or (is_heavy and _is_crowded(span, bounds))
                ):
                    problems[_span_problem(span, bounds)] += 1
                    bad.append(span)
                elif end < start:
                    notes["they end before they start and are kept with duration 0; check the sender's clock"] += 1
            _remove(scope.spans, bad)
    return items


def _is_crowded(span: Any, bounds: Bounds) -> bool:
    entries = (*span.events, *span.links)
    return (
        len(entries) > bounds.max_events
        or len(span.attributes) > bounds.max_attributes
        or any(len(entry.attributes) > bounds.max_attributes for entry in entries)
    )


def _span_problem(span: Any, bounds: Bounds) -> str:
    if len(span.trace_id) != 16 or span.trace_id == NULL_TRACE_ID:
        return "trace_id must be 16 bytes, not all zero"
    if len(span.span_id) != 8 or span.span_id == NULL_SPAN_ID:
        return "span_id must be 8 bytes, not all zero"
    time_problem = _time_problem("start", span.start_time_unix_nano, bounds)
    if not time_problem and span.end_time_unix_nano > bounds.newest_ns:
        time_problem = _time_problem("end", span.end_time_unix_nano, bounds)
    return time_problem or (
        f"more than {bounds.max_attributes} attributes on the span, an event, a link or the resource, or more than "
        f"{bounds.max_events} events and links; lower the SDK's limits"
    )


def _check_logs(request: Any, bounds: Bounds, problems: Counter[str]) -> int:
    # As for spans: one pass with the tests inline.
    oldest, newest, max_attributes = bounds.oldest_ns, bounds.newest_ns, bounds.max_attributes
    items = 0
    for part in request.resource_logs:
        crowded_resource = len(part.resource.attributes) > max_attributes
        for scope in part.scope_logs:
            items += len(scope.log_records)
            bad = []
            for record in scope.log_records:
                time_ns, trace_bytes = record.time_unix_nano, len(record.trace_id)
                if (
                    not oldest <= (time_ns or record.observed_time_unix_nano) <= newest
                    or (trace_bytes != 16 and trace_bytes)
                    or len(record.span_id) not in (0, 8)
                    or crowded_resource
                    or len(record.attributes) > max_attributes
                ):
                    problems[_log_problem(record, bounds)] += 1
                    bad.append(record)
            _remove(scope.log_records, bad)
    return items


def _log_problem(record: Any, bounds: Bounds) -> str:
    if len(record.trace_id) not in (0, 16) or len(record.span_id) not in (0, 8):
        return "trace_id must be empty or 16 bytes and span_id empty or 8 bytes"
    return _time_problem("time", record.time_unix_nano or record.observed_time_unix_nano, bounds) or (
        f"more than {bounds.max_attributes} attributes on the record or its resource"
    )


def _check_metrics(request: Any, bounds: Bounds, problems: Counter[str]) -> int:
    def problem(point: Any) -> str:
        if len(point.attributes) > bounds.max_attributes:
            return f"more than {bounds.max_attributes} attributes"
        return _time_problem("time", point.time_unix_nano, bounds)

    items = 0
    for part in request.resource_metrics:
        for scope in part.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                if kind is not None:
                    points = getattr(metric, kind).data_points
                    items += len(points)
                    _filter(points, problem, problems)
    return items


def _time_problem(name: str, time_ns: int, bounds: Bounds) -> str:
    if bounds.oldest_ns <= time_ns <= bounds.newest_ns:
        return ""
    seconds = min(time_ns // 1_000_000_000, 253_402_300_799)  # the last second of the year 9999
    shown = datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M")
    cause = "in the future" if time_ns > bounds.newest_ns else "older than the retention"
    return f"{name} {shown} UTC is {cause}; check the sender's clock"


def _filter(items: Any, problem: Callable[[Any], str], problems: Counter[str]) -> None:
    bad = []
    for item in items:
        reason = problem(item)
        if reason:
            problems[reason] += 1
            bad.append(item)
    _remove(items, bad)


def _remove(items: Any, bad: Iterable[Any]) -> None:
    marked = {id(item) for item in bad}
    if marked:
        kept = [item for item in items if id(item) not in marked]
        copies = [type(item).FromString(item.SerializeToString()) for item in kept]
        del items[:]
        items.extend(copies)
