"""How the processes of the product fare: uptime, memory and its leaks, pauses, the event loop, threads, processor.

Everything comes from the metrics and events that the SDK's runtime instrument sends. Processes serve all tenants, so
none of it belongs to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query import evaluate
from tocsin.query.begun import begin
from tocsin.query.events import EventRecord, events
from tocsin.query.filters import Filter, seconds_text
from tocsin.query.metric_reader import Labels, MetricReader
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.runtime_spreads import LAG, Spreads, over_all
from tocsin.query.series_samples import series_samples
from tocsin.storage.telemetry.store import TelemetryStore

RESTART, LEAK, BLOCKED = "tocsin.runtime.restart", "tocsin.runtime.leak", "tocsin.runtime.blocked"
# The start of a process that is there now may lie this far back.
START_DAYS = 90
MOST_EVENTS = 2000
CHART_POINTS = 90

# Field of Process: metric and its label `state`. The latest value, but the most of what comes and goes.
LATEST = {
    "uptime_seconds": ("process_uptime_seconds", ""),
    "memory_bytes": ("process_resident_memory_bytes", ""),
    "floor_bytes": ("process_memory_floor_bytes", ""),
    "memory_limit_bytes": ("process_memory_limit_bytes", ""),
    "leak_bytes_per_hour": ("process_memory_leak_bytes_per_hour", ""),
    "cpu_limit_cores": ("process_cpu_limit_cores", ""),
    "threads": ("python_threads", ""),
    "tasks": ("python_asyncio_tasks", ""),
    "pool_limit": ("python_threadpool_threads", "limit"),
}
MOST = {
    "pool_used": ("python_threadpool_threads", "active"),
    "pool_waiting": ("python_threadpool_threads", "waiting"),
}
CPU, THROTTLED = "process_cpu_seconds_total", "process_cpu_throttled_seconds_total"
CPU_SECONDS = 300
"""How much of the window's end the use of the processor is the mean of."""
RUNNING_SECONDS = 45
"""A process that has told nothing for so long is gone."""
FIGURES = (*LATEST, *MOST, "cpu_cores", "throttled_seconds", "lag_p99_seconds", "gc_p99_seconds")
# (title, unit, query); {of} is a matcher of the processes.
COURSES = (
    ("Memory", "bytes", "process_resident_memory_bytes{of}"),
    ("Processor", "count", "rate(process_cpu_seconds_total{of}[{step}])"),
)


@dataclass(frozen=True, slots=True)
class Process:
    """One process in the window; a figure is None where its sender does not tell it."""

    service: str
    instance: str
    pid: str
    host: str
    release: str
    figures: dict[str, float] = field(default_factory=dict)
    started: EventRecord | None = None  # tocsin.runtime.restart
    leak: EventRecord | None = None  # the latest tocsin.runtime.leak

    def of(self, name: str) -> float | None:
        return self.figures.get(name)

    @property
    def is_running(self) -> bool:
        return "running" in self.figures

    @property
    def is_leaking(self) -> bool:
        return self.is_running and (self.of("leak_bytes_per_hour") or 0) > 0

    @property
    def growing(self) -> list[Growing]:
        """What grows, largest first, as far as the heap was looked through."""
        said: dict[str, Any] = self.leak.attributes if self.leak else {}
        parts = (said.get(f"tocsin.leak.growing{part}") or [] for part in ("", "_number", "_bytes"))
        return [Growing(*each) for each in zip(*parts, strict=False)]

    @property
    def restart_reason(self) -> str:
        """'' when its start was not told."""
        return str(self.started.attributes.get("tocsin.restart.reason", "")) if self.started else ""

    @property
    def is_pool_full(self) -> bool:
        limit = self.of("pool_limit")
        return bool(limit) and (self.of("pool_used") or 0) >= (limit or 0) and (self.of("pool_waiting") or 0) > 0


@dataclass(frozen=True, slots=True)
class Growing:
    """A container or type between two looks at the heap."""

    name: str
    number: int
    bytes: int


@dataclass(frozen=True, slots=True)
class BlockingLine:
    """A line of code that kept the event loop in the window."""

    service: str
    line: str  # app/live.py:27 in notifications
    source: str  # the code; '' when its file was gone
    times: int
    seconds: float
    worst_seconds: float
    endpoints: list[str]
    tenants: list[str]
    stack: str  # of the latest
    last_ns: int


@dataclass(frozen=True, slots=True)
class Happened:
    """Events of the processes, newest first: starts of the last months, leaks and stalls of the window."""

    starts: list[EventRecord]
    leaks: list[EventRecord]
    stalls: list[EventRecord]


def happened(store: TelemetryStore, scope: Scope, filter: Filter) -> Happened:
    """What the processes told of themselves."""
    start_ns = filter.window.start_ns
    # Both are rare; stalls are many, and must not push them out of what is read at most.
    rare = _told(store, scope, filter, [RESTART, LEAK], start_ns - START_DAYS * 86_400 * 10**9)
    return Happened(
        [event for event in rare if event.name == RESTART],
        [event for event in rare if event.name == LEAK and event.time_ns >= start_ns],
        _told(store, scope, filter, [BLOCKED], start_ns),
    )


def processes(store: TelemetryStore, scope: Scope, filter: Filter, spreads: Spreads, told: Happened) -> list[Process]:
    """Those that sent figures in the window: leaking ones first, then running ones, by service."""
    asked_figures = begin(_figures, store, scope, filter)
    known = _known(store, scope, filter)
    figures = asked_figures.result()
    for (metric, instance), steps in spreads.items():
        late = over_all(steps).p99()
        for key in (key for key in figures if key[1] == instance and late is not None):
            figures[key]["lag_p99_seconds" if metric == LAG else "gc_p99_seconds"] = late or 0.0
    starts, leaks = _latest_by_instance(told.starts), _latest_by_instance(told.leaks)
    found = []
    for (service, instance), mine in figures.items():
        about = known.get(instance, {})
        pid, host, release = (about.get(name, "") for name in ("process_pid", "host_name", "service_version"))
        found.append(Process(service, instance, pid, host, release, mine, starts.get(instance), leaks.get(instance)))
    return sorted(found, key=lambda one: (not one.is_leaking, not one.is_running, one.service, one.pid))


def _figures(store: TelemetryStore, scope: Scope, filter: Filter) -> dict[tuple[str, str], dict[str, float]]:
    """Gauges and counters of each process that told its uptime, by service and instance."""
    names = {name for name, _ in (*LATEST.values(), *MOST.values())} | {CPU, THROTTLED}
    asked = replace(filter, tenant=None, method=None, route=None)
    sql = (
        f"SELECT any(p.name) AS metric, any(p.service) AS of_service, any(p.instance) AS of_instance, "
        f"any(p.labels['state']) AS state, argMax(p.value, p.time) AS latest, max(p.value) AS most, "
        f"max(p.value) - min(p.value) AS gained, max(p.value) - minIf(p.value, p.time >= {{lately:DateTime64(9)}}), "
        f"toFloat64(max(p.time)) - toFloat64(minIf(p.time, p.time >= {{lately:DateTime64(9)}})), "
        f"max(p.time) >= {{running:DateTime64(9)}} AS is_running "
        f"FROM ({series_samples(*sorted(names))}) AS p WHERE {asked.conditions('p.time')} GROUP BY p.series"
    )
    end_ns = filter.window.end_ns
    times = {
        "lately": seconds_text(end_ns - CPU_SECONDS * 10**9),
        "running": seconds_text(end_ns - RUNNING_SECONDS * 10**9),
    }
    latest, most = ({of: name for name, of in kind.items()} for kind in (LATEST, MOST))
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in store.read(scope, sql, **asked.parameters(), **times).rows:
        metric, service, instance, state, value, highest, gained, gained_lately, lately_seconds, is_running = row
        mine = found.setdefault((service, instance), {})
        if (metric, state) in latest:
            mine[latest[metric, state]] = value
        elif (metric, state) in most:
            mine[most[metric, state]] = highest
        elif metric == THROTTLED:
            mine["throttled_seconds"] = gained
        elif metric == CPU and lately_seconds > 0:
            mine["cpu_cores"] = gained_lately / lately_seconds
        if metric == "process_uptime_seconds" and is_running:
            mine["running"] = 1.0
    return {key: mine for key, mine in found.items() if "uptime_seconds" in mine}


def _known(store: TelemetryStore, scope: Scope, filter: Filter) -> dict[str, Labels]:
    """What each process says of itself, by instance."""
    day = Filter(Window(max(0, filter.window.start_ns - 86_400 * 10**9), filter.window.end_ns))
    sql = (
        f"SELECT instance, any(labels) FROM series WHERE name = 'target_info' "
        f"AND {day.conditions('toDateTime64(day, 9)')} GROUP BY instance"
    )
    return dict(store.read(scope, sql, **day.parameters()).rows)


def blocking_lines(told: Happened) -> list[BlockingLine]:
    """The lines that kept an event loop, longest in all first."""
    by_line: dict[tuple[str, str], list[EventRecord]] = {}
    for event in told.stalls:
        line = str(event.attributes.get("tocsin.blocked.line", ""))
        by_line.setdefault((event.service, line), []).append(event)
    lines = [_line(service, line, same) for (service, line), same in by_line.items()]
    return sorted(lines, key=lambda each: -each.seconds)


def restarts(told: Happened, window: Window) -> list[EventRecord]:
    """Processes that took the place of another in the window, the latest first."""
    begun = [event for event in told.starts if event.time_ns >= window.start_ns]
    return [event for event in begun if event.attributes.get("tocsin.restart.reason") != "first"]


def courses(
    reader: MetricReader, settings: QuerySettings, window: Window, found: Sequence[Process]
) -> list[tuple[str, str, evaluate.Evaluated]]:
    """(title, unit, figures over time) of these processes."""
    step = evaluate.step_ms(window, CHART_POINTS)
    grid = evaluate.grid_of(window, step)
    of = "{instance=~'" + "|".join(process.instance for process in found[:50]) + "'}"
    return [
        (title, unit, evaluate.over(reader, text.format(of=of, step=f"{max(60, 4 * step // 1000)}s"), grid, settings))
        for title, unit, text in COURSES
    ]


def _told(store: TelemetryStore, scope: Scope, filter: Filter, names: list[str], since_ns: int) -> list[EventRecord]:
    asked = replace(filter, tenant=None, window=Window(max(0, since_ns), filter.window.end_ns))
    return events(store, scope, asked, names, MOST_EVENTS)


def _latest_by_instance(told: Sequence[EventRecord]) -> dict[str, EventRecord]:
    return {str(event.attributes.get("service.instance.id", "")): event for event in reversed(told)}


def _line(service: str, line: str, told: Sequence[EventRecord]) -> BlockingLine:
    latest = told[0].attributes
    endpoints = (
        f"{event.attributes.get('http.request.method', '')} {event.attributes.get('http.route', '')}".strip()
        for event in told
    )
    return BlockingLine(
        service=service,
        line=line,
        source=str(latest.get("tocsin.blocked.source", "")),
        times=sum(int(event.attributes.get("tocsin.blocked.times", 1)) for event in told),
        seconds=sum(float(event.attributes.get("tocsin.blocked.seconds", 0)) for event in told),
        worst_seconds=max(float(event.attributes.get("tocsin.blocked_ms", 0)) for event in told) / 1e3,
        endpoints=[name for name in dict.fromkeys(endpoints) if name],
        tenants=[name for name in dict.fromkeys(event.tenant for event in told) if name],
        stack=str(latest.get("code.stacktrace", "")),
        last_ns=told[0].time_ns,
    )
