"""Tenants: every customer against the platform, worst first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.query import red
from tocsin.query import tenants as tenants_query
from tocsin.query.tenants import TenantRow
from tocsin.web import headline
from tocsin.web.page import Page
from tocsin.web.sorting import RED_COLUMNS, in_order, read_sorting
from tocsin.web.view import View, view_of

page = Page(id="tenants", title="Tenants", group="Customers", path="/tenants", order=1, key="c")
router = APIRouter()

MOST_ROWS = 200
COLUMNS: dict[str, Callable[[TenantRow], Any]] = RED_COLUMNS | {
    "name": lambda row: row.tenant.lower(),
    "rank": lambda row: row.percentile_rank,
    "heard": lambda row: row.last_seen_ns,
}


@router.get(page.path)
def tenants(view: Annotated[View, Depends(view_of(page))], q: str = "", sort: str = "") -> Response:
    sorting = read_sorting(sort, COLUMNS)
    if not view.has_data:
        return view.render(headline=headline.nothing_yet(), is_new=True)
    asked = replace(view.filter, tenant=None)
    rows = tenants_query.tenants(view.store, view.scope, asked, limit=MOST_ROWS)
    return view.render(
        headline=headline.tenants(view.speech, rows, view.harmed),
        is_new=False,
        platform=red.totals(view.store, view.scope, asked),
        sorting=sorting,
        rows=[row for row in in_order(rows, sorting, COLUMNS) if q.lower() in row.tenant.lower()],
        hurt={each.tenant: each for each in view.harmed},
        known=len(view.tenants),
        q=q,
        is_cut=len(rows) == MOST_ROWS,
    )
