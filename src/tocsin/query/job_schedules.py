"""What is said of schedules and queues: when a job last ran and should again, how long queues are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query.filters import Filter
from tocsin.query.series_samples import series_samples
from tocsin.storage.telemetry.store import TelemetryStore

# How far back a schedule is looked for: one that runs weekly was heard of within nine days.
HEARD_SECONDS = 9 * 86_400
# A queue that nobody has spoken of for so long is not shown.
FRESH_SECONDS = 120
GRACE_SECONDS, GRACE_SHARE = 60.0, 0.2

_BEATS = (
    "job_last_run_timestamp_seconds",
    "job_last_success_timestamp_seconds",
    "job_expected_interval_seconds",
    "job_scheduled_since_timestamp_seconds",
)


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """One schedule, times in Unix seconds, None for never. `since` is when it was first heard of."""

    service: str
    name: str
    system: str
    schedule: str
    interval_seconds: float
    last_run: float | None
    last_success: float | None
    since: float

    @property
    def expected(self) -> float | None:
        """When it should run next; None when it is scheduled no longer."""
        return (self.last_run or self.since) + self.interval_seconds if self.interval_seconds else None

    def late_seconds(self, now: float) -> float:
        """How long it is overdue, 0 within the grace of a minute and a fifth of its interval."""
        if self.expected is None:
            return 0.0
        late = now - self.expected
        return late if late > GRACE_SECONDS + GRACE_SHARE * self.interval_seconds else 0.0


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue as a worker saw it last. `oldest_seconds` is None where the library does not tell."""

    service: str
    queue: str
    system: str
    depth: int
    oldest_seconds: float | None


def schedules(store: TelemetryStore, scope: Scope, filter: Filter) -> list[ScheduleRow]:
    """Every schedule known by the end of the window. They belong to no tenant: a chosen one narrows nothing."""
    rows = _latest(store, scope, filter, _BEATS, ("job_name", "system", "schedule"), HEARD_SECONDS)
    found: dict[tuple[str, ...], dict[str, tuple[float, float, float]]] = {}
    for name, *key, newest, most, least in rows:
        found.setdefault(tuple(key), {})[name] = (newest, most, least)
    made = []
    for (service, job, system, schedule), said in found.items():
        none = (0.0, 0.0, 0.0)
        made.append(
            ScheduleRow(
                service=service,
                name=job,
                system=system,
                schedule=schedule,
                interval_seconds=said.get("job_expected_interval_seconds", none)[0],
                last_run=said.get("job_last_run_timestamp_seconds", none)[1] or None,
                last_success=said.get("job_last_success_timestamp_seconds", none)[1] or None,
                since=said.get("job_scheduled_since_timestamp_seconds", none)[2],
            )
        )
    return sorted(made, key=lambda row: (row.service, row.name, row.schedule))


def queues(store: TelemetryStore, scope: Scope, filter: Filter) -> list[QueueRow]:
    """The queues at the end of the window, longest first: what several workers see of one is the same."""
    names = ("job_queue_depth", "job_oldest_age_seconds")
    rows = _latest(store, scope, filter, names, ("queue", "system"), FRESH_SECONDS)
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for name, *key, newest, _, _ in rows:
        found.setdefault(tuple(key), {})[name] = newest
    made = [
        QueueRow(service, queue, system, round(said.get(names[0], 0.0)), said.get(names[1]))
        for (service, queue, system), said in found.items()
    ]
    return sorted(made, key=lambda row: (-(row.oldest_seconds or 0), -row.depth, row.queue))


def _latest(
    store: TelemetryStore, scope: Scope, filter: Filter, names: tuple[str, ...], labels: tuple[str, ...], seconds: int
) -> list[list[Any]]:
    """By metric, service and labels: the newest value of all processes, the largest, the smallest."""
    end_ns = filter.window.end_ns
    asked = replace(filter, tenant=None, method=None, route=None, window=Window(end_ns - seconds * 10**9, end_ns))
    by = ", ".join(f"labels['{label}'] AS {label}" for label in labels)
    grouped = ", ".join(("name", "service", *labels))
    sql = (
        f"SELECT name, service, {by}, argMax(value, p.time), max(value), min(value) "
        f"FROM ({series_samples(*names)}) AS p WHERE {asked.conditions('p.time')} GROUP BY {grouped}"
    )
    return store.read(scope, sql, **asked.parameters()).rows
