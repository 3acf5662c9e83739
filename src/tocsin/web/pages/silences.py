"""Silences: which alerts nobody is told of, until when, who wanted it; and maintenance with what it held back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from tocsin.alerts.silence import Silencer
from tocsin.model.access import Role
from tocsin.web import alert_headline, format
from tocsin.web.alert_board import alert_board
from tocsin.web.page import Page
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of

page = Page(id="silences", title="Silences", group="", path="/silences", order=5, role=Role.VIEWER, notes_reads=False)
router = APIRouter()
MOST_OVER = 20


@router.get(page.path)
def silences(
    view: Annotated[View, Depends(view_of(page))], labels: Annotated[str, Query(alias="filter")] = ""
) -> Response:
    """labels: matchers that fill the form, from the link of a message; named as in Alertmanager."""
    control, board = control_of(view.request), alert_board(view.request, view.scope)
    found = control.silences.all()
    maintenance = control.maintenances.all()
    running = [one for one in maintenance if one.is_on(board.now)]
    active = [one for one in found if one.state(board.now) == "active"]
    hidden = {
        one.id: sum(1 for known in board.firing if Silencer.over([one]).silenced_by(known.alert.labels, board.now))
        for one in active
    }
    held = {one.id: board.held_by(one) for one in maintenance[:10]}
    if running:
        until = format.clock(int(running[0].ends_at.timestamp() * 1e9), view.zone, view.now_ns)
        count = len({change.fingerprint for one in running for change in held.get(one.id, ())})
    else:
        silencer = Silencer.over(active)
        until = ""
        count = sum(1 for known in board.firing if silencer.silenced_by(known.alert.labels, board.now))
    return view.render(
        headline=alert_headline.silences(until, active, running, count),
        board=board,
        active=active,
        pending=[one for one in found if one.state(board.now) == "pending"],
        over=[one for one in found if one.state(board.now) == "expired"][:MOST_OVER],
        maintenance=maintenance[:10],
        held=held,
        hidden=hidden,
        matcher=labels.strip().removeprefix("{").removesuffix("}"),
        may_act=view.principal.has(Role.OPERATOR),
    )
