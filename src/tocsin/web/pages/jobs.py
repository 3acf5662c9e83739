"""Jobs: what runs in the background, whom it fails for, what is late and what waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.query import job_schedules
from tocsin.query import jobs as query
from tocsin.query.begun import begin
from tocsin.query.job_schedules import ScheduleRow
from tocsin.query.jobs import JobKey, JobRow
from tocsin.web import headline, job_headline
from tocsin.web.page import Page
from tocsin.web.sorting import in_order, read_sorting
from tocsin.web.view import View, view_of

page = Page(id="jobs", title="Jobs", group="Inside", path="/jobs", order=4, key="j")
router = APIRouter()


@dataclass(frozen=True, slots=True)
class Line:
    """A job, or a schedule whose job did not run in this time, as the table shows it."""

    job: JobRow
    schedule: ScheduleRow | None
    minutes: float
    late_seconds: float

    @property
    def runs_per_minute(self) -> float:
        return self.job.runs / self.minutes

    @property
    def last(self) -> float | None:
        """When it last ran, in Unix seconds."""
        ran = max(self.job.last_ns / 1e9, (self.schedule and self.schedule.last_run) or 0.0)
        return ran or None

    @property
    def is_failing(self) -> bool:
        return job_headline.is_failing(self.job)


COLUMNS: dict[str, Callable[[Line], Any]] = {
    "name": lambda line: line.job.key.name.lower(),
    "runs": lambda line: line.job.runs,
    "success": lambda line: line.job.success_ratio,
    "p50": lambda line: line.job.p50_seconds,
    "p95": lambda line: line.job.p95_seconds,
    "wait": lambda line: line.job.queue_p95_seconds,
    "retries": lambda line: line.job.retries,
    "last": lambda line: line.last,
    "next": lambda line: line.schedule and line.schedule.expected,
}


@router.get(page.path)
def jobs(view: Annotated[View, Depends(view_of(page))], sort: str = "") -> Response:
    sorting = read_sorting(sort, COLUMNS)
    asked_schedules = begin(job_schedules.schedules, view.store, view.scope, view.filter)
    asked_queues = begin(job_schedules.queues, view.store, view.scope, view.filter)
    rows = query.jobs(view.store, view.scope, view.filter)
    schedules, queues = asked_schedules.result(), asked_queues.result()
    if not view.has_data and not rows and not schedules:
        return view.render(headline=headline.nothing_yet(), is_new=True)
    found = lines(rows, schedules, view.window.seconds / 60, view.window.end_ns / 1e9)
    return view.render(
        headline=job_headline.jobs(view.speech, rows, schedules, queues),
        is_new=False,
        sorting=sorting,
        lines=in_order(found, sorting, COLUMNS),
        queues=queues,
    )


def lines(rows: list[JobRow], schedules: list[ScheduleRow], minutes: float, now: float) -> list[Line]:
    """Every job with its schedule, the latest and those that fail first."""
    by_name: dict[tuple[str, str], list[ScheduleRow]] = {}
    for schedule in schedules:
        by_name.setdefault((schedule.service, schedule.name), []).append(schedule)
    found = []
    for row in rows:
        of = by_name.pop((row.key.service, row.key.name), [])
        # Of several schedules of one job the one that is most overdue.
        worst = max(of, key=lambda each: (each.late_seconds(now), -(each.expected or 0)), default=None)
        found.append(Line(row, worst, minutes, worst.late_seconds(now) if worst else 0.0))
    for (service, name), of in by_name.items():
        worst = max(of, key=lambda each: each.late_seconds(now))
        found.append(Line(_silent(service, name, worst.system), worst, minutes, worst.late_seconds(now)))
    return sorted(found, key=lambda line: (not line.is_failing, -line.late_seconds, -line.job.failures, -line.job.runs))


def _silent(service: str, name: str, system: str) -> JobRow:
    return JobRow(JobKey(service, name, "", system), 0, 0, 0, 0, 0, 0, 0, None, None, 0.0, None, 0, ())
