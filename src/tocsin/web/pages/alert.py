"""One alert: why somebody is told or nobody is, what people did, and everything that happened to it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import Response

from tocsin.alerts.correlate import service_of
from tocsin.alerts.explain import explain
from tocsin.model.runbooks import runbook_link
from tocsin.storage.control import NotFound
from tocsin.web import alert_headline
from tocsin.web.alert_board import alert_board
from tocsin.web.alert_chart import alert_chart
from tocsin.web.alerting import alert_for, past, pipeline_of
from tocsin.web.page import Page
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of

page = Page(id="alert", title="Alert", group="", path="/alerts/{fingerprint}", order=4, parent="alerts")
router = APIRouter()


@router.get(page.path)
def alert(view: Annotated[View, Depends(view_of(page))], fingerprint: str, at: str = "", do: str = "") -> Response:
    """do: declare, for a message's button."""
    try:
        known = alert_for(view.request, view.scope, fingerprint)
    except NotFound as error:
        raise HTTPException(404, f"There is no alert {fingerprint[:40]}, or it is not yours to see.") from error
    board = alert_board(view.request, view.scope)
    made = explain(pipeline_of(view.request), known, board.around)
    cluster = next((each for each in board.clusters if any(one is known.alert for one in each.alerts)), None)
    return view.render(
        page_title=known.alert.name,
        headline=alert_headline.alert(view.speech, known, made.state, made.sentence),
        board=board,
        known=known,
        drawn=alert_chart(view, known),
        made=made,
        cluster=cluster if cluster is not None and len(cluster.alerts) > 1 else None,
        related=[one for one in board.of(cluster) if one is not known][:12] if cluster else [],
        changes=control_of(view.request).alerts.history(view.scope, fingerprint=fingerprint, limit=100),
        service_of=service_of,
        runbook_link=runbook_link,
        at=at,
        do=do,
        then=past(view.request, view.scope, known, moment) if (moment := _moment(at)) else None,
        may_act=board.may_act,
        sees_routes=view.scope.is_platform,
    )


def _moment(text: str) -> datetime | None:
    """What the form sends, in UTC; None where it is no time."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
