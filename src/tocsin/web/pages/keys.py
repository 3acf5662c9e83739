"""Ingest keys: what applications prove with that their telemetry may come in."""

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
    id="keys",
    title="Ingest keys",
    group="Settings",
    path="/settings/keys",
    order=1,
    role=Role.ADMIN,
    key="k",
    notes_reads=False,
)
router = APIRouter()


@router.get(page.path)
def keys(view: Annotated[View, Depends(view_of(page))]) -> Response:
    rows = control_of(view.request).keys.all()
    return view.render(
        headline=settings_headline.keys(rows),
        rows=sorted(rows, key=lambda row: row.revoked_at is not None),
    )
