"""One pattern of log lines: its course, who has it since when, and its newest lines with their traces."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import Response

from tocsin.query.log_patterns import course_steps, lines_of, log_pattern
from tocsin.web import format, pattern_headline
from tocsin.web.charts import Chart, Line
from tocsin.web.page import Page
from tocsin.web.view import View, view_of

page = Page(id="pattern", title="Pattern", group="Explore", path="/patterns/{pattern}", order=6, parent="patterns")
router = APIRouter()

MOST_LINES = 100


@router.get(page.path)
def show(view: Annotated[View, Depends(view_of(page))], pattern: str) -> Response:
    one = log_pattern(view.store, view.scope, view.filter, pattern)
    if one is None:
        raise HTTPException(
            404, f"There is no pattern {pattern[:40]} in {view.span_words}, or it is not yours to see; widen the time."
        )
    start, step = course_steps(view.filter, len(one.course))
    times = [start + place * step for place in range(len(one.course))]
    colour = "bad" if one.level in pattern_headline.BAD else "c1"
    chart = Chart(
        "lines", "Lines", f"per {format.duration(step)}", "count", times,
        [Line("lines", one.course, colour, is_filled=True)], view.window,
        rest=view.rest(f"/logs/patterns/{one.name}"),
    )  # fmt: skip
    return view.render(
        page_title=one.text[:60],
        headline=pattern_headline.pattern(view.speech, one),
        one=one,
        chart=chart,
        lines=lines_of(view.store, view.scope, view.filter, one, MOST_LINES),
    )
