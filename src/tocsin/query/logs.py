"""Log lines: searched newest first, read one by one, with what stands around them and with their trace."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query.attributes import decode_attributes, values_sql
from tocsin.query.filters import seconds_text, within
from tocsin.query.log_filter import LogQuery, placed
from tocsin.query.log_words import LogQueryError
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

MAX_LIMIT = 1000
LIST_CHARACTERS = 4000
"""Of longer messages lists show so much; the line itself is read whole."""
MOST_OF_A_TRACE = 2000
TRACE_SLACK_NS = 3600 * 10**9
CONTEXT_REACH_NS = 24 * 3600 * 10**9
PROCESS_ATTRIBUTES = ("service.instance.id", "host.name", "process.pid", "log.file.path")
"""What tells the processes of a service apart; those that a sender does not say are alike for all of its lines."""

# Nothing numbers the lines of a store. Their time and this tell them apart; lines that are alike in everything are told
# apart only by how many of them stood before.
DIGEST = (
    "cityHash64(time, observed, tenant, service, severity, body, trace_id, span_id, scope_name, "
    "mapKeys(attributes), mapValues(attributes))"
)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line. level: as in `model/log_levels.py`, '' when its sender said none. body: as it was sent, structured
    ones as JSON. message: its readable part, of JSON the text under `message` or its kin. body_characters: of the whole
    body, of which, as of the message, lists hold the beginning."""

    id: str
    time_ns: int
    observed_ns: int
    tenant: str
    environment: str
    service: str
    release: str
    severity: int
    severity_text: str
    level: str
    message: str
    body: str
    body_characters: int
    event_name: str
    trace_id: str
    span_id: str
    logger: str
    attributes: dict[str, Any]
    resource: dict[str, Any]

    @property
    def is_cut(self) -> bool:
        return self.body_characters > len(self.body)

    @property
    def is_error(self) -> bool:
        return self.level in ("error", "fatal")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list that is newest first: behind `seen` lines of this time and digest."""

    time_ns: int
    digest: int
    seen: int = 1

    def __str__(self) -> str:
        return f"{self.time_ns}-{self.digest:016x}-{self.seen}"

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Raises LogQueryError for what no search has given."""
        found = re.fullmatch(r"([0-9]{1,19})-([0-9a-f]{16})-([0-9]{1,9})", text)
        if not found:
            raise LogQueryError(f"cannot read the cursor '{text[:60]}': take the one that a search has given")
        return cls(int(found[1]), int(found[2], 16), int(found[3]))


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines, newest first, and the cursor of the page after them; None when there are no more."""

    lines: list[LogLine]
    older: Cursor | None


@dataclass(frozen=True, slots=True)
class LogContext:
    """What a process wrote around one line; both oldest first."""

    before: list[LogLine]
    after: list[LogLine]


def search(
    store: TelemetryStore, scope: Scope, query: LogQuery, limit: int = 100, before: Cursor | None = None
) -> LogPage:
    """The newest lines that fit, or those behind `before`. Raises LogQueryError."""
    limit = max(1, min(limit, MAX_LIMIT))
    query = placed(store, scope, query)
    narrowed = query.narrowed(scope)
    if before is not None:
        if before.time_ns < query.window.start_ns:
            return LogPage([], None)
        # Lines of the cursor's own time are looked through when lines are read, the others are counted first.
        older = Window(query.window.start_ns, max(query.window.start_ns + 1, before.time_ns))
        times = _newest_times(store, narrowed, query.within(older), limit + 1)
        times.append(before.time_ns)
    else:
        times = _newest_times(store, narrowed, query, limit + 1)
    if not times:
        return LogPage([], None)
    found = _lines_at(store, narrowed, query, times, limit + 1, before)
    return LogPage(found[:limit], _cursor_behind(found[:limit], before) if len(found) > limit else None)


def _newest_times(store: TelemetryStore, scope: Scope, query: LogQuery, count: int) -> list[int]:
    """When the newest `count` lines were, found in growing parts of the window from its end: most searches are full
    after a few minutes, and reading no more than their times is cheap."""
    times: list[int] = []
    for window in newest_part_first(query.window):
        condition, values = query.within(window).condition()
        sql = (
            f"SELECT toUnixTimestamp64Nano(time) FROM logs WHERE {condition} ORDER BY time DESC LIMIT {{limit:UInt32}}"
        )
        times += [row[0] for row in store.read(scope, sql, **values, limit=count - len(times)).rows]
        if len(times) >= count:
            break
    return times


def newest_part_first(window: Window) -> list[Window]:
    """The window in growing parts, newest first."""
    parts, end, seconds = [], window.end_ns, 300
    while end > window.start_ns:
        start = max(window.start_ns, end - seconds * 10**9)
        parts.append(Window(start, end))
        end, seconds = start, seconds * 6
    return parts


def _lines_at(
    store: TelemetryStore, scope: Scope, query: LogQuery, times: list[int], limit: int, before: Cursor | None
) -> list[LogLine]:
    condition, values = query.within(Window(min(times), max(times) + 1)).condition()
    exactly = sorted({seconds_text(time_ns) for time_ns in times})
    more = "time IN (SELECT toDateTime64(arrayJoin({times:Array(String)}), 9, 'UTC'))"
    offset = 0
    if before is not None:
        more += " AND (time < {at:DateTime64(9)} OR digest <= {digest:UInt64})"
        values |= {"at": seconds_text(before.time_ns), "digest": before.digest}
        offset = before.seen
    sql = (
        f"SELECT {_columns(LIST_CHARACTERS)} FROM logs WHERE {condition} AND {more} "
        f"ORDER BY time DESC, digest DESC LIMIT {{limit:UInt32}} OFFSET {{offset:UInt32}}"
    )
    rows = store.read(scope, sql, **values, times=exactly, limit=limit, offset=offset).dicts()
    return [line_of(row) for row in rows]


def _cursor_behind(lines: list[LogLine], before: Cursor | None) -> Cursor:
    last = lines[-1]
    alike = sum(1 for line in lines if line.id == last.id)
    place = Cursor(*_place(last.id), alike)
    if before is not None and (before.time_ns, before.digest) == (place.time_ns, place.digest):
        place = replace(place, seen=before.seen + alike)
    return place


def get(store: TelemetryStore, scope: Scope, id: str) -> LogLine | None:
    """The line, whole; None when it is not there or outside of the scope. Raises LogQueryError for what is no id."""
    time_ns, digest = _place(id)
    sql = f"SELECT {_columns(0)} FROM logs WHERE {within('time')} AND digest = {{digest:UInt64}} LIMIT 1"
    start, end = seconds_text(time_ns), seconds_text(time_ns + 1)
    rows = store.read(scope, sql, start=start, end=end, digest=digest).dicts()
    return line_of(rows[0]) if rows else None


def of_trace(
    store: TelemetryStore, scope: Scope, trace_id: str, window: Window, limit: int = MOST_OF_A_TRACE
) -> list[LogLine]:
    """The lines of a trace whose spans lie in the window, oldest first; late ones and early ones too."""
    wide = Window(max(0, window.start_ns - TRACE_SLACK_NS), window.end_ns + TRACE_SLACK_NS)
    condition, values = LogQuery(wide, trace_ids=(trace_id,)).condition()
    sql = f"SELECT {_columns(LIST_CHARACTERS)} FROM logs WHERE {condition} ORDER BY time, digest LIMIT {{limit:UInt32}}"
    return [line_of(row) for row in store.read(scope, sql, **values, limit=limit).dicts()]


def context(store: TelemetryStore, scope: Scope, line: LogLine, count: int = 20) -> LogContext:
    """What the same process of the same service wrote just before and after the line."""
    return LogContext(
        before=_beside(store, scope, line, count, is_before=True),
        after=_beside(store, scope, line, count, is_before=False),
    )


def _beside(store: TelemetryStore, scope: Scope, line: LogLine, count: int, *, is_before: bool) -> list[LogLine]:
    same = " AND ".join(f"resource['{name}'] = {{p{place}:String}}" for place, name in enumerate(PROCESS_ATTRIBUTES))
    values: dict[str, Value] = {
        f"p{place}": _as_text(line.resource.get(name, "")) for place, name in enumerate(PROCESS_ATTRIBUTES)
    }
    sign, order = ("<", "DESC") if is_before else (">", "ASC")
    _, digest = _place(line.id)
    found: list[LogLine] = []
    for window in _parts_beside(line.time_ns, is_before):
        sql = (
            f"SELECT {_columns(LIST_CHARACTERS)} FROM logs "
            f"WHERE service = {{service:String}} AND environment = {{environment:String}} AND {same} "
            f"AND {within('time')} "
            f"AND (time != {{at:DateTime64(9)}} OR digest {sign} {{digest:UInt64}}) "
            f"ORDER BY time {order}, digest {order} LIMIT {{limit:UInt32}}"
        )
        rows = store.read(
            scope, sql, **values, service=line.service, environment=line.environment, digest=digest,
            at=seconds_text(line.time_ns), start=seconds_text(window.start_ns), end=seconds_text(window.end_ns),
            limit=count - len(found),
        ).dicts()  # fmt: skip
        found += [line_of(row) for row in rows]
        if len(found) >= count:
            break
    return found[::-1] if is_before else found


def _parts_beside(time_ns: int, is_before: bool) -> list[Window]:
    """Growing parts of the day before the line, or of the day after it, those next to it first."""
    if is_before:
        return newest_part_first(Window(max(0, time_ns - CONTEXT_REACH_NS), time_ns + 1))
    parts, start, seconds = [], time_ns, 300
    while start < time_ns + CONTEXT_REACH_NS:
        parts.append(Window(start, start + seconds * 10**9))
        start, seconds = start + seconds * 10**9, seconds * 6
    return parts


def _place(id: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,19})-([0-9a-f]{16})", id)
    if not found:
        raise LogQueryError(f"cannot read line '{id[:60]}': an id is a time and a digest, as a search gives it")
    return int(found[1]), int(found[2], 16)


def _columns(most_characters: int) -> str:
    """The columns `line_of` reads; 0 takes messages whole."""
    body, message = "body", "message"
    if most_characters:
        body, message = (f"leftUTF8({one}, {most_characters})" for one in (body, message))
    is_packed = "body_type IN ('a', 'k', 'x')"
    return (
        f"toUnixTimestamp64Nano(time) AS time_ns, toUnixTimestamp64Nano(observed) AS observed_ns, {DIGEST} AS digest, "
        f"lower(hex(digest)) AS digest_hex, tenant, environment, service, release, severity, severity_text, level, "
        f"body_type, if({is_packed}, base64Encode(body), {body}) AS body_text, lengthUTF8(body) AS body_characters, "
        f"if({is_packed}, '', {message}) AS message_text, event_name, "
        f"lower(hex(trace_id)) AS trace, lower(hex(span_id)) AS span, scope_name AS logger, "
        f"mapKeys(attributes) AS keys, {values_sql('attributes', 'attribute_types')} AS values, attribute_types, "
        f"mapKeys(resource) AS resource_keys, {values_sql('resource', 'resource_types')} AS resource_values, "
        f"resource_types"
    )


COLUMNS = _columns(LIST_CHARACTERS)
"""For other lists of lines."""


def line_of(row: dict[str, Any]) -> LogLine:
    body, characters = row["body_text"], row["body_characters"]
    if row["body_type"] in ("a", "k", "x"):
        body = _as_text(decode_attributes(["body"], [body], row["body_type"])["body"])
        characters = len(body)
        row["message_text"] = body
    return LogLine(
        id=f"{row['time_ns']}-{row['digest_hex'].rjust(16, '0')}",
        time_ns=row["time_ns"],
        observed_ns=row["observed_ns"],
        tenant=row["tenant"],
        environment=row["environment"],
        service=row["service"],
        release=row["release"],
        severity=row["severity"],
        severity_text=row["severity_text"],
        level=row["level"],
        message=row["message_text"],
        body=body,
        body_characters=characters,
        event_name=row["event_name"],
        trace_id=row["trace"].strip("0") and row["trace"],
        span_id=row["span"].strip("0") and row["span"],
        logger=row["logger"],
        attributes=decode_attributes(row["keys"], row["values"], row["attribute_types"]),
        resource=decode_attributes(row["resource_keys"], row["resource_values"], row["resource_types"]),
    )


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, default=str)
