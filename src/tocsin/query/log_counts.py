"""Log lines counted: over time by level, who writes most, and which values their fields have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tocsin.model.log_levels import LEVELS
from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query.filters import STEPS_SECONDS, Filter
from tocsin.query.log_filter import LogQuery, placed
from tocsin.query.logs import newest_part_first
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

BARS = 90
SHORT_STEPS_SECONDS = (1, 2, 5)
SAMPLE = 10_000
"""Facets are counted on so many of the newest lines that fit."""
FACET_VALUES = 8
MOST_FACETS = 24
MOST_SERVICES = 500
LONGEST_VALUE = 200
IS_ERROR = "level IN ('error', 'fatal')"
NAMED = ("service", "level", "tenant", "logger", "environment", "release", "event")
"""What every line has, before the attributes that some lines have."""
FIRST_ATTRIBUTES = ("http.route", "host.name", "exception.type")
UNTOLD = (
    "exception.stacktrace", "exception.message", "code.line.number", "code.lineno", "thread.id", "process.pid",
    "tocsin.tenant", "tenant.id", "service.name", "service.version", "deployment.environment.name",
    "deployment.environment", "telemetry.sdk.name", "telemetry.sdk.version", "telemetry.sdk.language",
    "service.instance.id", "event.name", "logger.name",
)  # fmt: skip
"""Attributes that name what a facet shows already, or of which every line has another value."""


@dataclass(frozen=True, slots=True)
class LogHistogram:
    """Lines by level over time; every list is as long as `times` (unix seconds, start of each step). Levels in their
    order, '' for lines without one."""

    times: list[int]
    step_seconds: int
    by_level: dict[str, list[int]]

    @property
    def lines(self) -> int:
        return sum(sum(counts) for counts in self.by_level.values())

    @property
    def errors(self) -> int:
        return sum(self.error_counts)

    @property
    def counts(self) -> list[int]:
        return [sum(column) for column in zip(*self.by_level.values(), strict=True)] or [0] * len(self.times)

    @property
    def error_counts(self) -> list[int]:
        both = [self.by_level.get(level, []) for level in ("error", "fatal")]
        return [sum(column) for column in zip(*(each for each in both if each), strict=True)]


@dataclass(frozen=True, slots=True)
class Loud:
    """Who wrote how many lines. name: a service, or a tenant, '' for none."""

    name: str
    lines: int
    errors: int


@dataclass(frozen=True, slots=True)
class LogTotals:
    """lines and errors of a window, the services and tenants that wrote most of them, most errors first, then lines."""

    lines: int = 0
    errors: int = 0
    services: list[Loud] = field(default_factory=list)
    tenants: list[Loud] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FacetValue:
    value: str
    lines: int


@dataclass(frozen=True, slots=True)
class Facet:
    """A field and its commonest values. lines: how many of the sample have it; values: how many different ones."""

    name: str
    lines: int
    values: int
    top: list[FacetValue]


@dataclass(frozen=True, slots=True)
class LogFacets:
    """sampled: the lines looked at; is_sample: there were more."""

    facets: list[Facet]
    sampled: int
    is_sample: bool


def step_seconds(window: Window, bars: int = BARS) -> int:
    """A round step that cuts the window into at most so many bars."""
    steps = (*SHORT_STEPS_SECONDS, *STEPS_SECONDS)
    return next((step for step in steps if step >= window.seconds / bars), steps[-1])


def histogram(store: TelemetryStore, scope: Scope, query: LogQuery, bars: int = BARS) -> LogHistogram:
    """Lines by level over the window, widened to whole steps. Raises LogQueryError."""
    step = step_seconds(query.window, bars)
    first = query.window.start_ns // 10**9 // step * step
    last = (query.window.end_ns - 1) // 10**9 // step * step
    times = list(range(first, last + 1, step))
    table, lines, condition, values = _source(placed(store, scope, query), step)
    sql = (
        f"SELECT intDiv(toUnixTimestamp(time), {step}) * {step} AS at, level, {lines} FROM {table} "
        f"WHERE {condition} GROUP BY at, level"
    )
    counted: dict[str, list[int]] = {}
    for at, level, count in store.read(query.narrowed(scope), sql, **values).rows:
        if first <= at <= last:
            counted.setdefault(level, [0] * len(times))[(at - first) // step] += count
    order = (*LEVELS, "")
    return LogHistogram(times, step, {level: counted[level] for level in order if level in counted})


def _source(query: LogQuery, step: int = 1) -> tuple[str, str, str, dict[str, Value]]:
    """The table that can answer, what adds up its lines, and the condition: the counts by the minute or hour where
    only what they tell apart is asked for and the window's ends, which they round, are small beside it."""
    for table, seconds in (("logs_1h", 3600), ("logs_1m", 60)):
        if query.counts_suffice and step % seconds == 0:
            start_ns = query.window.start_ns // 10**9 // step * step * 10**9
            return table, "sum(lines)", *query.within(Window(start_ns, query.window.end_ns)).condition()
    return "logs", "count()", *query.condition()


def totals(store: TelemetryStore, scope: Scope, query: LogQuery, most: int = 5) -> LogTotals:
    """How many lines and errors, and whose. Raises LogQueryError."""
    table, lines, condition, values = _source(placed(store, scope, query), step_seconds(query.window))
    errors = f"countIf({IS_ERROR})" if table == "logs" else f"sumIf(lines, {IS_ERROR})"
    sql = (
        f"SELECT grouping(service) AS by_service, grouping(tenant) AS by_tenant, service, tenant, {lines} AS written, "
        f"{errors} AS failed FROM {table} WHERE {condition} GROUP BY GROUPING SETS ((service), (tenant)) "
        f"ORDER BY failed DESC, written DESC LIMIT 1000"
    )
    rows = store.read(query.narrowed(scope), sql, **values).dicts()
    services = [Loud(row["service"], row["written"], row["failed"]) for row in rows if not row["by_service"]]
    tenants = [Loud(row["tenant"], row["written"], row["failed"]) for row in rows if not row["by_tenant"]]
    return LogTotals(
        sum(one.lines for one in services), sum(one.errors for one in services), services[:most], tenants[:most]
    )


def are_any(store: TelemetryStore, scope: Scope) -> bool:
    """Whether a line was ever stored, and is still kept."""
    return bool(store.read(scope, "SELECT 1 FROM logs LIMIT 1").rows)


def services(store: TelemetryStore, scope: Scope, asked: Filter) -> list[str]:
    """Names of the services that logged in the filter's time, by name."""
    found = totals(store, scope, LogQuery(asked.window, asked.environment, asked.tenant), most=MOST_SERVICES)
    return sorted(one.name for one in found.services)


def facets(store: TelemetryStore, scope: Scope, query: LogQuery, sample: int = SAMPLE) -> LogFacets:
    """The commonest values of what the lines have, on the newest lines that fit. Raises LogQueryError."""
    narrowed = query.narrowed(scope)
    condition, values, sampled = _sample(store, narrowed, placed(store, scope, query), sample)
    if not sampled:
        return LogFacets([], 0, False)
    named = ", ".join(f"('{name}', toString({_column(name)}))" for name in NAMED)
    pairs = (
        f"arrayConcat([{named}], arrayZip(arrayMap(k -> toString(k), mapKeys(attributes)), mapValues(attributes)), "
        f"arrayFilter(p -> p.1 IN ('host.name', 'k8s.pod.name', 'container.name', 'log.file.path'), "
        f"arrayZip(arrayMap(k -> toString(k), mapKeys(resource)), mapValues(resource))))"
    )
    untold = ", ".join(f"'{name}'" for name in UNTOLD)
    sql = (
        f"SELECT name, sum(n) AS lines, count() AS different, "
        f"arraySlice(arrayReverseSort(groupArray((n, value))), 1, {FACET_VALUES}) AS top FROM ("
        f"SELECT pair.1 AS name, pair.2 AS value, count() AS n FROM ("
        f"SELECT arrayJoin({pairs}) AS pair FROM ("
        f"SELECT {', '.join(dict.fromkeys(map(_column, NAMED)))}, attributes, resource FROM logs WHERE {condition} "
        f"ORDER BY time DESC LIMIT {{sample:UInt32}})) "
        f"WHERE value != '' AND length(value) <= {LONGEST_VALUE} AND name NOT IN ({untold}) GROUP BY name, value) "
        f"GROUP BY name ORDER BY lines DESC LIMIT 200"
    )
    rows = store.read(narrowed, sql, **values, sample=sample).dicts()
    found = [
        Facet(row["name"], row["lines"], row["different"], [FacetValue(value, count) for count, value in row["top"]])
        for row in rows
    ]
    return LogFacets(_told(found), min(sampled, sample), sampled > sample)


def _column(name: str) -> str:
    return {"logger": "scope_name", "event": "event_name"}.get(name, name)


def _sample(store: TelemetryStore, scope: Scope, query: LogQuery, sample: int) -> tuple[str, dict[str, Value], int]:
    """The shortest of the growing windows that ends now and holds the sample, as a condition; and how many lines it
    holds, counted to one above the sample."""
    condition, values, count = "", dict[str, Value](), 0
    for window in newest_part_first(query.window):
        wide = replace(query, window=Window(window.start_ns, query.window.end_ns))
        condition, values = wide.condition()
        sql = f"SELECT count() FROM (SELECT 1 FROM logs WHERE {condition} LIMIT {{most:UInt32}})"
        [[count]] = store.read(scope, sql, **values, most=sample + 1).rows
        if count > sample:
            break
    return condition, values, count


def _told(found: Sequence[Facet]) -> list[Facet]:
    """What every line has, then what tells places apart, then the commonest attributes; none whose every value differs,
    which are of no use to choose from."""
    by_name = {facet.name: facet for facet in found}
    first = [by_name[name] for name in (*NAMED, *FIRST_ATTRIBUTES) if name in by_name]
    rest = [facet for facet in found if facet not in first]
    useful = [facet for facet in rest if facet.values <= max(FACET_VALUES, facet.lines // 3)]
    return [*first, *useful][:MOST_FACETS]
