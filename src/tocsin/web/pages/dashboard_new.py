"""A new board: its id and title, then the editor."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.responses import RedirectResponse, Response

from tocsin.model.access import Role
from tocsin.model.dashboard import Dashboard, GridPosition, Panel, PanelQuery
from tocsin.model.dashboard_text import ID, write_dashboard
from tocsin.storage.control import InvalidInput
from tocsin.web.dashboards import shipped
from tocsin.web.page import Page
from tocsin.web.refusals import RefusingRoute
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of
from tocsin.web.words import Headline, Part

page = Page(
    id="dashboard_new",
    title="New dashboard",
    group="",
    path="/dashboards-new",
    order=3,
    role=Role.OPERATOR,
    parent="dashboards",
    notes_reads=False,
)
router = APIRouter(route_class=RefusingRoute)
Making = Annotated[View, Depends(view_of(page))]

FIRST = Panel(1, "Requests", "chart", GridPosition(0, 0, 24, 9), (PanelQuery("sum(rate(http_requests_total[5m]))"),))


@router.get(page.path)
def new(view: Making) -> Response:
    return view.render(headline=Headline("quiet", (Part("A new board begins with a name."),)))


@router.post(page.path)
def make(view: Making, id: Annotated[str, Form()], title: Annotated[str, Form()]) -> Response:
    if not ID.fullmatch(id):
        raise InvalidInput(f"cannot make dashboard '{id[:80]}': its id takes small letters, digits, - and _")
    if id in shipped():
        raise InvalidInput(
            f"cannot make dashboard '{id}': one of that id comes with Tocsin; edit that or take another id"
        )
    if not title.strip() or len(title) > 200:
        raise InvalidInput(f"cannot make dashboard '{id}': its title is empty or longer than 200 characters")
    text = write_dashboard(Dashboard(id, title.strip(), (FIRST,)))
    control_of(view.request).dashboards.save(view.principal, id=id, title=title.strip(), text=text, over_version=0)
    return RedirectResponse(view.link(f"/dashboards/{id}/edit"), 303)
