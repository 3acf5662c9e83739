"""Job: one background job, down to the runs that failed, their line and their tenants."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.model.window import Window
from tocsin.query import job_schedules, jobs, traces
from tocsin.query.filters import Filter
from tocsin.query.jobs import JobSeries
from tocsin.query.traces import TraceQuery, TraceSummary
from tocsin.web import job_headline
from tocsin.web.charts import Chart, Line
from tocsin.web.page import Page
from tocsin.web.pages.jobs import lines
from tocsin.web.paths import segment
from tocsin.web.view import View, view_of

page = Page(id="job", title="Job", group="Inside", path="/jobs/{name:path}", order=5, parent="jobs")
router = APIRouter()

TRACES = 8
_COLOURS = {"success": "c1", "failure": "bad", "retry": "c3", "revoked": "c6"}


@router.get(page.path)
def job(view: Annotated[View, Depends(view_of(page))], name: str, service: str = "") -> Response:
    asked = replace(view.filter, service=service or None)
    rows = jobs.jobs(view.store, view.scope, asked, name)
    schedules = [each for each in job_schedules.schedules(view.store, view.scope, asked) if each.name == name]
    found = lines(rows, schedules, view.window.seconds / 60, view.window.end_ns / 1e9)
    is_failed = any(row.failures for row in rows)
    rest = f"/jobs/{segment(name)}"
    return view.render(
        page_title=name,
        name=name,
        service=service,
        headline=job_headline.jobs(view.speech, rows, schedules, ()),
        lines=found,
        line=jobs.failing_line(view.store, view.scope, asked, name) if is_failed else "",
        charts=job_charts(jobs.series(view.store, view.scope, asked, name), view.window, view.rest(rest)),
        tenants=jobs.tenants(view.store, view.scope, asked, name),
        failing=_traces(view, asked, name, "error", "newest"),
        slowest=_traces(view, asked, name, "", "slowest"),
        groups=jobs.errors(view.store, view.scope, asked, name),
        rest=rest,
    )


def job_charts(series: JobSeries, window: Window, rest: str) -> list[Chart]:
    """Runs by outcome, how long they take, how long they wait."""
    times = series.times
    runs = [Line(outcome, values, _COLOURS[outcome], is_filled=True) for outcome, values in series.runs.items()]
    runs = [line for line in runs if line.label in ("success", "failure") or any(line.values)]
    durations = [Line("p50", series.p50_seconds, "c2"), Line("p95", series.p95_seconds, "c1")]
    waits = [Line("p95", series.queue_p95_seconds, "c3", is_filled=True)]
    return [
        Chart("runs", "Runs", "per minute", "rate", times, runs, window, rest=rest, is_stacked=True),
        Chart("duration", "Duration", "", "seconds", times, durations, window, rest=rest),
        Chart("wait", "Time in the queue", "", "seconds", times, waits, window, rest=rest),
    ]


def _traces(view: View, asked: Filter, name: str, status: str, order: str) -> list[TraceSummary]:
    query = TraceQuery(
        window=asked.window,
        environment=asked.environment,
        tenant=asked.tenant,
        service=asked.service,
        operation=name,
        status=status or None,
        limit=TRACES,
        order=order,
    )
    return traces.search(view.store, view.scope, query)
