"""Dashboards: every board there is for this person."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.model.access import Role
from tocsin.web import board_headline
from tocsin.web.boards import boards
from tocsin.web.page import Page
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of

page = Page(id="dashboards", title="Dashboards", group="", path="/dashboards", order=3, key="d", notes_reads=False)
router = APIRouter()


@router.get(page.path)
def dashboards(view: Annotated[View, Depends(view_of(page))]) -> Response:
    rows = boards(control_of(view.request), view.principal)
    return view.render(headline=board_headline.boards(rows), rows=rows, may_edit=view.principal.has(Role.OPERATOR))
