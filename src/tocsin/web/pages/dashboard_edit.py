"""Editing a board as text: checked with exact errors, previewed with real data, saved or given back as it came."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, HTTPException
from starlette.responses import RedirectResponse, Response

from tocsin.model.access import Role
from tocsin.model.dashboard import Dashboard
from tocsin.model.dashboard_text import read_dashboard, write_dashboard
from tocsin.model.yaml_text import Problem, TextError
from tocsin.storage.control import Taken
from tocsin.web.board_layout import sections
from tocsin.web.boards import Board, board_of, doubts
from tocsin.web.drawing import drawing_of
from tocsin.web.page import Page
from tocsin.web.panels import drawn
from tocsin.web.refusals import RefusingRoute
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of
from tocsin.web.words import Headline, Part

page = Page(
    id="dashboard_edit",
    title="Edit a dashboard",
    group="",
    path="/dashboards/{id}/edit",
    order=3,
    role=Role.OPERATOR,
    parent="dashboards",
)
router = APIRouter(route_class=RefusingRoute)
Editing = Annotated[View, Depends(view_of(page))]


@router.get(page.path)
def edit(view: Editing, id: str) -> Response:
    board = _board(view, id)
    return _shown(view, board, board.text, board.version, [], None)


@router.post(page.path)
def change(
    view: Editing,
    id: str,
    text: Annotated[str, Form()],
    version: Annotated[int, Form()],
    action: Annotated[Literal["check", "save"], Form()] = "check",
) -> Response:
    """Checks and previews; saves when asked and nothing is wrong."""
    board = _board(view, id)
    text = text.replace("\r\n", "\n")
    try:
        dashboard = read_dashboard(text, id)
        problems = (
            [] if dashboard.id == id else [Problem("id", 0, f"this board's id is '{id}'; a new id is a new board")]
        )
    except TextError as error:
        return _shown(view, board, text, version, error.problems, None)
    if action == "save" and not problems:
        try:
            control_of(view.request).dashboards.save(
                view.principal, id=id, title=dashboard.title, text=write_dashboard(dashboard), over_version=version
            )
        except Taken as error:
            return _shown(view, board, text, version, [Problem("", 0, str(error))], dashboard)
        return RedirectResponse(view.link(f"/dashboards/{id}"), 303)
    return _shown(view, board, text, version, problems, dashboard)


@router.post("/dashboards/{id}/delete")
def delete(view: Editing, id: str) -> Response:
    """Forgets what was changed here: a board that came with Tocsin is as it was shipped again."""
    board = _board(view, id)
    control_of(view.request).dashboards.delete(view.principal, id)
    return RedirectResponse(view.link(f"/dashboards/{id}" if board.is_shipped else "/dashboards"), 303)


def _board(view: View, id: str) -> Board:
    board = board_of(control_of(view.request), view.principal, id)
    if board is None:
        raise HTTPException(404, f"There is no dashboard {id[:80]}, or it is not yours to see.")
    return board


def _shown(
    view: View, board: Board, text: str, version: int, problems: list[Problem], dashboard: Dashboard | None
) -> Response:
    title = board.dashboard.title
    said = f"{title} is edited as text."
    state = "quiet"
    if problems:
        count = len(problems)
        said, state = f"{title} cannot be read yet: {count} thing{'s are' if count > 1 else ' is'} wrong.", "warn"
    elif dashboard is not None:
        said = f"{title} reads well; below it is as it would be. It is not saved yet."
    return view.render(
        page_title=f"Edit {title}",
        board=board,
        headline=Headline(state, (Part(said),)),
        text=text,
        version=version,
        problems=problems,
        doubts=doubts(dashboard) if dashboard else [],
        sections=sections(drawn(dashboard, drawing_of(view, dashboard))) if dashboard and not problems else [],
    )
