"""My browsers: where the reader is told of alerts by web push."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.web import push_headline
from tocsin.web.page import Page
from tocsin.web.push import endpoint_hash, public_key, settings_of
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of

page = Page(id="push", title="My browsers", group="Settings", path="/settings/browsers", order=6, notes_reads=False)
router = APIRouter()


@router.get(page.path)
def browsers(view: Annotated[View, Depends(view_of(page))]) -> Response:
    rows = control_of(view.request).push.of_user(view.principal.id)
    is_ready = settings_of(view.request) is not None
    return view.render(
        headline=push_headline.browsers(rows, is_ready),
        rows=[(row, endpoint_hash(row)) for row in rows],
        is_ready=is_ready,
        public_key=public_key(view.request) if is_ready else "",
        sees=sorted(view.principal.scope.tenants or ()),
        csrf=getattr(view.request.state, "csrf_token", ""),
    )
