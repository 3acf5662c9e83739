"""Error: one group, its stack, its course, whom it hits since which release, and what was decided about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from tocsin.model.access import Role
from tocsin.model.clock import utc_now
from tocsin.model.window import Window
from tocsin.query import error_history, logs
from tocsin.query.error_history import ErrorCourse
from tocsin.query.log_filter import LogQuery
from tocsin.query.logs import TRACE_SLACK_NS, LogLine
from tocsin.storage.control import InvalidInput
from tocsin.web import error_actions, error_headline
from tocsin.web.auth import Operator
from tocsin.web.charts import Chart, Line
from tocsin.web.error_list import found
from tocsin.web.page import Page
from tocsin.web.paths import at, segment
from tocsin.web.refusals import RefusingRoute
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of

page = Page(id="error_group", title="Error", group="Explore", path="/errors/{fingerprint}", order=8, parent="errors")
router = APIRouter(route_class=RefusingRoute)

IGNORE_FOR = {"1h": timedelta(hours=1), "1d": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
LINES = 20
TRACES_WITH_LINES = 20
COLOURS = ("c1", "c2", "c3", "c4", "c5")
Note = Annotated[str, Form(max_length=500)]


@router.get(page.path)
def error(view: Annotated[View, Depends(view_of(page))], fingerprint: str) -> Response:
    now = datetime.fromtimestamp(view.now_ns / 1e9, UTC)
    row = found(view.store, control_of(view.request), view.scope, view.filter, fingerprint, now)
    if row is None:
        raise HTTPException(404, f"There is no error {fingerprint[:40]}, or it is not yours to see.")
    is_staff = view.principal.has(Role.VIEWER)
    occurrences = error_history.occurrences(view.store, view.scope, view.filter, fingerprint)
    return view.render(
        page_title=row.name,
        headline=error_headline.error(view.speech, row),
        row=row,
        chart=course_chart(view, row.course, fingerprint),
        stack=error_history.stack_of(view.store, view.scope, fingerprint, row.history.latest_trace_id),
        traces=occurrences,
        lines=_lines(view, [trace_id for trace_id, *_ in occurrences]),
        decided=control_of(view.request).audit.entries(limit=10, object=fingerprint) if is_staff else [],
        may_decide=view.principal.has(Role.OPERATOR),
        ignore_for=list(IGNORE_FOR),
    )


def _lines(view: View, trace_ids: list[str]) -> list[LogLine]:
    """What the latest requests with this error logged."""
    if not trace_ids:
        return []
    window = Window(max(0, view.window.start_ns - TRACE_SLACK_NS), view.window.end_ns)
    query = LogQuery(window, trace_ids=tuple(trace_ids[:TRACES_WITH_LINES]), tenant=view.choice.tenant)
    return logs.search(view.store, view.scope, query, LINES).lines


@router.post("/errors/{fingerprint}/resolve")
def resolve(
    request: Request,
    operator: Operator,
    fingerprint: str,
    when: Annotated[Literal["now", "next"], Form()] = "now",
    note: Note = "",
) -> Response:
    error_actions.resolve(request, operator, fingerprint, in_next_release=when == "next", note=note)
    return _back(request, fingerprint)


@router.post("/errors/{fingerprint}/ignore")
def ignore(
    request: Request,
    operator: Operator,
    fingerprint: str,
    until: Annotated[str, Form()] = "",
    occurrences: Annotated[str, Form(max_length=12)] = "",
    note: Note = "",
) -> Response:
    if until and until not in IGNORE_FOR:
        raise InvalidInput(f"cannot ignore for '{until[:20]}': pick one of {', '.join(IGNORE_FOR)}, or nothing")
    if occurrences.strip() and not occurrences.strip().isdecimal():
        raise InvalidInput(f"cannot ignore for '{occurrences}' occurrences: write a whole number, or nothing")
    error_actions.ignore(
        request,
        operator,
        fingerprint,
        until=utc_now() + IGNORE_FOR[until] if until else None,
        occurrences=int(occurrences) if occurrences.strip() else None,
        note=note,
    )
    return _back(request, fingerprint)


@router.post("/errors/{fingerprint}/reopen")
def reopen(request: Request, operator: Operator, fingerprint: str) -> Response:
    error_actions.reopen(request, operator, fingerprint)
    return _back(request, fingerprint)


def course_chart(view: View, course: ErrorCourse | None, fingerprint: str) -> Chart:
    """Occurrences by tenant, the five most hit by name."""
    rest = view.rest(f"/errors/{segment(fingerprint)}")
    if course is None:
        return Chart("course", "Occurrences", "", "count", [], [], view.window, rest=rest)
    busiest = sorted(course.by_tenant, key=lambda tenant: -sum(course.by_tenant[tenant]))
    lines = [
        Line(tenant or "no tenant", course.by_tenant[tenant], colour, is_filled=True)
        for tenant, colour in zip(busiest, COLOURS, strict=False)
    ]
    others = [course.by_tenant[tenant] for tenant in busiest[len(COLOURS) :]]
    if others:
        lines.append(Line("others", [sum(each) for each in zip(*others, strict=True)], "c6", is_filled=True))
    return Chart(
        "course",
        "Occurrences",
        f"per {course.step_seconds} s",
        "count",
        course.times,
        lines,
        view.window,
        rest=rest,
        is_stacked=len(lines) > 1,
    )


def _back(request: Request, fingerprint: str) -> Response:
    return RedirectResponse(at(request, f"/errors/{segment(fingerprint)}"), 303)
