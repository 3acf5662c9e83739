"""Traces: searched by what their spans are, and read whole."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from tocsin.model.rows import KINDS
from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query.attributes import decode_attributes, values_sql
from tocsin.query.filters import seconds_text, within
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

STATUSES = ("unset", "ok", "error")
MAX_SPANS = 20_000
MAX_LIMIT = 1000
# Spans looked at for each trace wanted, before all are put together by trace.
_SPANS_OF_A_TRACE = 8


class TraceQueryError(ValueError):
    """A search asks for something that cannot be searched for."""


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """Which traces to find: those with a span that fits all of this. None leaves a condition out."""

    window: Window
    environment: str | None = None
    tenant: str | None = None
    service: str | None = None
    route: str | None = None
    operation: str | None = None  # the span's name
    status: str | None = None  # error, ok, a status code such as 500, or a class such as 4xx
    min_duration_ms: float | None = None
    max_duration_ms: float | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    limit: int = 50
    order: str = "newest"  # or "slowest"
    caller: str | None = None  # the service whose span is the parent of the one that fits
    before_ns: int | None = None  # only spans that start earlier: the next page of a newest-first search


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One line of a search: the trace's root span, or its earliest one that the scope allows."""

    trace_id: str
    start_ns: int
    duration_ns: int
    service: str
    name: str
    method: str
    route: str
    status_code: int
    is_error: bool
    tenant: str
    environment: str
    spans: int
    services: list[str]
    error: str  # exception type or status message of a failed span, '' if none
    found_ns: int = 0  # start of its newest span that fits; as `before_ns` it asks for the page after this trace


@dataclass(frozen=True, slots=True)
class SpanEvent:
    time_ns: int
    name: str
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SpanLink:
    trace_id: str
    span_id: str
    attributes: dict[str, Any]
    trace_state: str = ""


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One span. Ids are lower-case hex; `parent_span_id` is '' for a root."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: str
    start_ns: int
    duration_ns: int
    status: str
    status_message: str
    service: str
    tenant: str
    environment: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope_name: str
    events: list[SpanEvent]
    links: list[SpanLink]
    scope_version: str = ""
    trace_state: str = ""
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    """The spans of one request across services, by start."""

    trace_id: str
    spans: list[SpanRecord]
    start_ns: int
    duration_ns: int
    is_truncated: bool = False  # more spans than can be shown
    _ids: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def root(self) -> SpanRecord:
        """The span without a parent, or the earliest whose parent is not here."""
        roots = [span for span in self.spans if span.parent_span_id not in self._ids]
        return next((span for span in roots if not span.parent_span_id), (roots or self.spans)[0])

    @property
    def is_partial(self) -> bool:
        """Whether some spans' parents are missing: sampled away, not arrived yet, or outside the scope."""
        return any(span.parent_span_id and span.parent_span_id not in self._ids for span in self.spans)


def search(store: TelemetryStore, scope: Scope, query: TraceQuery) -> list[TraceSummary]:
    """Traces with a span that fits the query, newest (or slowest) first. Raises TraceQueryError."""
    if query.order not in ("newest", "slowest"):
        raise TraceQueryError(f"cannot order traces by {query.order!r}; use newest or slowest")
    narrowed = scope.narrowed_to(query.tenant)
    conditions, parameters = _conditions(query)
    limit = max(1, min(query.limit, MAX_LIMIT))
    found: dict[str, int] = {}
    windows = _newest_part_first(query.window) if query.order == "newest" else [query.window]
    for window in windows:
        parameters |= _window_parameters(window)
        found = _matching(store, narrowed, conditions, parameters, query.order, limit, found)
        if len(found) >= limit:
            break
    ids = list(found)[:limit]
    seen = [found[trace_id] for trace_id in ids]
    summaries = _summaries(store, narrowed, ids, Window(min(seen), max(seen) + 1)) if ids else {}
    return [replace(summaries[trace_id], found_ns=found[trace_id]) for trace_id in ids if trace_id in summaries]


def _newest_part_first(window: Window) -> list[Window]:
    """The window cut into growing parts, newest first: a search that is full after five minutes reads no more."""
    parts, end, seconds = [], window.end_ns, 300
    while end > window.start_ns:
        start = max(window.start_ns, end - seconds * 10**9)
        parts.append(Window(start, end))
        end, seconds = start, seconds * 6
    return parts


def _window_parameters(window: Window) -> dict[str, Value]:
    return {"start": seconds_text(window.start_ns), "end": seconds_text(window.end_ns)}


def _matching(
    store: TelemetryStore,
    scope: Scope,
    conditions: str,
    parameters: dict[str, Value],
    order: str,
    limit: int,
    found: dict[str, int],
) -> dict[str, int]:
    """`found` (the start of a matching span by trace id) with the matches of one more window behind it.

    A few spans a trace in order are usually enough; putting all spans of a busy window together by trace would take a
    thousand times the memory.
    """
    by = "start" if order == "newest" else "duration_ns"
    spans = (
        f"SELECT lower(hex(trace_id)), toUnixTimestamp64Nano(start) FROM spans WHERE {conditions} "
        f"ORDER BY {by} DESC LIMIT {{limit:UInt32}}"
    )
    most = _SPANS_OF_A_TRACE * limit
    rows = store.read(scope, spans, **parameters, limit=most).rows
    if len(rows) == most and len({trace_id for trace_id, _ in rows} | found.keys()) < limit:
        by_trace = (
            f"SELECT lower(hex(trace_id)), toUnixTimestamp64Nano(max(start)) FROM spans WHERE {conditions} "
            f"GROUP BY trace_id ORDER BY max({by}) DESC LIMIT {{limit:UInt32}}"
        )
        rows = store.read(scope, by_trace, **parameters, limit=limit).rows
    for trace_id, start in rows:
        found.setdefault(trace_id, start)
    return found


def _conditions(query: TraceQuery) -> tuple[str, dict[str, Value]]:
    parts = [within("start")]
    parameters: dict[str, Value] = {}

    def require(condition: str, **values: Value) -> None:
        parts.append(condition)
        parameters.update(values)

    for name in ("environment", "service", "route"):
        if (value := getattr(query, name)) is not None:
            require(f"{name} = {{{name}:String}}", **{name: value})
    if query.operation is not None:
        require("name = {operation:String}", operation=query.operation)
    if query.status:
        parts.append(_status_condition(query.status))
    if query.min_duration_ms is not None:
        require("duration_ns >= {least:UInt64}", least=_nanoseconds(query.min_duration_ms))
    if query.max_duration_ms is not None:
        require("duration_ns <= {most:UInt64}", most=_nanoseconds(query.max_duration_ms))
    for index, (key, value) in enumerate(query.attributes):
        names: dict[str, Value] = {f"key{index}": key, f"value{index}": value}
        require(f"({_attribute('attributes', index)} OR {_attribute('resource', index)})", **names)
    if query.caller is not None:
        above = "SELECT trace_id, span_id FROM spans WHERE service = {caller:String} AND "
        require(f"(trace_id, parent_span_id) IN ({above}{within('start')})", caller=query.caller)
    if query.before_ns is not None:
        require("start < {before:DateTime64(9)}", before=seconds_text(query.before_ns))
    return " AND ".join(parts), parameters


def _attribute(place: str, index: int) -> str:
    # A map answers '' for a key that it does not have.
    return (
        f"({place}[{{key{index}:String}}] = {{value{index}:String}} "
        f"AND ({{value{index}:String}} != '' OR mapContains({place}, {{key{index}:String}})))"
    )


def _status_condition(status: str) -> str:
    text = status.strip().lower()
    if text == "error":
        return "(status = 2 OR status_code >= 500)"
    if text == "ok":
        return "(status != 2 AND status_code < 500)"
    if re.fullmatch(r"[1-5]xx", text):
        return f"intDiv(status_code, 100) = {text[0]}"
    if re.fullmatch(r"[1-5][0-9][0-9]", text):
        return f"status_code = {text}"
    raise TraceQueryError(f"cannot search for status {status[:40]!r}; use error, ok, a code such as 500, or 4xx")


def _nanoseconds(milliseconds: float) -> int:
    if not 0 <= milliseconds < 1e12:
        raise TraceQueryError(f"cannot search for a duration of {milliseconds} ms; give 0 or more")
    return int(milliseconds * 1e6)


def _summaries(store: TelemetryStore, scope: Scope, ids: list[str], window: Window) -> dict[str, TraceSummary]:
    # A trace may have begun before, or go on after, the window in which one of its spans was found.
    slack_ns = 3600 * 10**9
    first = "argMin(s.{}, (s.parent_span_id != toFixedString('', 8), s.start))".format
    sql = (
        f"SELECT lower(hex(s.trace_id)) AS trace_id, toUnixTimestamp64Nano(min(s.start)) AS start_ns, "
        f"max(toUnixTimestamp64Nano(s.start) + s.duration_ns) - start_ns AS duration_ns, "
        f"{first('service')} AS service, "
        f"{first('name')} AS name, {first('method')} AS method, {first('route')} AS route, "
        f"{first('status_code')} AS status_code, max(s.status = 2 OR s.status_code >= 500) AS is_error, "
        f"{first('tenant')} AS tenant, {first('environment')} AS environment, count() AS spans, "
        f"groupUniqArray(20)(s.service) AS services, anyIf(if(s.attributes['error.type'] != '', "
        f"s.attributes['error.type'], s.status_message), s.status = 2) AS error "
        f"FROM spans AS s WHERE s.trace_id IN (SELECT toFixedString(unhex(arrayJoin({{ids:Array(String)}})), 16)) "
        f"AND {within('s.start')} GROUP BY s.trace_id"
    )
    wide = Window(window.start_ns - slack_ns, window.end_ns + slack_ns)
    rows = store.read(scope, sql, ids=ids, **_window_parameters(wide)).dicts()
    return {
        row["trace_id"]: TraceSummary(
            **(row | {"is_error": bool(row["is_error"]), "services": sorted(row["services"])})
        )
        for row in rows
    }


def get(store: TelemetryStore, scope: Scope, trace_id: str) -> Trace | None:
    """The whole trace, as far as the scope allows; None when nothing of it is there.

    Raises TraceQueryError unless `trace_id` is 32 hex digits.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{32}", trace_id):
        raise TraceQueryError(f"cannot read trace {trace_id[:64]!r}: a trace id is 32 hexadecimal digits")
    rows = store.read(
        scope, f"{SPAN_SELECT} ORDER BY start, span_id LIMIT {MAX_SPANS + 1}", trace_id=trace_id.lower()
    ).dicts()
    if not rows:
        return None
    spans = [_span(row) for row in rows[:MAX_SPANS]]
    start = min(span.start_ns for span in spans)
    end = max(span.start_ns + span.duration_ns for span in spans)
    return Trace(
        trace_id=trace_id.lower(),
        spans=spans,
        start_ns=start,
        duration_ns=end - start,
        is_truncated=len(rows) > MAX_SPANS,
        _ids=frozenset(span.span_id for span in spans),
    )


def _nested_values(attributes: str, types: str) -> str:
    return f"arrayMap((m, l) -> {values_sql('m', 'l')}, {attributes}, {types})"


SPAN_SELECT = f"""
SELECT lower(hex(trace_id)) AS trace_id, lower(hex(span_id)) AS span_id, lower(hex(parent_span_id)) AS parent,
    name, kind, toUnixTimestamp64Nano(start) AS start_ns, duration_ns, status, status_message, service, tenant,
    environment, scope_name, scope_version, trace_state, flags,
    mapKeys(attributes) AS keys, {values_sql("attributes", "attribute_types")} AS values, attribute_types AS types,
    mapKeys(resource) AS resource_keys, {values_sql("resource", "resource_types")} AS resource_values, resource_types,
    event_times, event_names, arrayMap(m -> mapKeys(m), event_attributes) AS event_keys,
    {_nested_values("event_attributes", "event_types")} AS event_values, event_types,
    arrayMap(i -> lower(hex(i)), link_trace_ids) AS link_traces,
    arrayMap(i -> lower(hex(i)), link_span_ids) AS link_spans, link_states,
    arrayMap(m -> mapKeys(m), link_attributes) AS link_keys,
    {_nested_values("link_attributes", "link_types")} AS link_values, link_types
FROM spans WHERE spans.trace_id = toFixedString(unhex({{trace_id:String}}), 16)"""


def _span(row: dict[str, Any]) -> SpanRecord:
    return SpanRecord(
        trace_id=row["trace_id"],
        span_id=row["span_id"],
        parent_span_id="" if row["parent"] == "0" * 16 else row["parent"],
        name=row["name"],
        kind=KINDS[row["kind"]] if 0 <= row["kind"] < len(KINDS) else KINDS[0],
        start_ns=row["start_ns"],
        duration_ns=row["duration_ns"],
        status=STATUSES[row["status"]] if 0 <= row["status"] < len(STATUSES) else STATUSES[0],
        status_message=row["status_message"],
        service=row["service"],
        tenant=row["tenant"],
        environment=row["environment"],
        attributes=decode_attributes(row["keys"], row["values"], row["types"]),
        resource=decode_attributes(row["resource_keys"], row["resource_values"], row["resource_types"]),
        scope_name=row["scope_name"],
        scope_version=row["scope_version"],
        trace_state=row["trace_state"],
        flags=row["flags"],
        events=[
            SpanEvent(time_ns, name, decode_attributes(keys, values, types))
            for time_ns, name, keys, values, types in zip(
                *(row[f"event_{part}"] for part in ("times", "names", "keys", "values", "types")), strict=True
            )
        ],
        links=[
            SpanLink(trace_id, span_id, decode_attributes(keys, values, types), state)
            for trace_id, span_id, state, keys, values, types in zip(
                *(row[f"link_{part}"] for part in ("traces", "spans", "states", "keys", "values", "types")),
                strict=True,
            )
        ],
    )
