"""Traces: find requests by what is known about them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from starlette.datastructures import QueryParams
from starlette.responses import Response

from tocsin.query import red, traces
from tocsin.query.traces import TraceQuery, TraceQueryError, TraceSummary
from tocsin.web import headline
from tocsin.web.page import Page
from tocsin.web.scatter import scatter
from tocsin.web.view import View, view_of

page = Page(id="traces", title="Traces", group="Explore", path="/traces", order=4, key="t")
router = APIRouter()

PAGE_ROWS = 50
STATUSES = {"": "any", "error": "failed", "ok": "well", "5xx": "5xx", "4xx": "4xx"}
CONDITIONS = ("service", "caller", "route", "operation", "status", "min_duration_ms", "max_duration_ms", "attribute")


@router.get(page.path)
def search(view: Annotated[View, Depends(view_of(page))]) -> Response:
    if not view.has_data:
        return view.render(headline=headline.nothing_yet(), is_new=True)
    asked = view.request.query_params
    query = _query(view, asked)
    try:
        found = traces.search(view.store, view.scope, query)
    except TraceQueryError as error:
        raise HTTPException(400, str(error)) from error
    shown = found[:PAGE_ROWS]
    is_more = len(found) > PAGE_ROWS
    has_conditions = any(asked.get(name) for name in CONDITIONS)
    return view.render(
        headline=headline.traces(view.speech, shown, is_more, has_conditions or bool(view.choice.tenant)),
        is_new=False,
        is_still=query.before_ns is not None,
        asked=asked,
        attributes=[text for text in asked.getlist("attribute") if text],
        has_conditions=has_conditions,
        statuses=STATUSES,
        services=[row.service for row in red.services(view.store, view.scope, view.filter)],
        order=query.order,
        rows=shown,
        dots=scatter(shown, view.zone),
        older=_older(view, shown) if is_more else "",
        newest=view.here() if query.before_ns else "",
    )


def _query(view: View, asked: QueryParams) -> TraceQuery:
    """The search of the URL, one row more than a page to know whether there are more; 400 for what cannot be read."""
    order = asked.get("order") or "newest"
    if order not in ("newest", "slowest"):
        raise HTTPException(400, f"cannot order traces by '{order[:40]}': pick newest or slowest")
    return TraceQuery(
        window=view.window,
        environment=view.choice.environment,
        tenant=view.choice.tenant,
        service=asked.get("service") or None,
        route=asked.get("route") or None,
        operation=asked.get("operation") or None,
        status=_status(asked.get("status", "")),
        min_duration_ms=_number(asked, "min_duration_ms"),
        max_duration_ms=_number(asked, "max_duration_ms"),
        attributes=tuple(_attribute(text) for text in asked.getlist("attribute") if text),
        limit=PAGE_ROWS + 1,
        order=order,
        caller=asked.get("caller") or None,
        before_ns=_whole(asked, "before"),
    )


def _status(text: str) -> str | None:
    if text in STATUSES or (len(text) == 3 and text.isascii() and text.isdigit()):
        return text or None
    raise HTTPException(400, f"cannot search for status '{text[:40]}': write error, ok, 4xx, 5xx or a code such as 500")


def _number(asked: QueryParams, name: str) -> float | None:
    text = asked.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise HTTPException(400, f"cannot read {name} '{text[:40]}': write milliseconds as a number") from error
    if not 0 <= value < 1e12:
        raise HTTPException(400, f"cannot search for {name} {text[:40]}: write milliseconds, 0 or more")
    return value


def _whole(asked: QueryParams, name: str) -> int | None:
    text = asked.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _attribute(text: str) -> tuple[str, str]:
    """'key:value' or 'key=value'; the first of the two signs divides."""
    place = min((text.index(sign) for sign in ":=" if sign in text), default=0)
    if place < 1:
        raise HTTPException(400, f"cannot search for attribute '{text[:80]}': write it as enduser.id:u_193")
    return text[:place].strip(), text[place + 1 :].strip()


def _older(view: View, shown: list[TraceSummary]) -> str:
    """The next page of a list by time; a list by duration has one page, the slowest."""
    if view.request.query_params.get("order") == "slowest":
        return ""
    kept = {name: view.request.query_params.getlist(name) for name in view.request.query_params if name in CONDITIONS}
    return view.link("/traces", **kept, before=shown[-1].found_ns)
