"""Log line: one line whole, its trace beside it, and what its process wrote around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import Response

from tocsin.query import logs, traces
from tocsin.query.begun import begin
from tocsin.query.log_words import LogQueryError
from tocsin.query.logs import LogLine
from tocsin.query.traces import Trace, TraceQueryError
from tocsin.web import log_headline, waterfall
from tocsin.web.page import Page
from tocsin.web.read_audit import note_read
from tocsin.web.view import View, view_of

page = Page(
    id="log", title="Log line", group="Explore", path="/logs/{line_id}", order=8, parent="logs", notes_reads=False
)
router = APIRouter()

AROUND = 12
MOST_SPANS = 30


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A span beside the line; `is_own`: the line was written in it."""

    row: waterfall.Row
    is_own: bool


@router.get(page.path)
def line(view: Annotated[View, Depends(view_of(page))], line_id: str) -> Response:
    """The whole page, or, asked for as a fragment, what a row of a list shows when it is opened."""
    found = _found(view, line_id)
    if view.is_fragment:
        return view.render(line=found)
    around = begin(logs.context, view.store, view.scope, found, AROUND)
    trace = _trace(view, found)
    spans = _spans(trace, found) if trace else []
    return view.render(
        page_title=log_headline.quoted(found),
        headline=log_headline.line(view.speech, found),
        line=found,
        trace=trace,
        spans=spans,
        at=_place_in(trace, found) if trace else 0.0,
        around=around.result(),
    )


def _found(view: View, line_id: str) -> LogLine:
    try:
        found = logs.get(view.store, view.scope, line_id)
    except LogQueryError as error:
        raise HTTPException(404, str(error)) from error
    if found is None:
        raise HTTPException(404, "There is no such line, or it is older than lines are kept, or not yours to see.")
    note_read(view.request, view.principal, found.tenant or None, page.id)
    return found


def _trace(view: View, line: LogLine) -> Trace | None:
    if not line.trace_id:
        return None
    try:
        found = traces.get(view.store, view.scope, line.trace_id)
    except TraceQueryError:
        return None
    return found if found is not None and found.spans else None


def _spans(trace: Trace, line: LogLine) -> list[SpanRow]:
    """The spans in the order of the waterfall, nothing folded: the first ones, or those around the line's own."""
    rows = [row for row in waterfall.rows(trace) if not row.is_folded]
    own = next((place for place, row in enumerate(rows) if row.span.span_id == line.span_id), None)
    first = 0 if own is None or own < MOST_SPANS else own - MOST_SPANS // 2
    shown = rows[first : first + MOST_SPANS]
    return [SpanRow(row, row.span.span_id == line.span_id) for row in shown]


def _place_in(trace: Trace, line: LogLine) -> float:
    """When in the trace the line was written, 0-1."""
    return min(1.0, max(0.0, (line.time_ns - trace.start_ns) / max(trace.duration_ns, 1)))
