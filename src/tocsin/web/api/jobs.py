"""/api/v1/jobs: background jobs with their schedules and queues."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field

from tocsin.query import job_schedules, jobs
from tocsin.query.filters import Filter
from tocsin.query.job_schedules import ScheduleRow
from tocsin.query.jobs import JobRow
from tocsin.web.api.asked import READING, Asked, Store, note_asked
from tocsin.web.api.contract import BEARER, MISSING, Shown
from tocsin.web.auth import Anybody

router = APIRouter(
    prefix="/api/v1/jobs", tags=["telemetry"], dependencies=[Depends(BEARER), Depends(note_asked)], responses=READING
)


class HurtAnswer(Shown):
    """A tenant for which the job failed."""

    tenant: str
    failures: int
    in_a_row: int = Field(description="Failures since its last success in the time asked for")


class JobAnswer(Shown):
    """A job over the time asked for. Durations are null without runs."""

    service: str
    name: str
    queue: str
    system: str = Field(description="celery, rq, arq, apscheduler, background, own, or a foreign messaging.system")
    runs: int
    successes: int
    failures: int
    revoked: int
    retries: int
    enqueued: int
    missed: int = Field(description="Times of its schedule at which it was not run")
    success_ratio: float | None = Field(description="Of the runs that ended, 0 to 1")
    p50_seconds: float | None
    p95_seconds: float | None
    total_seconds: float
    queue_p95_seconds: float | None = Field(description="From being queued, or due, to the start")
    last_run: datetime | None
    hurt: list[HurtAnswer]
    is_exact: bool = Field(description="False: counted from spans, of which some may be sampled away")


class ScheduleAnswer(Shown):
    """When a job is due."""

    service: str
    name: str
    system: str
    schedule: str
    interval_seconds: float
    last_run: datetime | None
    last_success: datetime | None
    expected: datetime | None = Field(description="When it should run next; null when it is scheduled no longer")
    late_seconds: float = Field(description="How long it is overdue, 0 within its grace")


class QueueAnswer(Shown):
    """A queue as a worker saw it last."""

    service: str
    queue: str
    system: str
    depth: int
    oldest_seconds: float | None


class JobList(BaseModel):
    """Jobs that fail first; schedules and queues belong to the platform and are empty for tenants."""

    jobs: list[JobAnswer]
    schedules: list[ScheduleAnswer]
    queues: list[QueueAnswer]


class JobSeriesAnswer(Shown):
    """Values of steps: values[i] belongs to the step that starts at times[i], in Unix seconds."""

    times: list[int]
    step_seconds: int
    runs: dict[str, list[float | None]] = Field(description="By outcome, per minute")
    p50_seconds: list[float | None]
    p95_seconds: list[float | None]
    queue_p95_seconds: list[float | None]


class JobTenantAnswer(Shown):
    """A tenant of a job."""

    tenant: str
    runs: int
    failures: int
    retries: int
    p95_seconds: float | None


class JobDetail(BaseModel):
    """One job, also of several services."""

    jobs: list[JobAnswer]
    schedules: list[ScheduleAnswer]
    tenants: list[JobTenantAnswer]
    series: JobSeriesAnswer
    failing_line: str = Field(description="Where in the app its latest failure was raised; '' when not known")


@router.get("", summary="List background jobs")
def list_jobs(
    store: Store,
    principal: Anybody,
    asked: Asked,
    service: Annotated[str, Query(description="One service")] = "",
) -> JobList:
    asked = replace(asked, service=service or None)
    return JobList(
        jobs=[_job(row) for row in jobs.jobs(store, principal.scope, asked)],
        schedules=[_schedule(row, asked) for row in job_schedules.schedules(store, principal.scope, asked)],
        queues=[QueueAnswer.model_validate(row) for row in job_schedules.queues(store, principal.scope, asked)],
    )


@router.get("/{name:path}", summary="One background job", responses=MISSING)
def read_job(
    store: Store,
    principal: Anybody,
    asked: Asked,
    name: str,
    service: Annotated[str, Query(description="One service")] = "",
) -> JobDetail:
    asked = replace(asked, service=service or None)
    scope = principal.scope
    rows = jobs.jobs(store, scope, asked, name)
    schedules = [row for row in job_schedules.schedules(store, scope, asked) if row.name == name]
    if not rows and not schedules:
        raise HTTPException(404, f"cannot find job '{name[:80]}': it did not run in this time; ask for a longer one")
    return JobDetail(
        jobs=[_job(row) for row in rows],
        schedules=[_schedule(row, asked) for row in schedules],
        tenants=[JobTenantAnswer.model_validate(row) for row in jobs.tenants(store, scope, asked, name)],
        series=JobSeriesAnswer.model_validate(jobs.series(store, scope, asked, name)),
        failing_line=jobs.failing_line(store, scope, asked, name) if any(row.failures for row in rows) else "",
    )


def _job(row: JobRow) -> JobAnswer:
    return JobAnswer(
        service=row.key.service,
        name=row.key.name,
        queue=row.key.queue,
        system=row.key.system,
        runs=row.runs,
        successes=row.successes,
        failures=row.failures,
        revoked=row.revoked,
        retries=row.retries,
        enqueued=row.enqueued,
        missed=row.missed,
        success_ratio=row.success_ratio,
        p50_seconds=row.p50_seconds,
        p95_seconds=row.p95_seconds,
        total_seconds=row.total_seconds,
        queue_p95_seconds=row.queue_p95_seconds,
        last_run=_moment(row.last_ns / 1e9),
        hurt=[HurtAnswer.model_validate(each) for each in row.hurt],
        is_exact=row.is_exact,
    )


def _schedule(row: ScheduleRow, asked: Filter) -> ScheduleAnswer:
    return ScheduleAnswer(
        service=row.service,
        name=row.name,
        system=row.system,
        schedule=row.schedule,
        interval_seconds=row.interval_seconds,
        last_run=_moment(row.last_run),
        last_success=_moment(row.last_success),
        expected=_moment(row.expected),
        late_seconds=row.late_seconds(asked.window.end_ns / 1e9),
    )


def _moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
