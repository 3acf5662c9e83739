"""Errors: what raises, since which release and for whom; and what clients get wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import Response

from tocsin.query import client_errors, red
from tocsin.query.begun import begin
from tocsin.query.log_patterns import log_patterns
from tocsin.web import error_headline, headline
from tocsin.web.error_list import TABS, ErrorRow, listed
from tocsin.web.page import Page
from tocsin.web.pages.patterns import PatternRow
from tocsin.web.sorting import in_order, read_sorting
from tocsin.web.state import control_of
from tocsin.web.tiles import error_tiles
from tocsin.web.view import View, view_of

page = Page(id="errors", title="Errors", group="Explore", path="/errors", order=7, key="e")
router = APIRouter()

ERROR_LEVELS, MOST_PATTERNS = ("error", "fatal"), 8

COLUMNS: dict[str, Callable[[ErrorRow], Any]] = {
    "name": lambda row: row.name.lower(),
    "count": lambda row: row.count,
    "first": lambda row: row.history.first_ns,
    "last": lambda row: row.history.last_ns,
    "release": lambda row: row.history.first_release or None,
}


@router.get(page.path)
def errors(view: Annotated[View, Depends(view_of(page))], tab: str = "open", sort: str = "") -> Response:
    if tab not in TABS:
        raise HTTPException(400, f"cannot show '{tab[:40]}' errors: pick one of {', '.join(TABS)}")
    sorting = read_sorting(sort, COLUMNS)
    if not view.has_data:
        return view.render(headline=headline.nothing_yet(), is_new=True)
    now = datetime.fromtimestamp(view.now_ns / 1e9, UTC)
    asked_totals = begin(red.totals, view.store, view.scope, view.filter)
    asked_before = begin(red.totals, view.store, view.scope, view.before(view.filter))
    asked_series = begin(red.series, view.store, view.scope, view.filter)
    asked_refused = begin(client_errors.client_errors, view.store, view.scope, view.filter)
    asked_fields = begin(client_errors.failing_fields, view.store, view.scope, view.filter)
    asked_patterns = begin(log_patterns, view.store, view.scope, view.filter, levels=ERROR_LEVELS, limit=MOST_PATTERNS)
    rows = listed(view.store, control_of(view.request), view.scope, view.filter, now)
    return view.render(
        headline=error_headline.errors(view.speech, rows),
        is_new=False,
        tab=tab,
        tabs=[(name, words, sum(row.is_in(name) for row in rows)) for name, words in TABS.items()],
        sorting=sorting,
        rows=in_order([row for row in rows if row.is_in(tab)], sorting, COLUMNS),
        tiles=error_tiles(
            asked_totals.result(), asked_before.result(), asked_series.result(), view.window, view.before_words
        ),
        refused=asked_refused.result(),
        fields=asked_fields.result(),
        patterns=[PatternRow(one, None, "same") for one in asked_patterns.result()],
    )
