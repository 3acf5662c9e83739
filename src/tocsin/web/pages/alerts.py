"""Alerts: what fires, grouped with the likely root first, whom it hurts, and what can be done at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.alerts.correlate import service_of
from tocsin.model.access import Role
from tocsin.web import alert_headline
from tocsin.web.alert_board import alert_board, in_environment
from tocsin.web.page import Page
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of

page = Page(id="alerts", title="Alerts", group="", path="/alerts", order=2, key="a")
router = APIRouter()

MOST_CLUSTERS = 40
MOST_OF_ONE = 25
"""Alerts of a cluster that are listed; the others are counted."""


@router.get(page.path)
def alerts(view: Annotated[View, Depends(view_of(page))]) -> Response:
    board = in_environment(
        alert_board(view.request, view.scope, tenant=view.choice.tenant or ""), view.choice.environment
    )
    running = control_of(view.request).maintenances.running() if view.scope.is_platform else []
    together = [(each, board.of(each)) for each in board.clusters if len(each.alerts) > 1]
    return view.render(
        headline=alert_headline.alerts(view.speech, board, running),
        board=board,
        together=together[:MOST_CLUSTERS],
        single=[known for each in board.clusters if len(each.alerts) == 1 for known in board.of(each)],
        most=MOST_OF_ONE,
        service_of=service_of,
        may_act=view.principal.has(Role.OPERATOR),
    )
