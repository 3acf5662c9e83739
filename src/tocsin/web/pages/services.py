"""Services: every app that sends, worst first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.query import red
from tocsin.query.red import ServiceRow
from tocsin.web import headline
from tocsin.web.page import Page
from tocsin.web.sorting import RED_COLUMNS, in_order, read_sorting
from tocsin.web.view import View, view_of

page = Page(id="services", title="Services", group="Explore", path="/services", order=1, key="s")
router = APIRouter()

COLUMNS: dict[str, Callable[[ServiceRow], Any]] = RED_COLUMNS | {
    "name": lambda row: row.service.lower(),
    "heard": lambda row: row.last_seen_ns,
}


@router.get(page.path)
def services(view: Annotated[View, Depends(view_of(page))], sort: str = "") -> Response:
    sorting = read_sorting(sort, COLUMNS)
    if not view.has_data:
        return view.render(headline=headline.nothing_yet(), is_new=True)
    rows = red.services(view.store, view.scope, view.filter)
    total = sum(row.red.total_seconds for row in rows) or 1.0
    return view.render(
        headline=headline.services(view.speech, rows, view.harmed),
        is_new=False,
        sorting=sorting,
        rows=[(row, row.red.total_seconds / total) for row in in_order(rows, sorting, COLUMNS)],
    )
