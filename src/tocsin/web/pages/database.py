"""Database: what its time goes into, who asks, from which line of code, and how full the pools are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.query import call_places, call_tenants, calls, pools
from tocsin.query.begun import begin
from tocsin.query.calls import Asked, OperationRow
from tocsin.web import call_charts, database_headline, headline
from tocsin.web.database_headline import DatabaseFindings
from tocsin.web.page import Page
from tocsin.web.sorting import in_order, read_sorting
from tocsin.web.view import View, view_of

page = Page(id="database", title="Database", group="Inside", path="/database", order=1, key="b")
router = APIRouter()

STATEMENTS = Asked(("db",))
MOST_STATEMENTS, SHOWN = 200, 15
COLUMNS: dict[str, Callable[[OperationRow], Any]] = {
    "name": lambda row: row.operation.text.lower(),
    "rate": lambda row: row.calls.rate,
    "p95": lambda row: row.calls.p95_seconds,
    "rows": lambda row: row.calls.rows_per_call,
    "errors": lambda row: row.calls.error_ratio,
    "time": lambda row: row.share,
}


@router.get(page.path)
def database(view: Annotated[View, Depends(view_of(page))], sort: str = "", all: bool = False) -> Response:
    sorting = read_sorting(sort, COLUMNS)
    if not view.has_data:
        return view.render(headline=headline.nothing_yet(), is_new=True)
    asked_before = begin(calls.totals, view.store, view.scope, view.before(view.filter), STATEMENTS)
    asked_series = begin(calls.series, view.store, view.scope, view.filter, STATEMENTS)
    found = findings(view)
    before, series = asked_before.result(), asked_series.result()
    rest = view.rest("/database/series")
    return view.render(
        headline=database_headline.database(view.speech, found),
        is_new=False,
        sorting=sorting,
        found=found,
        tiles=call_charts.call_tiles(found.now, before, series, view.window, "statements", view.before_words),
        charts=call_charts.call_charts(series, view.window, "statements", rest),
        rows=in_order(found.statements, sorting, COLUMNS)[: None if all else SHOWN],
        pool_charts=[
            call_charts.pool_chart(
                pools.pool_series(view.store, view.scope, view.filter, pool.name), pool.limit, view.window
            )
            for pool in found.pools[:2]
        ],
        statement_link=lambda digest: database_headline.statement_link(view.link, digest),
        summary=database_headline.summary,
    )


def findings(view: View) -> DatabaseFindings:
    """Everything the page and its sentence are made of."""
    store, scope, asked = view.store, view.scope, view.filter
    statements = begin(calls.operations, store, scope, asked, STATEMENTS, MOST_STATEMENTS)
    # Neither the pools nor the other tenants are a tenant viewer's to see.
    tenants = begin(call_tenants.tenant_shares, store, scope, asked, STATEMENTS) if scope.is_platform else None
    found_pools = begin(pools.pools, store, scope, asked) if scope.is_platform else None
    repeats, slow = begin(call_places.repeats, store, scope, asked), begin(call_places.slow_calls, store, scope, asked)
    plans = begin(call_places.plans, store, scope, asked)
    return DatabaseFindings(
        now=calls.totals(store, scope, asked, STATEMENTS),
        statements=statements.result(),
        repeats=repeats.result(),
        slow=slow.result(),
        pools=found_pools.result() if found_pools else (),
        tenants=tenants.result() if tenants else (),
        plans=plans.result(),
    )
