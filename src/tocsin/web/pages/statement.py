"""Statement: one statement of the database, who runs it for whom, its plan and its slowest traces."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import Response

from tocsin.model.window import Window
from tocsin.query import call_places, call_tenants, calls, traces
from tocsin.query.calls import Asked
from tocsin.query.timerange import RANGES
from tocsin.query.traces import TraceQuery, TraceSummary
from tocsin.web import call_charts, database_headline
from tocsin.web.page import Page
from tocsin.web.view import View, view_of

page = Page(
    id="statement", title="Statement", group="Inside", path="/database/{fingerprint}", order=2, parent="database"
)
router = APIRouter()

TRACES = 8
SEARCHED_NS = 6 * 3600 * 10**9
"""Of a long window the newest part is searched for traces: they are examples, and looking through all takes seconds."""


@router.get(page.path)
def statement(view: Annotated[View, Depends(view_of(page))], fingerprint: str) -> Response:
    asked, store, scope = Asked(("db",), digest=fingerprint), view.store, view.scope
    found = calls.operation(store, scope, view.filter, asked)
    if found is None:
        month = replace(view.filter, window=Window.last(RANGES["30d"], view.now_ns))
        found = calls.operation(store, scope, month, asked)
    if found is None:
        raise HTTPException(404, "Nobody ran this statement in the last 30 days, or it is not yours to see.")
    now = calls.totals(store, scope, view.filter, asked)
    everything = calls.totals(store, scope, view.filter, Asked(("db",)))
    series = calls.series(store, scope, view.filter, asked)
    repeats = call_places.repeats(store, scope, view.filter, asked)
    slow = call_places.slow_calls(store, scope, view.filter, asked)
    plan = call_places.plans(store, scope, view.filter).get(fingerprint)
    share = now.total_seconds / everything.total_seconds if everything.total_seconds else 0.0
    slowest = view.traces_in(attribute=f"tocsin.db.fingerprint:{fingerprint}", order="slowest")
    return view.render(
        page_title=database_headline.summary(found.text),
        headline=database_headline.statement(view.speech, found, now, share, repeats, slow, plan),
        statement=found,
        tiles=call_charts.call_tiles(
            now, calls.totals(store, scope, view.before(view.filter), asked), series, view.window, "calls",
            view.before_words,
        ),
        charts=call_charts.call_charts(
            series, view.window, "calls", view.rest(f"/database/statements/{fingerprint}"), slowest
        ),
        now=now,
        share=share,
        callers=calls.callers(store, scope, view.filter, asked),
        tenants=call_tenants.tenant_shares(store, scope, view.filter, asked) if scope.is_platform else [],
        repeats=repeats,
        slow=slow,
        plan=plan,
        traces=_slowest(view, fingerprint),
        fingerprint=fingerprint,
    )  # fmt: skip


def _slowest(view: View, fingerprint: str) -> list[TraceSummary]:
    start_ns = max(view.window.start_ns, view.window.end_ns - SEARCHED_NS)
    query = TraceQuery(
        window=Window(start_ns, view.window.end_ns),
        environment=view.choice.environment,
        tenant=view.choice.tenant,
        attributes=(("tocsin.db.fingerprint", fingerprint),),
        limit=TRACES,
        order="slowest",
    )
    return traces.search(view.store, view.scope, query)
