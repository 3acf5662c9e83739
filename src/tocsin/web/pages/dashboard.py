"""One board: its panels, live, with its variables in the address."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import RedirectResponse, Response

from tocsin.model.access import Role
from tocsin.web import board_headline
from tocsin.web.board_layout import sections
from tocsin.web.boards import board_of
from tocsin.web.drawing import PREFIX, drawing_of
from tocsin.web.page import Page
from tocsin.web.panels import drawn
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of

page = Page(id="dashboard", title="Dashboard", group="", path="/dashboards/{id}", order=2, parent="dashboards")
router = APIRouter()


@router.get(page.path)
def dashboard(view: Annotated[View, Depends(view_of(page))], id: str) -> Response:
    board = board_of(control_of(view.request), view.principal, id)
    if board is None:
        raise HTTPException(404, f"There is no dashboard {id[:80]}, or it is not yours to see.")
    opening = board.dashboard.range
    if opening and not view.is_fragment and not {"range", "start"} & set(view.request.query_params):
        return RedirectResponse(view.here(range=opening), 303)
    drawing = drawing_of(view, board.dashboard)
    panels = drawn(board.dashboard, drawing)
    return view.render(
        page_title=board.dashboard.title,
        board=board,
        headline=board_headline.board(view.speech, board.dashboard, panels),
        sections=sections(panels),
        variables=[one for one in drawing.values.values() if not one.variable.is_hidden],
        prefix=PREFIX,
        may_edit=view.principal.has(Role.OPERATOR),
    )
