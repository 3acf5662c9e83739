"""Runtime: how the processes fare from inside, what leaks, what keeps the event loop, and why they were started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.model.access import Role
from tocsin.query import runtime as query
from tocsin.query.begun import begin
from tocsin.query.evaluate import Evaluated
from tocsin.query.memory import endpoint_memory
from tocsin.query.red import step_times
from tocsin.query.runtime import Process
from tocsin.query.runtime_spreads import LAG, PAUSE, Spreads, spreads
from tocsin.web import headline, runtime_headline
from tocsin.web.charts import Chart, Line
from tocsin.web.metric_charts import COLOURS, MOST_LINES, metric_chart
from tocsin.web.metrics import promql_settings_of, reader_for
from tocsin.web.page import Page
from tocsin.web.view import View, view_of

page = Page(
    id="runtime", title="Runtime", group="Inside", path="/runtime", order=6, role=Role.VIEWER, key="r",
    notes_reads=False,
)  # fmt: skip
router = APIRouter()

REASONS = {
    "first": "first start",
    "clean": "was asked to stop",
    "deploy": "deploy",
    "crash": "crash",
    "oom": "out of memory",
    "killed": "killed",
    "reboot": "machine restarted",
}
MOST_PROCESSES = 50


@router.get(page.path)
def runtime(view: Annotated[View, Depends(view_of(page))]) -> Response:
    if not view.has_data:
        return view.render(headline=headline.nothing_yet(), is_new=True)
    asked = replace(view.filter, tenant=None)
    reader, settings = reader_for(view.request, view.scope), promql_settings_of(view.request)
    step = asked.step_seconds(query.CHART_POINTS)
    asked_late = begin(spreads, view.store, view.scope, asked, step)
    asked_memory = begin(endpoint_memory, view.store, view.scope, asked)
    told = query.happened(view.store, view.scope, asked)
    late = asked_late.result()
    found = query.processes(view.store, view.scope, asked, late, told)
    blocking, restarts = query.blocking_lines(told), query.restarts(told, view.window)
    rest = view.rest("/runtime", tenant=None)
    over_time = query.courses(reader, settings, view.window, found) if found else []
    return view.render(
        headline=runtime_headline.runtime(view.speech, found, blocking, restarts),
        is_new=False,
        processes=found[:MOST_PROCESSES],
        left_out=max(0, len(found) - MOST_PROCESSES),
        leaking=[one for one in found if one.is_leaking],
        blocking=blocking,
        restarts=restarts[:20],
        memory=asked_memory.result(),
        memory_rest=view.rest("/runtime/memory", tenant=None),
        charts=[
            *(_chart(view, place, found, *course, rest) for place, course in enumerate(over_time)),
            _late_chart(view, found, late, step, rest),
            _stopped_chart(view, found, late, step, rest),
        ],
        reasons=REASONS,
        rest=rest,
    )


def _chart(
    view: View, place: int, found: Sequence[Process], title: str, unit: str, course: Evaluated, rest: str
) -> Chart:
    """One figure of all processes over time, each line named by service and process."""
    drawn = metric_chart(f"runtime{place}", title, [(course, "{{job}} {{instance}}")], view.window, unit, rest=rest)
    names = {f"{one.service} {one.instance}": f"{one.service} {one.pid}".rstrip() for one in found}
    return replace(
        drawn.chart, lines=[replace(line, label=names.get(line.label, line.label)) for line in drawn.chart.lines]
    )


def _late_chart(view: View, found: Sequence[Process], late: Spreads, step: int, rest: str) -> Chart:
    def p99(one: Process, at: int) -> float | None:
        spread = late.get((LAG, one.instance), {}).get(at)
        return spread.p99() if spread else None

    return _steps_chart(view, "lag", "Event loop lag p99", "seconds", found, step, p99, rest)


def _stopped_chart(view: View, found: Sequence[Process], late: Spreads, step: int, rest: str) -> Chart:
    def share(one: Process, at: int) -> float | None:
        spread = late.get((PAUSE, one.instance), {}).get(at)
        return spread.seconds / step if spread else None

    return _steps_chart(view, "gc", "Stopped by the garbage collector", "percent", found, step, share, rest)


def _steps_chart(
    view: View,
    id: str,
    title: str,
    unit: str,
    found: Sequence[Process],
    step: int,
    value: Callable[[Process, int], float | None],
    rest: str,
) -> Chart:
    times = step_times(view.filter.aligned(step), step)
    drawn = [(one, [value(one, at) for at in times]) for one in found[:MOST_LINES]]
    lines = [
        Line(f"{one.service} {one.pid}".rstrip(), values, COLOURS[place % len(COLOURS)], place >= len(COLOURS))
        for place, (one, values) in enumerate(each for each in drawn if any(v is not None for v in each[1]))
    ]
    return Chart(id, title, "", unit, times, lines, view.window, rest=rest)
