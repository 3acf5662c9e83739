"""Isolation: whose rows were seen in whose requests, what nothing holds to a tenant, and how much was checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.query import isolation as isolation_query
from tocsin.query.begun import begin
from tocsin.query.isolation import Coverage
from tocsin.web import headline as headlines
from tocsin.web import isolation_headline
from tocsin.web.page import Page
from tocsin.web.sorting import in_order, read_sorting
from tocsin.web.view import View, view_of

page = Page(id="isolation", title="Isolation", group="Trust", path="/isolation", order=1, key="i")
router = APIRouter()

COLUMNS: dict[str, Callable[[Coverage], Any]] = {
    "name": lambda row: row.tenant.lower(),
    "statements": lambda row: row.total,
    "rows": lambda row: row.rows,
    "keys": lambda row: row.keys.get("scoped", 0),
    "jobs": lambda row: row.jobs.get("scoped", 0),
    "crossings": lambda row: row.read_others + row.read_by_others,
    "checked": lambda row: row.checked_share,
}


@router.get(page.path)
def isolation(view: Annotated[View, Depends(view_of(page))], sort: str = "") -> Response:
    sorting = read_sorting(sort, COLUMNS)
    if not view.has_data:
        return view.render(headline=headlines.nothing_yet(), is_new=True)
    asked = view.filter
    asked_crossings = begin(isolation_query.crossings, view.store, view.scope, asked)
    # Statements are the product's: they belong to no tenant, and a tenant's reader has none of them.
    asked_loose = begin(isolation_query.unscoped, view.store, view.scope, replace(asked, tenant=None))
    asked_exemptions = begin(isolation_query.exemptions, view.store, view.scope, asked)
    coverages = isolation_query.coverage(view.store, view.scope, asked)
    total = isolation_query.altogether(coverages)
    crossings, loose = asked_crossings.result(), asked_loose.result()
    named = [each for each in coverages if each.tenant]
    is_platform = view.scope.is_platform
    return view.render(
        headline=isolation_headline.isolation(
            view.speech, crossings, total, len([each for each in named if each.checked]), len(loose), is_platform
        ),
        is_new=False,
        is_known=bool(coverages or crossings),
        crossings=crossings,
        unscoped=loose,
        exemptions=asked_exemptions.result(),
        total=total,
        has_keys=bool(total.keys),
        has_jobs=bool(total.jobs),
        sorting=sorting,
        rows=in_order(coverages, sorting, COLUMNS),
        reasons=isolation_headline.REASONS,
        month=datetime.fromtimestamp(view.now_ns / 1e9, UTC).strftime("%Y-%m"),
        is_platform=is_platform,
    )
