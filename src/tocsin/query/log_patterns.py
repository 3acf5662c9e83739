"""Patterns of log lines: how many lines each had, since when it is known, and what two windows differ in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tocsin.model.tenant import PLATFORM, Scope
from tocsin.query.filters import Filter
from tocsin.query.red import filter_empty
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

LONGEST_BEGINNING = 200
HOURLY_SECONDS = 2 * 86_400
"""Windows longer than this are answered from the hourly counts."""
RANK = ("", "trace", "debug", "info", "warn", "error", "fatal")
LEAST_CHANGE = 2.0
"""How many times a pattern's share must have grown or shrunk to be told as more or less."""
SURE = 3.0
"""Standard errors by which it must have, beside that."""

# A shape that the miner has not come to yet stands for itself.
MAPPED = (
    "LEFT JOIN (SELECT service, shape, argMax(pattern, stored) AS pattern FROM log_shape_patterns "
    "GROUP BY service, shape) AS m USING (service, shape)"
)
INTO = (
    "LEFT JOIN (SELECT service, id, into FROM log_patterns FINAL WHERE into != 0) AS a "
    "ON a.service = x.service AND a.id = x.mapped"
)
Row = dict[str, Any]
Verdict = Literal["new", "gone", "more", "less", "same"]


@dataclass(frozen=True, slots=True)
class LogPattern:
    """One pattern in a window. Tenants and releases hold those with most lines first; first and last are of all that is
    kept, within the reader's tenants. template: '' while nobody has looked at its lines yet."""

    id: int
    service: str
    template: str
    example: str
    level: str
    lines: int
    share: float  # of all lines of the window, 0-1
    tenants: list[str]
    releases: list[str]
    first_ns: int
    last_ns: int
    first_release: str
    course: list[int]  # lines per step of the window
    is_new: bool  # first seen in the window

    @property
    def name(self) -> str:
        return f"{self.id:016x}"

    @property
    def text(self) -> str:
        return self.template or self.example

    @property
    def beginning(self) -> str:
        """The first words of the text, for lists."""
        if len(self.text) <= LONGEST_BEGINNING:
            return self.text
        cut = self.text[:LONGEST_BEGINNING]
        return f"{cut.rpartition(' ')[0] or cut} …"


@dataclass(frozen=True, slots=True)
class PatternLine:
    """A line of a pattern. message: its readable part. trace_id: '' outside of any trace."""

    time_ns: int
    tenant: str
    level: str
    message: str
    body: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class PatternChange:
    """A pattern in two windows. verdict: new, gone, more, less or same; factor: how its share has changed."""

    pattern: LogPattern
    lines_before: int
    share_before: float
    verdict: Verdict

    @property
    def factor(self) -> float | None:
        return self.pattern.share / self.share_before if self.share_before else None


def log_patterns(
    store: TelemetryStore,
    scope: Scope,
    filter: Filter,
    *,
    release: str | None = None,
    levels: Sequence[str] = (),
    points: int = 40,
    limit: int = 200,
) -> list[LogPattern]:
    """The patterns of the filter, those with most lines first; method and route are not looked at."""
    asked = (store, scope, filter, release, levels, points, limit)
    found = _found(*asked)
    # A shape may have got its pattern between the questions; then nothing is known of it under its own name.
    return found if all(one.text for one in found) else _found(*asked)


def _found(
    store: TelemetryStore,
    scope: Scope,
    filter: Filter,
    release: str | None,
    levels: Sequence[str],
    points: int,
    limit: int,
) -> list[LogPattern]:
    counted = _counted(store, scope, filter, release, levels, points)
    total = sum(row["lines"] for row in counted)
    shown = sorted(counted, key=lambda row: (-row["lines"], row["service"], row["id"]))[:limit]
    keys = [(row["service"], row["id"]) for row in shown]
    templates = templates_of(store, keys)
    known = histories_of(store, scope, filter, keys)
    return [_pattern(row, filter, total, templates, known, points) for row in shown]


def log_pattern(store: TelemetryStore, scope: Scope, filter: Filter, name: str) -> LogPattern | None:
    """One pattern by its name; None when it has no line in the window that the scope may read."""
    rows = log_patterns(store, scope, filter, limit=100_000)
    return next((row for row in rows if row.name == name), None)


def lines_of(
    store: TelemetryStore, scope: Scope, filter: Filter, pattern: LogPattern, limit: int = 50
) -> list[PatternLine]:
    """The newest lines of a pattern in the filter's window."""
    wanted = Filter(filter.window, filter.environment, filter.tenant, pattern.service)
    ids = (
        "SELECT toUInt64({id:UInt64}) UNION ALL "
        "SELECT id FROM log_patterns FINAL WHERE service = {service:String} AND into = {id:UInt64}"
    )
    shapes = (
        f"SELECT shape FROM log_shape_patterns WHERE service = {{service:String}} AND pattern IN ({ids}) "
        "UNION ALL SELECT toUInt64({id:UInt64})"
    )
    sql = (
        "SELECT toUnixTimestamp64Nano(time) AS time_ns, tenant, toString(level) AS level, message, body, "
        "if(trace_id = toFixedString('', 16), '', lower(hex(trace_id))) AS trace_id "
        f"FROM logs WHERE {wanted.conditions(by_five_minutes=True)} AND shape IN ({shapes}) "
        "ORDER BY time DESC LIMIT {limit:UInt32}"
    )
    asked = {**wanted.parameters(), "id": pattern.id, "limit": limit}
    return [PatternLine(**row) for row in store.read(wanted.narrowed(scope), sql, **asked).dicts()]


def compared(
    store: TelemetryStore,
    scope: Scope,
    now: Filter,
    before: Filter,
    *,
    release: str | None = None,
    release_before: str | None = None,
    limit: int = 200,
) -> list[PatternChange]:
    """What differs between two windows, tenants or releases: new first, then what grew most, then gone and less.

    Shares of all lines are compared, so that windows and tenants of different size can be.
    """
    here = log_patterns(store, scope, now, release=release, limit=5 * limit)
    there = log_patterns(store, scope, before, release=release_before, limit=5 * limit)
    of_before = {(one.service, one.id): one for one in there}
    lines = _total(here), _total(there)
    made = [_change(one, of_before.pop((one.service, one.id), None), *lines) for one in here]
    gone = [_missing(one, lines[0]) for one in of_before.values()]
    order = ("new", "more", "gone", "less", "same")
    made = sorted([*made, *gone], key=lambda one: (order.index(one.verdict), -one.pattern.lines - one.lines_before))
    return made[:limit]


def _missing(before: LogPattern, lines: float) -> PatternChange:
    verdict: Verdict = "gone" if before.share * lines >= SURE else "same"
    return PatternChange(replace(before, lines=0, share=0.0), before.lines, before.share, verdict)


def _total(found: Sequence[LogPattern]) -> float:
    return next((one.lines / one.share for one in found if one.share), 0.0)


def _change(one: LogPattern, before: LogPattern | None, lines: float, lines_before: float) -> PatternChange:
    if before is None:
        # One that is rare and was not seen before by chance is no news.
        expected = one.share * lines_before
        return PatternChange(one, 0, 0.0, "new" if expected >= SURE else "same")
    pooled = (one.lines + before.lines) / max(1.0, lines + lines_before)
    error = math.sqrt(pooled * (1 - pooled) * (1 / max(1.0, lines) + 1 / max(1.0, lines_before)))
    is_sure = abs(one.share - before.share) > SURE * error
    verdict: Verdict = "same"
    if is_sure and one.share >= LEAST_CHANGE * before.share:
        verdict = "more"
    elif is_sure and before.share >= LEAST_CHANGE * one.share:
        verdict = "less"
    return PatternChange(one, before.lines, before.share, verdict)


def _counted(
    store: TelemetryStore, scope: Scope, filter: Filter, release: str | None, levels: Sequence[str], points: int
) -> list[Row]:
    wanted = Filter(filter.window, filter.environment, filter.tenant, filter.service)
    is_hourly = filter.window.seconds > HOURLY_SECONDS
    more = "" if release is None else " AND release = {release:String}"
    more += " AND level IN ({levels:Array(String)})" if levels else ""
    parameters: dict[str, Value] = {"levels": list(levels)} if levels else {}
    parameters |= {} if release is None else {"release": release}
    grain = 3600 if is_hourly else 60
    # Counts bear the start of their minute or hour.
    whole = wanted.aligned(grain)
    start, step = whole.window.start_ns // 10**9, _step_seconds(whole, grain, points)
    of_shape = (
        f"SELECT service, shape, toUInt32(intDiv(toUnixTimestamp(time) - {{from:UInt32}}, {{step:UInt32}})) AS place, "
        "tenant, release, level, sum(c.lines) AS lines "
        f"FROM {'log_shapes_1h' if is_hourly else 'log_shapes_1m'} AS c WHERE {whole.conditions()}{more} "
        "GROUP BY service, shape, place, tenant, release, level"
    )
    mapped = f"SELECT c.*, if(m.pattern = 0, c.shape, m.pattern) AS mapped FROM ({of_shape}) AS c {MAPPED}"
    resolved = f"SELECT x.*, if(a.into = 0, x.mapped, a.into) AS pattern FROM ({mapped}) AS x {INTO}"
    sql = (
        "SELECT service, pattern AS id, sum(r.lines) AS lines, groupUniqArray(20)(shape) AS shapes, "
        "sumMap([place], [r.lines]) AS course, topKWeighted(20)(tenant, r.lines) AS tenants, "
        "topKWeighted(20)(release, r.lines) AS releases, topKWeighted(1)(level, r.lines) AS levels "
        f"FROM ({resolved}) AS r GROUP BY service, pattern"
    )
    asked = {"from": start, "step": step, **whole.parameters(), **parameters}
    return store.read(wanted.narrowed(scope), sql, **asked).dicts()


def course_steps(filter: Filter, points: int) -> tuple[int, int]:
    """Where the course of so many points starts (unix seconds), and the length of its steps."""
    grain = 3600 if filter.window.seconds > HOURLY_SECONDS else 60
    whole = filter.aligned(grain)
    return whole.window.start_ns // 10**9, _step_seconds(whole, grain, points)


def _step_seconds(whole: Filter, grain: int, points: int) -> int:
    """Whole minutes or hours, or neighbouring steps would hold different numbers of them."""
    return max(1, math.ceil(whole.window.seconds / points / grain)) * grain


def templates_of(store: TelemetryStore, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """A template holds only words that all its lines have, those of the reader among them."""
    if not keys:
        return {}
    sql = "SELECT service, id, template FROM log_patterns FINAL WHERE id IN ({ids:Array(UInt64)})"
    rows = store.read(PLATFORM, sql, ids=[id for _, id in keys]).rows
    return {(service, id): template for service, id, template in rows}


def histories_of(
    store: TelemetryStore, scope: Scope, filter: Filter, keys: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], Row]:
    """Since when, with which release and by which message patterns are known, to the reader's tenants; is_field: the
    message is one field of its line."""
    if not keys:
        return {}
    wanted = replace(filter, method=None, route=None)
    narrow = "".join(
        f" AND {name} = {{{name}:String}}" for name in ("environment", "service") if getattr(wanted, name) is not None
    )
    of_shape = (
        "SELECT service, shape, min(s.first) AS first, max(s.last) AS last, argMax(s.example, s.last) AS example, "
        "max(s.is_field) AS is_field, "
        "argMin(s.release, s.first) AS release FROM (SELECT service, shape, first, last, example, is_field, "
        f"finalizeAggregation(first_release) AS release FROM log_shapes WHERE 1{narrow}) AS s GROUP BY service, shape"
    )
    mapped = f"SELECT c.*, if(m.pattern = 0, c.shape, m.pattern) AS mapped FROM ({of_shape}) AS c {MAPPED}"
    resolved = f"SELECT x.*, if(a.into = 0, x.mapped, a.into) AS pattern FROM ({mapped}) AS x {INTO}"
    sql = (
        "SELECT service, pattern AS id, toUnixTimestamp64Nano(min(r.first)) AS first_ns, "
        "toUnixTimestamp64Nano(max(r.last)) AS last_ns, argMin(r.release, r.first) AS first_release, "
        "argMax(r.example, r.last) AS example, max(r.is_field) AS is_field "
        f"FROM ({resolved}) AS r WHERE pattern IN ({{ids:Array(UInt64)}}) "
        "GROUP BY service, pattern"
    )
    named = {name: value for name, value in wanted.parameters().items() if name in ("environment", "service")}
    rows = store.read(wanted.narrowed(scope), sql, ids=[id for _, id in keys], **named).dicts()
    return {(str(row["service"]), int(row["id"])): row for row in rows}


def _pattern(
    row: Row,
    filter: Filter,
    total: int,
    templates: Mapping[tuple[str, int], str],
    known: Mapping[tuple[str, int], Row],
    points: int,
) -> LogPattern:
    key = (str(row["service"]), int(row["id"]))
    history = known.get(key, {})
    places, counts = row["course"]
    grain = 3600 if filter.window.seconds > HOURLY_SECONDS else 60
    whole = filter.aligned(grain)
    course = [0] * max(1, math.ceil(whole.window.seconds / _step_seconds(whole, grain, points)))
    for place, count in zip(places, counts, strict=True):
        course[place] += count
    first_ns = int(history.get("first_ns", filter.window.start_ns))
    return LogPattern(
        id=key[1],
        service=key[0],
        template=templates.get(key, ""),
        example=str(history.get("example", "")),
        level=next(iter(row["levels"]), ""),
        lines=row["lines"],
        share=row["lines"] / total,
        tenants=filter_empty(row["tenants"]),
        releases=filter_empty(row["releases"]),
        first_ns=first_ns,
        last_ns=int(history.get("last_ns", 0)),
        first_release=str(history.get("first_release", "")),
        course=course,
        is_new=first_ns >= filter.window.start_ns,
    )
