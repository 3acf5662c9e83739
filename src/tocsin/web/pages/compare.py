"""Compare: a trace beside the typical one of its endpoint, step by step."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.query.compare import compare, normal_for
from tocsin.query.traces import Trace
from tocsin.web import compare_headline
from tocsin.web.page import Page
from tocsin.web.pages.trace import get_trace
from tocsin.web.view import View, view_of
from tocsin.web.words import Headline, Part, trace_link

page = Page(
    id="compare",
    title="Compare",
    group="Explore",
    path="/traces/{trace_id}/compare",
    order=6,
    parent="traces",
    notes_reads=False,
)
router = APIRouter()

MOST_ROWS = 500


@router.get(page.path)
def show(view: Annotated[View, Depends(view_of(page))], trace_id: str) -> Response:
    own = get_trace(view, trace_id)
    normal = normal_for(view.store, view.scope, own, view.window)
    if normal is None:
        return view.render(headline=_nothing(view, own), own=own, normal=None, steps=[], longest=1, left_out=0)
    steps = compare(own, normal)
    return view.render(
        page_title=f"{own.root.name}, compared",
        headline=compare_headline.comparison(view.speech, own, normal, steps),
        own=own,
        normal=normal,
        steps=steps[:MOST_ROWS],
        left_out=max(0, len(steps) - MOST_ROWS),
        longest=max((abs(step.more_ns) for step in steps), default=0) or 1,
    )


def _nothing(view: View, own: Trace) -> Headline:
    sub = (Part("A wider time range may hold one; "), Part("back to the trace", trace_link(view.link, own.trace_id)))
    return Headline("quiet", (Part(f"No other {own.root.name} succeeded in {view.span_words}."),), sub)
