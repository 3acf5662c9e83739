"""Tenant: one customer's requests against the platform's."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import Response

from tocsin.model.window import Window
from tocsin.query import active, call_tenants, errors, red, traces
from tocsin.query import tenants as tenants_query
from tocsin.query.call_tenants import TenantShare
from tocsin.query.filters import Filter
from tocsin.query.red import Red
from tocsin.query.timerange import RANGES
from tocsin.query.traces import TraceQuery, TraceSummary
from tocsin.web import charts, headline, ranks, tenant_ranks, tiles
from tocsin.web.page import Page
from tocsin.web.view import View, view_of

page = Page(id="tenant", title="Tenant", group="Customers", path="/tenants/{tenant}", order=2, parent="tenants")
router = APIRouter()

TRACES = 8
OUTBREAK_NS = 15 * 60 * 10**9


@router.get(page.path)
def tenant(view: Annotated[View, Depends(view_of(page))], tenant: str) -> Response:
    _must_exist(view, tenant)
    asked = replace(view.filter, tenant=tenant)
    everybody = replace(view.filter, tenant=None)
    own, before = (red.totals(view.store, view.scope, each) for each in (asked, view.before(asked)))
    series = red.series(view.store, view.scope, asked)
    # A tenant viewer compares with nobody: what the platform does is not theirs to see.
    platform = red.totals(view.store, view.scope, everybody) if view.scope.is_platform else None
    beside = red.series(view.store, view.scope, everybody) if platform else None
    rows = tenants_query.tenants(view.store, view.scope, everybody if platform else asked)
    groups = errors.error_groups(view.store, view.scope, asked, limit=8)
    return view.render(
        page_title=tenant,
        tenant=tenant,
        headline=headline.tenant(view.speech, tenant, own, platform, view.harmed, groups),
        tiles=[
            *tiles.red_tiles(own, before, series, view.window, view.before_words),
            tiles.active_tile(active.active_requests(view.store, view.scope, asked)),
        ],
        own=own,
        platform=platform,
        row=next((row for row in rows if row.tenant == tenant), None),
        places=[text for text in (ranks.waits_words(rows, tenant), ranks.failures_words(rows, tenant)) if text],
        ranks=tenant_ranks.ranks_of(view.store, view.scope, view.filter, tenant, rows),
        neighbour=_neighbour(view, everybody, tenant, own, before) if platform else None,
        charts=charts.red_charts(
            series,
            view.window,
            beside,
            tenant,
            traces=partial(view.traces_in, tenant=tenant),
            rest=view.rest("/series", tenant=tenant),
        ),
        endpoints=red.endpoints(view.store, view.scope, asked, limit=12),
        failing=_failing(view, asked),
        groups=groups,
    )


def _neighbour(view: View, everybody: Filter, tenant: str, own: Red, before: Red) -> TenantShare | None:
    """Who took the database meanwhile, for a tenant that is hurt or slower than it was. Looked for in the newest part
    of the time: an outbreak drowns in a day."""
    is_hurt = any(each.tenant == tenant for each in view.harmed) or tiles.is_slower(own, before)
    start_ns = max(view.window.start_ns, view.window.end_ns - OUTBREAK_NS)
    newest = replace(everybody, window=Window(start_ns, view.window.end_ns))
    shares = call_tenants.tenant_shares(view.store, view.scope, newest) if is_hurt else []
    return tenant_ranks.noisy_neighbour(shares, tenant, is_hurt)


def _must_exist(view: View, tenant: str) -> None:
    """404 for a tenant that is not the reader's to see, and the same for one that never sent anything."""
    view.must_see(tenant)
    month = Filter(Window.last(RANGES["30d"], view.now_ns), tenant=tenant)
    # The list of known tenants is cut where there are very many, so one that is missing there is asked for itself.
    if tenant not in view.tenants and not red.totals(view.store, view.scope, month).requests:
        raise HTTPException(404, f"There is no tenant {tenant}, or it is not yours to see.")


def _failing(view: View, asked: Filter) -> list[TraceSummary]:
    query = TraceQuery(
        window=asked.window, environment=asked.environment, tenant=asked.tenant, status="error", limit=TRACES
    )
    return traces.search(view.store, view.scope, query)
