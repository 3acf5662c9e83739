"""Service: one app's requests, errors and response times, and its endpoints."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import Response

from tocsin.query import active, errors, red, sdk
from tocsin.query import tenants as tenants_query
from tocsin.web import charts, headline, tiles
from tocsin.web.page import Page
from tocsin.web.sdk_words import sdk_words
from tocsin.web.sorting import ENDPOINT_COLUMNS, in_order, read_sorting
from tocsin.web.view import View, view_of

page = Page(id="service", title="Service", group="Explore", path="/services/{service}", order=2, parent="services")
router = APIRouter()

ORDERS = {"harm": "harm", "rate": "requests", "errors": "errors", "p95": "slowness", "time": "share of time"}
"""The orders of the endpoint table, with what they are called."""


@router.get(page.path)
def service(
    view: Annotated[View, Depends(view_of(page))], service: str, order: str = "harm", sort: str = ""
) -> Response:
    sorting = read_sorting(sort, ENDPOINT_COLUMNS)
    if order not in ORDERS:
        raise HTTPException(400, f"cannot order endpoints by '{order[:40]}': pick one of {', '.join(ORDERS)}")
    asked = replace(view.filter, service=service)
    now = red.totals(view.store, view.scope, asked)
    before = red.totals(view.store, view.scope, view.before(asked))
    series = red.series(view.store, view.scope, asked)
    endpoints = red.endpoints(view.store, view.scope, asked, order=order)
    groups = errors.error_groups(view.store, view.scope, asked, limit=8)
    cost = sdk.sdk_cost(view.store, view.scope, asked)
    about = next(iter(red.services(view.store, view.scope, asked)), None)
    return view.render(
        page_title=service,
        service=service,
        about=about,
        sdk_words=sdk_words(cost) if cost else "",
        sdk_parts=list(cost.by_instrument.items()) if cost else [],
        now=now,
        headline=headline.service(view.speech, service, now, before, view.harmed, endpoints, groups),
        tiles=[
            *tiles.red_tiles(now, before, series, view.window, view.before_words),
            tiles.active_tile(active.active_requests(view.store, view.scope, asked)),
        ],
        charts=charts.red_charts(
            series,
            view.window,
            traces=partial(view.traces_in, service=service),
            rest=view.rest("/series", service=service),
        ),
        endpoints=in_order(endpoints, sorting, ENDPOINT_COLUMNS),
        sorting=sorting,
        order=order,
        orders=ORDERS,
        tenants=tenants_query.tenants(view.store, view.scope, asked, limit=12),
        groups=groups,
    )
