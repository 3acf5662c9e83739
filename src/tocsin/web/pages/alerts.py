"""Alerts: what fires, grouped with the likely root first, whom it hurts, and what can be done at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import RedirectResponse, Response

from tocsin.alerts.correlate import Cluster
from tocsin.model.alert_state import KnownAlert
from tocsin.web import alert_headline
from tocsin.web.alert_board import AlertBoard, alert_board, in_environment, of_group
from tocsin.web.page import Page
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of

page = Page(id="alerts", title="Alerts", group="", path="/alerts", order=2, key="a")
router = APIRouter()

MOST_CLUSTERS = 40
Section = tuple[Cluster | None, list[KnownAlert]]
"""A cluster with its alerts, or None with alerts that stand alone."""

MOST_OF_ONE = 25
"""Alerts of a cluster that are listed; the others are counted."""


@router.get(page.path)
def alerts(view: Annotated[View, Depends(view_of(page))], group: str = "", do: str = "") -> Response:
    """group: the key of a group, which messages link to; do: acknowledge or declare, for the button that does it for
    all of it."""
    mine = of_group(alert_board(view.request, view.scope, with_resolved=True), group) if group else []
    if len(mine) == 1:
        wants = {"do": do} if do == "declare" else {}
        return RedirectResponse(view.link(f"/alerts/{mine[0].fingerprint}", **wants), 303)
    board = in_environment(
        alert_board(view.request, view.scope, tenant=view.choice.tenant or ""), view.choice.environment
    )
    running = control_of(view.request).maintenances.running() if view.scope.is_platform else []
    return view.render(
        headline=alert_headline.alerts(view.speech, board, running),
        board=board,
        group=group,
        grouped=mine,
        open_of_group=[one for one in mine if board.state(one) != "resolved" and not one.handling.acknowledged_by],
        undeclared_of_group=[one for one in mine if board.state(one) != "resolved" and not one.handling.declared_by],
        do=do,
        sections=_sections(board)[:MOST_CLUSTERS],
        most=MOST_OF_ONE,
        may_act=board.may_act,
    )


def _sections(board: AlertBoard) -> list[Section]:
    """The worst first; neighbours that stand alone share one."""
    found: list[Section] = []
    for cluster in board.clusters:
        members = board.of(cluster)
        if len(members) > 1:
            found.append((cluster, members))
        elif found and found[-1][0] is None:
            found[-1][1].extend(members)
        elif members:
            found.append((None, members))
    return found
