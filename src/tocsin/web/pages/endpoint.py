"""Endpoint: one route of one service, down to the traces that show why."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.query import client_errors, errors, logs, red, traces
from tocsin.query import tenants as tenants_query
from tocsin.query.begun import begin
from tocsin.query.filters import Filter
from tocsin.query.memory import endpoint_memory
from tocsin.query.traces import TraceQuery, TraceSummary
from tocsin.web import charts, headline, tiles
from tocsin.web.log_asked import log_query
from tocsin.web.page import Page
from tocsin.web.view import View, view_of
from tocsin.web.words import endpoint_name

page = Page(
    id="endpoint", title="Endpoint", group="Explore", path="/services/{service}/endpoint", order=3, parent="services"
)
router = APIRouter()

TRACES = 8
LINES = 12


@router.get(page.path)
def endpoint(view: Annotated[View, Depends(view_of(page))], service: str, method: str, route: str) -> Response:
    named = {"service": service, "method": method, "route": route}
    asked = replace(view.filter, service=service, method=method, route=route)
    asked_lines = begin(logs.search, view.store, view.scope, log_query(asked, named), LINES)
    name = endpoint_name(method, route)
    now = red.totals(view.store, view.scope, asked)
    before = red.totals(view.store, view.scope, view.before(asked))
    series = red.series(view.store, view.scope, asked)
    groups = errors.error_groups(view.store, view.scope, asked, limit=8)
    statuses = red.statuses(view.store, view.scope, asked)
    hurt = [each for each in view.harmed if each.worst_endpoint == (service, method, route)]
    search = f"{method} {route}"
    return view.render(
        page_title=name,
        service=service,
        method=method,
        route=route,
        now=now,
        headline=headline.endpoint(view.speech, name, now, before, hurt, groups),
        tiles=tiles.red_tiles(now, before, series, view.window, view.before_words),
        charts=charts.red_charts(
            series,
            view.window,
            traces=partial(view.traces_in, service=service, operation=search),
            rest=view.rest("/series", **named),
        ),
        heatmap=charts.HeatmapChart(
            red.heatmap(view.store, view.scope, asked),
            view.window,
            view.traces_in(service=service, operation=search),
            view.rest("/heatmap", **named),
        ),
        named=named,
        statuses=[(row, row.requests / now.requests) for row in statuses] if now.requests else [],
        tenants=tenants_query.tenants(view.store, view.scope, asked, limit=12),
        slowest=_traces(view, asked, "", "slowest"),
        failing=_traces(view, asked, "error", "newest"),
        operation=search,
        groups=groups,
        fields=client_errors.failing_fields(view.store, view.scope, asked, limit=8),
        memory=endpoint_memory(view.store, view.scope, asked),
        lines=asked_lines.result().lines,
    )


def _traces(view: View, asked: Filter, status: str, order: str) -> list[TraceSummary]:
    query = TraceQuery(
        window=asked.window,
        environment=asked.environment,
        tenant=asked.tenant,
        service=asked.service,
        operation=f"{asked.method} {asked.route}",
        status=status or None,
        limit=TRACES,
        order=order,
    )
    return traces.search(view.store, view.scope, query)
