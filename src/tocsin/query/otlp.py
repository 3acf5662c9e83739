"""A stored trace as OTLP/JSON, the way it could be sent again."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from tocsin.model.rows import KINDS
from tocsin.query.attributes import otlp_json
from tocsin.query.traces import STATUSES, SpanRecord, Trace


def trace_document(trace: Trace) -> dict[str, Any]:
    """TracesData of the whole trace: spans grouped by resource and scope, ids in hex, times as text."""
    spans = sorted(trace.spans, key=_group)
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": otlp_json(group[0].resource)},
                "scopeSpans": [_scope(list(members)) for _, members in groupby(group, key=_scope_key)],
            }
            for group in (list(members) for _, members in groupby(spans, key=lambda span: repr(span.resource)))
        ]
    }


def _group(span: SpanRecord) -> tuple[str, str, str, int]:
    return (repr(span.resource), *_scope_key(span), span.start_ns)


def _scope_key(span: SpanRecord) -> tuple[str, str]:
    return span.scope_name, span.scope_version


def _scope(spans: list[SpanRecord]) -> dict[str, Any]:
    scope = {"name": spans[0].scope_name, "version": spans[0].scope_version}
    return {"scope": {key: value for key, value in scope.items() if value}, "spans": [_span(span) for span in spans]}


def _span(span: SpanRecord) -> dict[str, Any]:
    document: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": KINDS.index(span.kind),
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.start_ns + span.duration_ns),
        "attributes": otlp_json(span.attributes),
        "status": {"code": STATUSES.index(span.status)},
    }
    if span.parent_span_id:
        document["parentSpanId"] = span.parent_span_id
    if span.status_message:
        document["status"]["message"] = span.status_message
    if span.trace_state:
        document["traceState"] = span.trace_state
    if span.flags:
        document["flags"] = span.flags
    if span.events:
        document["events"] = [
            {"timeUnixNano": str(event.time_ns), "name": event.name, "attributes": otlp_json(event.attributes)}
            for event in span.events
        ]
    if span.links:
        document["links"] = [
            {"traceId": link.trace_id, "spanId": link.span_id, "attributes": otlp_json(link.attributes)}
            | ({"traceState": link.trace_state} if link.trace_state else {})
            for link in span.links
        ]
    return document
