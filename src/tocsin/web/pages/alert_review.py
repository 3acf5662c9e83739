"""Review: which rules made people act, which rang for nothing, and what to do about those."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.alerts.review import review
from tocsin.web import alert_headline
from tocsin.web.page import Page
from tocsin.web.ruling import visible_groups
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of

page = Page(id="alert_review", title="Alert review", group="", path="/alerts/review", order=3, parent="alerts")
router = APIRouter()
MOST_READ = 100_000


@router.get(page.path)
def alert_review(view: Annotated[View, Depends(view_of(page))]) -> Response:
    start, end = (datetime.fromtimestamp(at / 1e9, UTC) for at in (view.window.start_ns, view.window.end_ns))
    tenant = view.choice.tenant or ""
    alerts = control_of(view.request).alerts
    made = review(alerts.history(view.scope, start=start, end=end, tenant=tenant, limit=MOST_READ), view.zone, end)
    runs = visible_groups(view.request, view.principal)
    return view.render(
        headline=alert_headline.reviewed(view.speech, made),
        made=made,
        rules={state.rule.name: state.key for run in runs for state in run.states if state.rule.is_alerting},
    )
