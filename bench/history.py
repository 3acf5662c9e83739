"""The numbers of a made-up product over some weeks: what its happenings (`bench.happenings`) make of them.

Twelve tenants of a third down to a five-hundredth of the traffic use three services and a worker: requests by tenant,
instance and status with the shape of day and week, latencies with a heavy tail, pools, disks, sign-ins, jobs, and the
monitoring itself. A sample every 15 seconds, as shipped rules read them. The same numbers for the same seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.happenings import (
    DAY,
    HOUR,
    JOBS,
    MINUTE,
    NODES,
    SHARES,
    STEP_MS,
    TENANTS,
    Flags,
    Floats,
    Happening,
    Service,
    State,
    apply,
)
from tocsin.detect.rules.over_rows import MemoryRows, Row
from tocsin.model.rows import EVENTS
from tocsin.query.promql.source import MemorySource, Series

START_MS = 1_772_409_600_000  # Monday, 2 March 2026
PEAK_A_SECOND = {"shop": 25.0, "billing": 4.0, "exports": 0.05}
BASE_ERROR = {"shop": 0.0005, "billing": 0.001, "exports": 0.003}
MEDIAN_SECONDS = {"shop": 0.06, "billing": 0.1, "exports": 4.0}
HEAVY_SHARE, HEAVY_SECONDS = 0.015, 1.5
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIGN_INS_A_MINUTE = 12.0
HOURLY, NIGHTLY, MAIL = "sync", "report", "mail"
# Share of the peak at each hour of the day, Central European office hours.
SHAPE = (8, 6, 5, 5, 6, 10, 22, 48, 78, 95, 100, 97, 82, 88, 96, 93, 84, 66, 45, 34, 28, 22, 16, 11)


@dataclass(slots=True)
class History:
    """Samples from start_ms on, a step each 15 s, and events."""

    start_ms: int
    steps: int
    happenings: Sequence[Happening]
    source: MemorySource = field(default_factory=MemorySource)
    rows: MemoryRows = field(default_factory=MemoryRows)

    def ms(self, step: int) -> int:
        return self.start_ms + step * STEP_MS

    def add(self, name: str, values: Floats, there: Flags | None = None, every: int = 1, **labels: str) -> None:
        """A series; where it is not there, its target was away."""
        keep = np.zeros(self.steps, dtype=bool)
        keep[::every] = True
        if there is not None:
            keep &= there
        places = np.nonzero(keep)[0]
        times = self.start_ms + places * STEP_MS
        self.source.series.append(Series({"__name__": name, **labels}, times, values[places].astype(np.float64)))


def history(happenings: Sequence[Happening], steps: int, seed: int, start_ms: int = START_MS) -> History:
    """Everything the product sent."""
    random = np.random.default_rng(seed)
    state = State(steps)
    for one in happenings:
        apply(state, one, random)
    made = History(start_ms, steps, happenings)
    shape = _shape(steps, start_ms)
    for job in JOBS:
        _requests(made, job, state.services[job], shape, random)
    for job in ("shop", "billing"):
        _database(made, job, state.services[job], shape, random)
    made.add("pg_up", state.database_up.astype(float), instance="db-1")
    _nodes(made, state, random)
    _sign_ins(made, state, shape, random)
    _jobs(made, state, shape, random)
    _isolation(made, state)
    _monitoring(made, state, shape, random)
    return made


def _shape(steps: int, start_ms: int) -> Floats:
    """Share of the peak at each step: the hour of the day, and a third of it at weekends."""
    at = start_ms // STEP_MS + np.arange(steps)
    hours = np.interp((at % DAY) / HOUR, np.arange(25), [*SHAPE, SHAPE[0]]) / 100
    is_weekend = (at // DAY + 3) % 7 >= 5  # day 0 was a Thursday
    return np.where(is_weekend, 0.35 * hours + 0.02, hours)


def _drift(steps: int, spread: float, minutes: float, random: np.random.Generator) -> Floats:
    """Noise that lasts: about 1, with the spread of a lognormal, changing within so many minutes."""
    knots = int(steps / (minutes * MINUTE)) + 3
    return np.exp(np.interp(np.arange(steps) / (minutes * MINUTE), np.arange(knots), random.normal(0, spread, knots)))


def _counter(increases: Floats, up: Flags) -> Floats:
    """A counter that starts again whenever its process was away."""
    total = np.cumsum(np.where(up, increases, 0.0))
    restarts = np.nonzero(up[1:] & ~up[:-1])[0] + 1
    base = np.zeros(len(total))
    base[restarts] = np.diff(total[restarts - 1], prepend=0.0)
    return total - np.cumsum(base)


def _started(up: Flags, start_ms: int) -> Floats:
    """When the process of each step began, in seconds."""
    begins = np.zeros(len(up))
    places = np.nonzero(up[1:] & ~up[:-1])[0] + 1
    begins[places] = places
    at = np.maximum.accumulate(begins)
    return start_ms / 1000 + at * STEP_MS / 1000 - np.where(at == 0, 86400.0, 0.0)


def _requests(made: History, job: str, service: Service, shape: Floats, random: np.random.Generator) -> None:
    labels = {"job": job, "environment": "production"}
    alive = np.maximum(service.up.sum(axis=0), 1)
    each = np.array([PEAK_A_SECOND[job] * share * shape * _drift(made.steps, 0.25, 7, random) for share in SHARES])
    each = each * service.traffic * 15
    error = np.clip(service.error + BASE_ERROR[job] * _drift(made.steps, 0.5, 30, random), 0, 1)
    for instance in range(service.instances):
        up, there = service.up[instance], service.up[instance] & service.seen[instance] & service.reached
        own = labels | {"instance": f"{job}-{instance}:8000"}
        made.add("up", (up & service.reached).astype(float), service.seen[instance], job=job, instance=own["instance"])
        made.add("process_start_time_seconds", _started(up, made.start_ms), there, **own)
        count = random.poisson(each * up / alive)
        failed = random.binomial(count, error)
        refused = random.binomial(count - failed, service.client_error)
        for place, tenant in enumerate(TENANTS):
            for status, part in (("500", failed[place]), ("404", refused[place])):
                made.add("http_requests_total", _counter(part, up), there, status=status, tenant=tenant, **own)
            fine = (count - failed - refused)[place]
            made.add("http_requests_total", _counter(fine, up), there, status="200", tenant=tenant, **own)
        _latencies(made, job, service, count.sum(axis=0), up, there, own, random)


def _latencies(
    made: History, job: str, service: Service, count: Floats, up: Flags, there: Flags, own: dict[str, str],
    random: np.random.Generator,
) -> None:  # fmt: skip
    """A log-logistic middle (whose tail is heavier than a lognormal's) and a share of heavy requests."""
    median = MEDIAN_SECONDS[job] * _drift(made.steps, 0.12, 10, random)
    left, below, seconds = count.astype(np.int64), np.zeros(made.steps), np.zeros(made.steps)
    cumulative = np.zeros(made.steps)
    for bound, middle in zip(BOUNDS, (0.004, *np.sqrt(np.multiply(BOUNDS[:-1], BOUNDS[1:]))), strict=True):
        usual = (1 - service.slow_share) * _within(bound, median, 2.2)
        usual += service.slow_share * _within(bound, median * service.slow_factor, 2.2)
        share = (1 - HEAVY_SHARE) * usual + HEAVY_SHARE * _within(bound, HEAVY_SECONDS, 2.0)
        part = random.binomial(left, np.clip((share - below) / np.maximum(1 - below, 1e-9), 0, 1))
        left, below, cumulative = left - part, share, cumulative + part
        seconds += part * middle
        made.add("http_request_duration_seconds_bucket", _counter(cumulative, up), there, le=f"{bound:g}", **own)
    made.add("http_request_duration_seconds_bucket", _counter(count, up), there, le="+Inf", **own)
    made.add("http_request_duration_seconds_count", _counter(count, up), there, **own)
    made.add("http_request_duration_seconds_sum", _counter(seconds + left * 14.0, up), there, **own)


def _within(bound: float, median: Floats | float, steepness: float) -> Floats:
    """The share of a log-logistic distribution below the bound."""
    return np.asarray(1 / (1 + (bound / median) ** -steepness), dtype=np.float64)


def _database(made: History, job: str, service: Service, shape: Floats, random: np.random.Generator) -> None:
    """A pool of forty connections whose use shakes, and statements that fail: now and then one runs out of time."""
    use = (0.12 + 0.38 * shape) * service.traffic**0.5 * _drift(made.steps, 0.2, 2, random) + service.pool
    active = np.minimum(40, random.poisson(40 * np.clip(use, 0, 1.2)))
    there = service.up.any(axis=0)
    made.add("database_connection_pool_size", active.astype(float), there, job=job, pool="main", state="active")
    made.add("database_connection_pool_limit", np.full(made.steps, 40.0), there, job=job, pool="main")
    statements = random.poisson(3 * 15 * PEAK_A_SECOND[job] * shape)
    failed = random.binomial(statements, np.minimum(1, service.unconnected))
    late = random.poisson(0.004 * 15 * shape)
    for error, part in (("OperationalError", failed), ("QueryTimeout", late), ("", statements - failed)):
        made.add("database_queries_total", _counter(part, there), there, job=job, operation="SELECT", error=error)


def _nodes(made: History, state: State, random: np.random.Generator) -> None:
    """Disks that grow by day and are tidied at four; memory."""
    day = (np.arange(made.steps) - 4 * HOUR) % DAY / DAY
    for place, node in enumerate(NODES):
        used = np.clip(0.52 + 0.1 * place + 0.08 * day + state.disk[place], 0, 0.995)
        labels = {"instance": node, "mountpoint": "/", "fstype": "ext4"}
        made.add("node_filesystem_avail_bytes", (1 - used) * 1e11, **labels)
        made.add("node_filesystem_size_bytes", np.full(made.steps, 1e11), **labels)
        memory = np.clip(0.62 * _drift(made.steps, 0.08, 90, random), 0, 0.88)
        made.add("node_memory_MemAvailable_bytes", (1 - memory) * 16e9, instance=node)
        made.add("node_memory_MemTotal_bytes", np.full(made.steps, 16e9), instance=node)


def _sign_ins(made: History, state: State, shape: Floats, random: np.random.Generator) -> None:
    """Sign-ins follow the hours, twice as many on Monday mornings; one in twenty-five fails."""
    at = made.start_ms // STEP_MS + np.arange(made.steps)
    is_monday_morning = ((at // DAY + 3) % 7 == 0) & (at % DAY >= 7 * HOUR) & (at % DAY < 10 * HOUR)
    usual = random.poisson(SIGN_INS_A_MINUTE / MINUTE * shape * np.where(is_monday_morning, 2.0, 1.0))
    failed = random.binomial(usual, state.failing) + random.poisson(state.sign_ins)
    there = state.services["shop"].up.any(axis=0)
    made.add("user_login_attempts_total", np.cumsum(usual).astype(float), there, job="shop", outcome="success")
    made.add("user_login_attempts_total", np.cumsum(failed).astype(float), there, job="shop", outcome="failure")


def _jobs(made: History, state: State, shape: Floats, random: np.random.Generator) -> None:
    """An hourly and a nightly schedule, up to eight minutes late, and mails of each tenant."""
    for name, schedule, every, offset, fails, stuck in (
        (HOURLY, "0 * * * *", HOUR, 0, np.zeros(made.steps, dtype=bool), state.sync_stuck),
        (NIGHTLY, "0 3 * * *", DAY, 3 * HOUR, state.night_fails, np.zeros(made.steps, dtype=bool)),
    ):
        labels = {"job": "worker", "job_name": name, "schedule": schedule, "system": "own"}
        began, good = np.full(made.steps, float(offset - every)), np.full(made.steps, float(offset - every))
        for due in range(offset, made.steps, every):
            at = due + int(min(8 * MINUTE, random.exponential(MINUTE)))
            if at < made.steps and not stuck[at]:
                began[at:] = at
                good[at:] = good[at:] if fails[at] else at
        for metric, value in (("run", began), ("success", good)):
            seconds = made.start_ms / 1000 + value * STEP_MS / 1000
            made.add(f"job_last_{metric}_timestamp_seconds", seconds, every=MINUTE, **labels)
        made.add("job_expected_interval_seconds", np.full(made.steps, every * 15.0), every=MINUTE, **labels)
        since = np.full(made.steps, made.start_ms / 1000)
        made.add("job_scheduled_since_timestamp_seconds", since, every=MINUTE, **labels)
    for place, (tenant, share) in enumerate(zip(TENANTS, SHARES, strict=True)):
        runs = random.poisson(10 * share * np.maximum(shape, 0.05))  # forty a minute at the peak
        failed = random.binomial(runs, state.mail_error[place])
        labels = {"job": "worker", "job_name": MAIL, "queue": "default", "system": "rq", "tenant": tenant}
        made.add("job_runs_total", np.cumsum(failed).astype(float), outcome="failure", **labels)
        made.add("job_runs_total", np.cumsum(runs - failed).astype(float), outcome="success", **labels)


def _isolation(made: History, state: State) -> None:
    """Crossings as the SDK's monitor counts them, and the event of each."""
    by_tenant: dict[str, list[int]] = {}
    for at, tenant in state.crossings:
        by_tenant.setdefault(tenant, []).append(at)
    for tenant, places in by_tenant.items():
        count = np.cumsum(np.bincount(places, minlength=made.steps)).astype(float)
        labels = {"job": "shop", "tenant": tenant, "table": "orders", "role": "reader"}
        made.add("tenant_isolation_crossings_total", count, count > 0, **labels)
        texts = {
            "name": "tocsin.isolation.crossing", "service": "shop", "tenant": tenant, "http.route": "/orders",
            "tocsin.isolation.is_declared": "true", "db.collection.name": "orders",
            "code.file.path": "shop/orders.py", "code.line.number": "81",
        }  # fmt: skip
        made.rows.found += [Row(EVENTS, made.ms(at), texts) for at in places]


def _monitoring(made: History, state: State, shape: Floats, random: np.random.Generator) -> None:
    """Tocsin's own numbers: the spool is a few seconds old, more at peaks."""
    own = {"job": "tocsin", "instance": "tocsin-1:4318"}
    up = state.monitoring_up
    made.add("up", up.astype(float), **own)
    spool = random.exponential(1.0 + 3.0 * shape) + state.spool_seconds
    made.add("tocsin_spool_age_seconds", spool, up, **own)
    made.add("tocsin_writer_is_failing", state.writer_fails.astype(float), up, **own)
    checks = np.zeros(made.steps)
    checks[:: 5 * MINUTE] = 1.0
    for outcome, part in (("lost", checks * state.paging_lost), ("arrived", checks * ~state.paging_lost)):
        made.add("tocsin_paging_path_checks_total", _counter(part, up), up, outcome=outcome, **own)
