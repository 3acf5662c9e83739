"""Map: which service calls which, and which of them hurts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.query.map import Call, ServiceMap, service_map
from tocsin.web import headline, map_headline
from tocsin.web.map_layout import HEIGHT, WIDTH, layout
from tocsin.web.page import Page
from tocsin.web.sorting import in_order, read_sorting
from tocsin.web.view import View, view_of

page = Page(id="map", title="Map", group="Explore", path="/map", order=3, key="p")
router = APIRouter()

COLUMNS: dict[str, Callable[[Call], Any]] = {
    "caller": lambda call: call.caller.lower(),
    "callee": lambda call: call.callee.lower(),
    "rate": lambda call: call.rate,
    "errors": lambda call: call.error_ratio,
    "p95": lambda call: call.p95_seconds,
}

MOST_CALLS = 60
"""Arrows that are drawn, those with failures first; more cannot be told apart. The table below has all."""


@router.get(page.path)
def show(view: Annotated[View, Depends(view_of(page))], sort: str = "") -> Response:
    sorting = read_sorting(sort, COLUMNS)
    if not view.has_data:
        return view.render(headline=headline.nothing_yet(), is_new=True)
    found = service_map(view.store, view.scope, view.filter)
    drawn = found.calls[:MOST_CALLS]
    by_ends = {(call.caller, call.callee): call for call in found.calls}
    return view.render(
        headline=map_headline.service_map(view.speech, found),
        is_new=False,
        found=found,
        sorting=sorting,
        listed=in_order(found.calls, sorting, COLUMNS),
        layout=layout([row.service for row in found.services], list(by_ends)[:MOST_CALLS]),
        services={row.service: row for row in found.services},
        calls=by_ends,
        systems={call.callee: call.system or "outside" for call in drawn if call.is_outside},
        calls_link=lambda call, **more: map_headline.calls_link(view.link, call, **more),
        is_newest_part=found.looked_at.start_ns > view.window.start_ns,
        kept_percent=_kept_percent(found),
        box=(WIDTH, HEIGHT),
    )


def _kept_percent(found: ServiceMap) -> int | None:
    """The kept part of all requests in per cent, None when it is as good as all."""
    return None if found.kept_ratio >= 0.95 else max(1, round(found.kept_ratio * 100))
