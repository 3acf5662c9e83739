"""Trace: one request as a waterfall, with the failure named on top."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from starlette.responses import Response

from tocsin.model.window import Window
from tocsin.query import logs, traces
from tocsin.query.traces import SpanRecord, Trace, TraceQueryError
from tocsin.web import trace_headline, waterfall
from tocsin.web.flame import flame
from tocsin.web.log_asked import spans_window
from tocsin.web.page import Page
from tocsin.web.read_audit import note_read, note_trace
from tocsin.web.render import render
from tocsin.web.view import View, view_of

page = Page(
    id="trace", title="Trace", group="Explore", path="/traces/{trace_id}", order=5, parent="traces", notes_reads=False
)
router = APIRouter()

MOST_LINES = 300
_UNKNOWN = "There is no such trace, or it is older than traces are kept, or not yours to see."


@router.get(page.path)
def trace(
    view: Annotated[View, Depends(view_of(page))],
    trace_id: str,
    span: str = "",
    shape: Annotated[str, Query(alias="as")] = "waterfall",
) -> Response:
    """The whole page, or, asked for as a fragment, the panel of one span."""
    found = _find(view, trace_id)
    if found is None:
        return _lines_alone(view, trace_id)
    cause = trace_headline.cause(found)
    chosen = _chosen(found, span, cause)
    lines = logs.of_trace(
        view.store, view.scope, found.trace_id, spans_window(found.start_ns, found.duration_ns), MOST_LINES
    )
    marks = waterfall.log_marks(found, lines)
    own_lines = [mark.line for mark in marks.get(chosen.span_id, [])]
    if view.is_fragment:
        return view.render(trace=found, span=chosen, kind=waterfall.kind_of(chosen), span_lines=own_lines)
    rows = waterfall.rows(found) if shape != "flame" else []
    return view.render(
        page_title=found.root.name,
        headline=trace_headline.trace(view.speech, found),
        cause=cause,
        where=trace_headline.where_time_went(found),
        trace=found,
        rows=rows,
        left_out=len(found.spans) - sum(1 for row in rows if row.repeats == 1) if rows else 0,
        boxes=flame(found) if shape == "flame" else [],
        shape=shape,
        shares=waterfall.time_by_kind(found),
        kind_words=waterfall.KIND_WORDS,
        span=chosen,
        lines=lines,
        is_cut=len(lines) == MOST_LINES,
        marks=marks,
        span_lines=own_lines,
        kind=waterfall.kind_of(chosen),
        answer=found.root.attributes.get("http.response.status_code"),
    )


def get_trace(view: View, trace_id: str) -> Trace:
    """The trace, or 404 when it is unknown, too old or out of the reader's sight."""
    found = _find(view, trace_id)
    if found is None:
        raise HTTPException(404, _UNKNOWN)
    return found


def _find(view: View, trace_id: str) -> Trace | None:
    try:
        found = traces.get(view.store, view.scope, trace_id.lower())
    except TraceQueryError as error:
        raise HTTPException(404, str(error)) from error
    if found is None or not found.spans:
        return None
    note_trace(view.request, view.principal, found)
    return found


def _lines_alone(view: View, trace_id: str) -> Response:
    """What was logged in a trace of which no span was kept."""
    lines = logs.of_trace(view.store, view.scope, trace_id.lower(), Window(0, view.now_ns), MOST_LINES)
    if not lines:
        raise HTTPException(404, _UNKNOWN)
    for tenant in sorted({line.tenant for line in lines if line.tenant}):
        note_read(view.request, view.principal, tenant, page.id)
    return render(
        view.request,
        "trace_lines.html",
        view=view,
        page=page,
        principal=view.principal,
        trace_id=trace_id.lower(),
        lines=lines,
        is_cut=len(lines) == MOST_LINES,
    )


def _chosen(found: Trace, span_id: str, cause: trace_headline.Cause | None) -> SpanRecord:
    """The span asked for, else the one that failed, else the root."""
    asked = next((each for each in found.spans if each.span_id == span_id), None)
    return asked or (cause.span if cause else found.root)
