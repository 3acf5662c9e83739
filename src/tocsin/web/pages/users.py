"""Users: who may sign in, and what they may do and see."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.model.access import Role
from tocsin.web import settings_headline
from tocsin.web.page import Page
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of

page = Page(
    id="users",
    title="Users",
    group="Settings",
    path="/settings/users",
    order=2,
    role=Role.ADMIN,
    key="u",
    notes_reads=False,
)
router = APIRouter()


@router.get(page.path)
def users(view: Annotated[View, Depends(view_of(page))]) -> Response:
    rows = control_of(view.request).users.all()
    return view.render(
        headline=settings_headline.users(rows),
        rows=sorted(rows, key=lambda row: row.is_disabled),
        roles=list(Role),
    )
