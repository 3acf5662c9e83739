"""Background jobs: runs, outcomes, durations and time in the queue, exact per tenant; foreign ones from their spans."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.query.errors import ErrorGroup, error_groups
from tocsin.query.filters import Filter
from tocsin.query.red import step_times
from tocsin.query.sketch import percentiles
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

COUNTERS = ("job_runs_total", "job_retries_total", "job_enqueued_total", "job_missed_total")
DURATION, WAIT = "job_duration_seconds", "job_queue_seconds"
OUTCOMES = ("success", "failure", "retry", "revoked")
MOST_TENANTS = 5

# Which of a foreign tracer's spans are runs of jobs: consumers that answer no HTTP request.
_FOREIGN = "kind = 5 AND method = '' AND sdk != 'tocsin'"
_FOREIGN_NAME = "if(attributes['celery.task_name'] != '', attributes['celery.task_name'], name)"
_FOREIGN_QUEUE = "attributes['messaging.destination.name']"
_FOREIGN_SYSTEM = "if(attributes['messaging.system'] != '', attributes['messaging.system'], 'consumer')"


@dataclass(frozen=True, slots=True)
class JobKey:
    """Which job. queue is '' where there is none; system is the library, such as celery."""

    service: str
    name: str
    queue: str
    system: str


@dataclass(frozen=True, slots=True)
class Hurt:
    """A tenant whose runs failed; `in_a_row` since its last success in the window, all of them without one."""

    tenant: str
    failures: int
    in_a_row: int


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job over the window. Percentiles are None without runs, `queue_p95_seconds` also where nobody says when a job
    was queued. `is_exact` is False for what is known from (perhaps sampled) spans only."""

    key: JobKey
    runs: int
    successes: int
    failures: int
    revoked: int
    retries: int
    enqueued: int
    missed: int
    p50_seconds: float | None
    p95_seconds: float | None
    total_seconds: float
    queue_p95_seconds: float | None
    last_ns: int
    hurt: tuple[Hurt, ...]
    is_exact: bool = True

    @property
    def success_ratio(self) -> float | None:
        """Of the runs that came to an end; one that is tried again has not."""
        ended = self.successes + self.failures
        return self.successes / ended if ended else None


@dataclass(frozen=True, slots=True)
class JobSeries:
    """Values of each step of the window; values[i] belongs to the step that starts at times[i]."""

    times: list[int]
    step_seconds: int
    runs: Mapping[str, list[float | None]]  # by outcome, per minute
    p50_seconds: list[float | None]
    p95_seconds: list[float | None]
    queue_p95_seconds: list[float | None]


@dataclass(frozen=True, slots=True)
class JobTenant:
    tenant: str
    runs: int
    failures: int
    retries: int
    p95_seconds: float | None


def jobs(store: TelemetryStore, scope: Scope, filter: Filter, name: str | None = None) -> list[JobRow]:
    """The jobs that ran, were queued or were missed in the window, those that fail first."""
    counts = _counts(store, scope, filter, name)
    spreads, waits = (_spreads(store, scope, filter, metric, name) for metric in (DURATION, WAIT))
    hurt = _hurt(store, scope, filter, name)
    made = []
    for key in counts.keys() | spreads.keys():
        said, (buckets, seconds) = counts.get(key, {}), spreads.get(key, ({}, 0.0))
        p50, p95 = percentiles(buckets, (0.5, 0.95))
        [waited] = percentiles(waits.get(key, ({}, 0.0))[0], (0.95,))
        ended = {outcome: round(said.get(f"job_runs_total {outcome}", 0)) for outcome in OUTCOMES}
        made.append(
            JobRow(
                key,
                sum(ended.values()),
                ended["success"],
                ended["failure"],
                ended["revoked"],
                round(said.get("job_retries_total ", 0)),
                round(said.get("job_enqueued_total ", 0)),
                round(said.get("job_missed_total ", 0)),
                p50,
                p95,
                seconds,
                waited,
                int(said.get("last", 0)) * 10**6,
                tuple(hurt.get(key, ())),
            )
        )
    made = _with_missed(made) + _foreign(store, scope, filter, name)
    return sorted(made, key=lambda row: (-row.failures, -row.total_seconds, row.key.name))


def tenants(store: TelemetryStore, scope: Scope, filter: Filter, name: str, limit: int = 50) -> list[JobTenant]:
    """The tenants of a job, those whose runs fail most first."""
    metric = (
        f"SELECT d.tenant, sumIf(d.value, d.name = 'job_runs_total') AS runs, "
        f"sumIf(d.value, labels['outcome'] = 'failure') AS failures, sumIf(d.value, d.name = 'job_retries_total') "
        f"AS retries {_deltas(filter)} GROUP BY d.tenant ORDER BY failures DESC, runs DESC LIMIT {{limit:UInt32}}"
    )
    rows = _read(store, scope, filter, metric, name, limit=limit)
    spread = f"SELECT h.tenant, {_BUCKETS} {_histograms(filter, DURATION)} GROUP BY h.tenant"
    buckets = {row[0]: _parsed(row[1], row[2]) for row in _read(store, scope, filter, spread, name)}
    found = []
    for tenant, runs, failures, retries in rows:
        [p95] = percentiles(buckets.get(tenant, {}), (0.95,))
        found.append(JobTenant(tenant, round(runs), round(failures), round(retries), p95))
    return found or _foreign_tenants(store, scope, filter, name, limit)


def series(store: TelemetryStore, scope: Scope, filter: Filter, name: str, points: int = 90) -> JobSeries:
    """Runs, durations and time in the queue of a job over the window."""
    step = max(filter.step_seconds(points), 10)
    aligned = filter.aligned(step)
    times = step_times(aligned, step)
    at = f"toUnixTimestamp(toStartOfInterval({{0}}.time, INTERVAL {step} SECOND))"
    metric = (
        f"SELECT {at.format('d')} AS at, labels['outcome'], sum(d.value) {_deltas(aligned)} "
        f"AND d.name = 'job_runs_total' GROUP BY ALL"
    )
    runs: dict[str, dict[int, float]] = defaultdict(dict)
    for moment, outcome, count in _read(store, scope, aligned, metric, name):
        runs[outcome][moment] = count * 60 / step
    quantiles: dict[str, dict[int, list[float | None]]] = {}
    for metric_name in (DURATION, WAIT):
        sql = f"SELECT {at.format('h')} AS at, {_BUCKETS} {_histograms(aligned, metric_name)} GROUP BY at"
        rows = _read(store, scope, aligned, sql, name)
        quantiles[metric_name] = {row[0]: percentiles(_parsed(row[1], row[2]), (0.5, 0.95)) for row in rows}
    durations, waits = quantiles[DURATION], quantiles[WAIT]
    none: list[float | None] = [None, None]
    return JobSeries(
        times=times,
        step_seconds=step,
        runs={outcome: [runs[outcome].get(moment, 0.0) for moment in times] for outcome in OUTCOMES},
        p50_seconds=[durations.get(moment, none)[0] for moment in times],
        p95_seconds=[durations.get(moment, none)[1] for moment in times],
        queue_p95_seconds=[waits.get(moment, none)[1] for moment in times],
    )


def failing_line(store: TelemetryStore, scope: Scope, filter: Filter, name: str) -> str:
    """Where in the app the latest failure of a job was raised: `tasks/billing.py:41 in send`; '' when nobody says."""
    sql = (
        f"SELECT argMax(arrayFirst(one -> one != '', arrayMap(one -> one['exception.stacktrace'], event_attributes)), "
        f"start) FROM spans WHERE {_span_conditions(filter)} AND status = 2 AND {_OF_JOB}"
    )
    rows = store.read(filter.narrowed(scope), sql, **replace(filter, method=None, route=None).parameters(), job=name)
    return line_of(str(rows.rows[0][0] or "")) if rows.rows else ""


def line_of(stack: str) -> str:
    """The innermost line of the app in a stack as Python prints it, its path cut to three parts."""
    frames = _FRAME.findall(stack)
    own = [
        frame
        for frame in frames
        if "/site-packages/" not in frame[0] and "/lib/python" not in frame[0] and frame[0][:1] != "<"
    ]
    if not frames:
        return ""
    path, line, function = (own or frames)[-1]
    return f"{'/'.join(path.split('/')[-3:])}:{line} in {function}"


def errors(store: TelemetryStore, scope: Scope, filter: Filter, name: str, limit: int = 8) -> list[ErrorGroup]:
    """What the runs of a job raise; the failing span of a job has its name, under which its exceptions are kept."""
    return error_groups(store, scope, replace(filter, method="", route=name), limit)


_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
_OF_JOB = "kind = 5 AND (attributes['tocsin.job.name'] = {job:String} OR " + _FOREIGN_NAME + " = {job:String})"
# Of Prometheus' bucket i the lower end is 2^((i - 1) / 64), so ours is one less.
_BUCKETS = "sumMap(h.positive_indexes, h.positive_counts).1, sumMap(h.positive_indexes, h.positive_counts).2"
_KEY = "i.service, labels['job_name'] AS job, labels['queue'] AS queue, labels['system'] AS system"


def _counts(store: TelemetryStore, scope: Scope, filter: Filter, name: str | None) -> dict[JobKey, dict[str, float]]:
    sql = (
        f"SELECT {_KEY}, d.name, labels['outcome'] AS outcome, sum(d.value), "
        f"toUnixTimestamp64Milli(max(d.time)) {_deltas(filter, name)} GROUP BY ALL"
    )
    found: dict[JobKey, dict[str, float]] = defaultdict(dict)
    for service, job, queue, system, metric, outcome, value, last_ms in _read(store, scope, filter, sql, name):
        said = found[JobKey(service, job, queue, system)]
        said[f"{metric} {outcome}"] = said.get(f"{metric} {outcome}", 0.0) + value
        if metric == "job_runs_total":
            said["last"] = max(said.get("last", 0), last_ms)
    return found


def _spreads(
    store: TelemetryStore, scope: Scope, filter: Filter, metric: str, name: str | None
) -> dict[JobKey, tuple[dict[int, int], float]]:
    sql = f"SELECT {_KEY}, {_BUCKETS}, sum(h.sum) {_histograms(filter, metric, name)} GROUP BY ALL"
    rows = _read(store, scope, filter, sql, name)
    return {JobKey(*row[:4]): (_parsed(row[4], row[5]), row[6]) for row in rows}


def _hurt(store: TelemetryStore, scope: Scope, filter: Filter, name: str | None) -> dict[JobKey, list[Hurt]]:
    sql = (
        f"SELECT {_KEY}, d.tenant, sumIf(d.value, labels['outcome'] = 'failure') AS failures, "
        f"maxIf(d.time, labels['outcome'] = 'success') AS well, "
        f"groupArrayIf(500)((d.time, d.value), labels['outcome'] = 'failure') AS failed "
        f"{_deltas(filter, name)} AND d.name = 'job_runs_total' GROUP BY ALL HAVING failures > 0 "
        f"ORDER BY failures DESC LIMIT {MOST_TENANTS} BY i.service, job, queue, system"
    )
    inner = (
        f"SELECT service, job, queue, system, tenant, failures, "
        f"arraySum(one -> if(one.1 > well, one.2, 0), failed) AS in_a_row FROM ({sql})"
    )
    found: dict[JobKey, list[Hurt]] = defaultdict(list)
    for *key, tenant, failures, in_a_row in _read(store, scope, filter, inner, name):
        found[JobKey(*key)].append(Hurt(tenant, round(failures), round(in_a_row)))
    for hurt in found.values():
        hurt.sort(key=lambda one: -one.failures)
    return found


def _with_missed(rows: Sequence[JobRow]) -> list[JobRow]:
    """Misses know no queue: they go with the job of that name that ran, if there is one."""
    ran = {(row.key.service, row.key.name): row.key for row in rows if row.runs or row.enqueued}
    missed: dict[JobKey, int] = defaultdict(int)
    for row in rows:
        missed[ran.get((row.key.service, row.key.name), row.key)] += row.missed
    kept = [row for row in rows if row.key in missed or not row.missed]
    return [replace(row, missed=missed[row.key]) for row in kept]


def _foreign(store: TelemetryStore, scope: Scope, filter: Filter, name: str | None) -> list[JobRow]:
    conditions = _span_conditions(filter) + (f" AND {_FOREIGN_NAME} = {{job:String}}" if name is not None else "")
    sql = (
        f"SELECT service, {_FOREIGN_NAME} AS job, {_FOREIGN_QUEUE} AS queue, {_FOREIGN_SYSTEM} AS system, count(), "
        f"countIf(status = 2), quantiles(0.5, 0.95)(duration_ns / 1e9), sum(duration_ns) / 1e9, "
        f"toUnixTimestamp64Milli(max(start)), topKIf({MOST_TENANTS}, 3, 'counts')(tenant, status = 2) "
        f"FROM spans WHERE {conditions} AND {_FOREIGN} GROUP BY service, job, queue, system LIMIT 1000"
    )
    parameters: dict[str, Value] = {**filter.parameters(), **({"job": name} if name is not None else {})}
    made = []
    for *key, runs, failed, (p50, p95), seconds, last_ms, hurt in store.read(
        filter.narrowed(scope), sql, **parameters
    ).rows:
        told = tuple(Hurt(tenant, count, count) for tenant, count in _counted(hurt))
        made.append(
            JobRow(
                JobKey(*key),
                runs,
                runs - failed,
                failed,
                0,
                0,
                0,
                0,
                p50,
                p95,
                seconds,
                None,
                int(last_ms) * 10**6,
                told,
                is_exact=False,
            )
        )
    return made


def _foreign_tenants(store: TelemetryStore, scope: Scope, filter: Filter, name: str, limit: int) -> list[JobTenant]:
    sql = (
        f"SELECT tenant, count() AS runs, countIf(status = 2) AS failed, quantile(0.95)(duration_ns / 1e9) FROM spans "
        f"WHERE {_span_conditions(filter)} AND {_FOREIGN} AND {_FOREIGN_NAME} = {{job:String}} GROUP BY tenant "
        f"ORDER BY failed DESC, runs DESC LIMIT {{limit:UInt32}}"
    )
    rows = store.read(filter.narrowed(scope), sql, **filter.parameters(), job=name, limit=limit).rows
    return [JobTenant(tenant, runs, failed, 0, p95) for tenant, runs, failed, p95 in rows]


def _counted(found: Iterable[Any]) -> list[tuple[str, int]]:
    """topK with its counts, as rows give it: tuples or dictionaries."""
    pairs = ((one["item"], one["count"]) if isinstance(one, dict) else one[:2] for one in found)
    return [(str(item), int(count)) for item, count in pairs]


def _deltas(filter: Filter, name: str | None = "") -> str:
    listed = ", ".join(f"'{metric}'" for metric in COUNTERS)
    return f"FROM deltas AS d INNER JOIN ({_known(listed)}) AS i ON d.series = i.id WHERE d.name IN ({listed}) AND " + (
        _conditions(filter, "d", name)
    )


def _histograms(filter: Filter, metric: str, name: str | None = "") -> str:
    return (
        f"FROM native_histograms AS h INNER JOIN ({_known(repr(metric))}) AS i ON h.series = i.id "
        f"WHERE h.name = '{metric}' AND h.is_delta AND h.schema = 6 AND {_conditions(filter, 'h', name)}"
    )


def _known(listed: str) -> str:
    return (
        f"SELECT id, any(labels) AS labels, any(service) AS service, any(environment) AS environment FROM series "
        f"WHERE name IN ({listed}) GROUP BY id"
    )


def _conditions(filter: Filter, table: str, name: str | None) -> str:
    asked = replace(filter, method=None, route=None)
    of_job = " AND labels['job_name'] = {job:String}" if name is not None else ""
    return asked.conditions(f"{table}.time") + of_job


def _span_conditions(filter: Filter) -> str:
    return replace(filter, method=None, route=None).conditions("start")


def _read(
    store: TelemetryStore, scope: Scope, filter: Filter, sql: str, name: str | None, **more: Value
) -> list[list[Any]]:
    asked = replace(filter, method=None, route=None)
    named: dict[str, Value] = {"job": name} if name is not None else {}
    return store.read(filter.narrowed(scope), sql, **asked.parameters(), **named, **more).rows


def _parsed(indexes: Sequence[int], counts: Sequence[float]) -> dict[int, int]:
    return {int(index) - 1: round(count) for index, count in zip(indexes, counts, strict=True)}
