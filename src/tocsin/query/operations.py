"""Critical operations: how often they succeed, how long they take, for whom they do not; from the SDK's increases.

Rejected runs (a wrong password, say) are counted and have no part in the success ratio.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tocsin.model.dashboard import Thresholds, Tone
from tocsin.model.tenant import Scope
from tocsin.model.thresholds import BELOW, tone_of
from tocsin.model.window import Window
from tocsin.query.filters import Filter
from tocsin.query.red import step_times
from tocsin.query.rollups import watched_seconds
from tocsin.query.sketch import SCALE, percentiles
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

OUTCOMES, DURATION = "operation_outcomes_total", "operation_duration_seconds"
SUCCESS, FAILURE, REJECTED = "success", "failure", "rejected"
WEEK_NS = 7 * 86_400 * 10**9

PROFILES = {"login": "authentication", "auth": "authentication"}
"""Operations whose thresholds have another name; else the profile of their own name, else `operation`."""


@dataclass(slots=True)
class Tally:
    """Runs of an operation. buckets: of all runs' durations, as in `sketch.py`."""

    success: int = 0
    failure: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    buckets: dict[int, int] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        return self.success + self.failure + self.rejected

    @property
    def success_ratio(self) -> float | None:
        """Of those that were not rejected; None without any."""
        judged = self.success + self.failure
        return self.success / judged if judged else None

    @property
    def p50_seconds(self) -> float | None:
        return percentiles(self.buckets, (0.5,))[0]

    @property
    def p95_seconds(self) -> float | None:
        return percentiles(self.buckets, (0.95,))[0]

    @property
    def p99_seconds(self) -> float | None:
        return percentiles(self.buckets, (0.99,))[0]

    def count(self, outcome: str, reason: str, number: int) -> None:
        if outcome == SUCCESS:
            self.success += number
        elif outcome == REJECTED:
            self.rejected += number
        else:
            self.failure += number
        if reason and outcome == FAILURE:
            self.reasons[reason] = self.reasons.get(reason, 0) + number

    def add(self, other: Tally) -> None:
        self.success += other.success
        self.failure += other.failure
        self.rejected += other.rejected
        for reason, number in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + number
        for bucket, number in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + number

    @property
    def top_reasons(self) -> list[tuple[str, int]]:
        return sorted(self.reasons.items(), key=lambda pair: -pair[1])


@dataclass(frozen=True, slots=True)
class OperationRow:
    """One operation over a window. week_before: the same time a week earlier. tenants: of each, '' of none."""

    operation: str
    now: Tally
    rate: float  # runs per second
    week_before: Tally
    tenants: dict[str, Tally]
    services: list[str]

    @property
    def tone(self) -> Tone | None:
        return tone_for(self.operation, self.now.success_ratio)

    @property
    def hurt(self) -> list[str]:
        """The tenants whose success is below normal, most failures first."""
        found = [
            name
            for name, tally in self.tenants.items()
            if name and tone_for(self.operation, tally.success_ratio) in ("warn", "bad")
        ]
        return sorted(found, key=lambda name: -self.tenants[name].failure)


@dataclass(frozen=True, slots=True)
class OperationSeries:
    """Over time; lists as long as `times` (unix seconds, start of each step)."""

    step_seconds: int
    times: list[int]
    run_rate: list[float]
    failure_rate: list[float]
    success_ratio: list[float | None]
    p50_seconds: list[float | None]
    p95_seconds: list[float | None]


def profile_of(operation: str) -> str:
    """The name of its thresholds."""
    name = PROFILES.get(operation, operation)
    return name if name in BELOW else "operation"


def tone_for(operation: str, success_ratio: float | None) -> Tone | None:
    return tone_of(success_ratio, Thresholds(profile=profile_of(operation)))


def operations(store: TelemetryStore, scope: Scope, filter: Filter, operation: str | None = None) -> list[OperationRow]:
    """Every operation that ran in the window or a week before, the worst success first."""
    now = _tallies(store, scope, filter, operation)
    before = _tallies(store, scope, _week_before(filter), operation)
    seconds = watched_seconds(store, filter)
    services = _services(store, scope, filter, operation)
    made = []
    for name in sorted({each for each, _ in (*now, *before)}):
        tenants = {tenant: tally for (of, tenant), tally in now.items() if of == name}
        whole, earlier = Tally(), Tally()
        for tally in tenants.values():
            whole.add(tally)
        for (of, _), tally in before.items():
            if of == name:
                earlier.add(tally)
        made.append(OperationRow(name, whole, whole.runs / seconds, earlier, tenants, services.get(name, [])))
    return sorted(made, key=badness)


def badness(row: OperationRow) -> tuple[int, bool, float, str]:
    """By which the worst comes first: its tone, of those that are well whether it hurts a tenant, the part that
    succeeds."""
    order: Mapping[Tone | None, int] = {"bad": 0, "warn": 1, "ok": 2, None: 3}
    ratio = row.now.success_ratio
    return order[row.tone], row.tone == "ok" and not row.hurt, 1.0 if ratio is None else ratio, row.operation


def series(store: TelemetryStore, scope: Scope, filter: Filter, operation: str, points: int = 90) -> OperationSeries:
    """One operation in about `points` steps, steps without runs included."""
    step = filter.step_seconds(points)
    aligned = filter.aligned(step)
    at = f"toUnixTimestamp(toStartOfInterval(d.time, INTERVAL {step} SECOND))"
    found: dict[int, Tally] = {}
    for row in _counted(store, scope, aligned, operation, at):
        found.setdefault(int(row["at"]), Tally()).count(row["outcome"], row["reason"], round(row["number"]))
    for row in _timed(store, scope, aligned, operation, at):
        _add_buckets(found.setdefault(int(row["at"]), Tally()), row)
    times = step_times(aligned, step)
    tallies = [found.get(time, Tally()) for time in times]
    return OperationSeries(
        step,
        times,
        [tally.runs / step for tally in tallies],
        [tally.failure / step for tally in tallies],
        [tally.success_ratio for tally in tallies],
        [tally.p50_seconds for tally in tallies],
        [tally.p95_seconds for tally in tallies],
    )


def _week_before(filter: Filter) -> Filter:
    window = filter.window
    start = max(0, window.start_ns - WEEK_NS)
    return replace(filter, window=Window(start, max(start + 1, window.end_ns - WEEK_NS)))


def _tallies(
    store: TelemetryStore, scope: Scope, filter: Filter, operation: str | None
) -> dict[tuple[str, str], Tally]:
    """By operation and tenant."""
    found: dict[tuple[str, str], Tally] = {}
    for row in _counted(store, scope, filter, operation, "0"):
        tally = found.setdefault((row["operation"], row["of_tenant"]), Tally())
        tally.count(row["outcome"], row["reason"], round(row["number"]))
    for row in _timed(store, scope, filter, operation, "0"):
        _add_buckets(found.setdefault((row["operation"], row["of_tenant"]), Tally()), row)
    return found


def _services(store: TelemetryStore, scope: Scope, filter: Filter, operation: str | None) -> dict[str, list[str]]:
    conditions, parameters = _asked(filter, operation)
    sql = (
        f"SELECT i.labels['operation'] AS operation, arraySort(groupUniqArray(i.service)) FROM deltas AS d "
        f"INNER JOIN ({_series(OUTCOMES)}) AS i ON d.series = i.id WHERE d.name = '{OUTCOMES}' AND {conditions} "
        f"GROUP BY operation"
    )
    return dict(store.read(filter.narrowed(scope), sql, **parameters).rows)


def _counted(
    store: TelemetryStore, scope: Scope, filter: Filter, operation: str | None, at: str
) -> list[dict[str, Any]]:
    conditions, parameters = _asked(filter, operation)
    sql = (
        f"SELECT {at} AS at, i.labels['operation'] AS operation, i.labels['outcome'] AS outcome, "
        f"i.labels['reason'] AS reason, d.tenant AS of_tenant, sum(d.value) AS number FROM deltas AS d "
        f"INNER JOIN ({_series(OUTCOMES)}) AS i ON d.series = i.id WHERE d.name = '{OUTCOMES}' AND {conditions} "
        f"GROUP BY at, operation, outcome, reason, of_tenant"
    )
    return store.read(filter.narrowed(scope), sql, **parameters).dicts()


def _timed(store: TelemetryStore, scope: Scope, filter: Filter, operation: str | None, at: str) -> list[dict[str, Any]]:
    conditions, parameters = _asked(filter, operation)
    sql = (
        f"SELECT {at} AS at, i.labels['operation'] AS operation, d.tenant AS of_tenant, d.schema AS schema, "
        f"sumMap(d.positive_indexes, d.positive_counts) AS buckets FROM native_histograms AS d "
        f"INNER JOIN ({_series(DURATION)}) AS i ON d.series = i.id "
        f"WHERE d.name = '{DURATION}' AND d.is_delta AND d.schema >= 0 AND {conditions} "
        f"GROUP BY at, operation, of_tenant, schema"
    )
    return store.read(filter.narrowed(scope), sql, **parameters).dicts()


def _series(name: str) -> str:
    return (
        f"SELECT id, any(labels) AS labels, any(service) AS service, any(environment) AS environment FROM series "
        f"WHERE name = '{name}' GROUP BY id"
    )


def _asked(filter: Filter, operation: str | None) -> tuple[str, dict[str, Value]]:
    """Conditions over d (the increases) and i (their series), and their parameters."""
    asked = Filter(filter.window)
    conditions, parameters = asked.conditions("d.time"), asked.parameters()
    for name, value in (("environment", filter.environment), ("service", filter.service)):
        if value is not None:
            conditions += f" AND i.{name} = {{{name}:String}}"
            parameters[name] = value
    if operation is not None:
        conditions += " AND i.labels['operation'] = {operation:String}"
        parameters["operation"] = operation
    return conditions, parameters


def _add_buckets(tally: Tally, row: dict[str, Any]) -> None:
    """Index i of schema s ends at 2^(i / 2^s); ours begins there one lower."""
    indexes, counts = row["buckets"]
    width = 2.0 ** row["schema"]
    for index, number in zip(indexes, counts, strict=True):
        bucket = math.floor((int(index) - 0.5) / width * SCALE)
        tally.buckets[bucket] = tally.buckets.get(bucket, 0) + round(number)
