"""Overview: is anybody hurt, and where to look first."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.query import active, errors, red
from tocsin.query import tenants as tenants_query
from tocsin.web import charts, headline, tiles
from tocsin.web.page import Page
from tocsin.web.sorting import ENDPOINT_COLUMNS, in_order, read_sorting
from tocsin.web.view import View, view_of

page = Page(id="overview", title="Overview", group="", path="/", order=1, key="o")
router = APIRouter()

ENDPOINTS = 8
TENANTS = 10
ERRORS = 5


@router.get(page.path)
def overview(view: Annotated[View, Depends(view_of(page))], sort: str = "") -> Response:
    sorting = read_sorting(sort, ENDPOINT_COLUMNS)
    if not view.has_data:
        return view.render(headline=headline.nothing_yet(), is_new=True)
    now = red.totals(view.store, view.scope, view.filter)
    before = red.totals(view.store, view.scope, view.before(view.filter))
    series = red.series(view.store, view.scope, view.filter)
    in_flight = active.active_requests(view.store, view.scope, view.filter)
    endpoints = red.endpoints(view.store, view.scope, view.filter, limit=ENDPOINTS)
    tenants = tenants_query.tenants(view.store, view.scope, view.filter)
    groups = errors.error_groups(view.store, view.scope, view.filter, limit=ERRORS)
    harmed = [each for each in view.harmed if view.choice.tenant in (None, each.tenant)]
    named = sum(1 for each in tenants if each.tenant)
    return view.render(
        headline=headline.overview(view.speech, now, before, harmed, named, endpoints, groups, view.firing),
        is_new=False,
        tiles=[
            *tiles.red_tiles(now, before, series, view.window, view.before_words),
            tiles.active_tile(in_flight),
            tiles.tenants_tile(tenants, len(harmed), view.link("/tenants")),
        ],
        charts=charts.red_charts(series, view.window, traces=view.traces_in, rest=view.rest("/series")),
        endpoints=in_order(endpoints, sorting, ENDPOINT_COLUMNS),
        sorting=sorting,
        tenants=tenants[:TENANTS],
        groups=groups,
    )
