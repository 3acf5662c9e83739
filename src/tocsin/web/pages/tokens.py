"""API tokens: what programs that read Tocsin sign in with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.model.access import Role
from tocsin.web import settings_headline
from tocsin.web.page import Page
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of

page = Page(
    id="tokens",
    title="API tokens",
    group="Settings",
    path="/settings/tokens",
    order=3,
    role=Role.ADMIN,
    notes_reads=False,
)
router = APIRouter()


@router.get(page.path)
def tokens(view: Annotated[View, Depends(view_of(page))]) -> Response:
    now = datetime.fromtimestamp(view.now_ns / 1e9, tz=UTC)
    rows = control_of(view.request).tokens.all()
    return view.render(
        headline=settings_headline.tokens(rows, now),
        rows=sorted(rows, key=lambda row: settings_headline.has_ended(row, now)),
        ended={row.id for row in rows if settings_headline.has_ended(row, now)},
        roles=list(Role),
    )
