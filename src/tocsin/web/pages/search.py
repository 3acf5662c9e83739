"""Search: jump to a page, service, endpoint, tenant or trace from anywhere."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import RedirectResponse, Response

from tocsin.query import red
from tocsin.web.page import Page, listed
from tocsin.web.view import View, view_of
from tocsin.web.words import endpoint_link, endpoint_name, service_link, tenant_link, trace_link

page = Page(id="search", title="Search", group="", path="/search", order=9, parent="overview", notes_reads=False)
router = APIRouter()

MOST = 12
ENDPOINTS_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class Hit:
    kind: str
    name: str
    href: str


@router.get(page.path)
def search(view: Annotated[View, Depends(view_of(page))], q: str = "") -> Response:
    """Matches while one types; the whole page, for Enter, goes to the best match."""
    hits = _hits(view, q.strip())
    if not view.is_fragment and hits and q.strip():
        return RedirectResponse(hits[0].href, 303)
    return view.render(hits=hits, q=q)


def _hits(view: View, text: str) -> list[Hit]:
    if _is_trace_id(text):
        return [Hit("trace", text.lower(), trace_link(view.link, text.lower()))]
    wanted = text.lower()
    found = [hit for hit in _places(view, wanted) if wanted in hit.name.lower()]
    found.sort(key=lambda hit: not hit.name.lower().startswith(wanted))
    return found[:MOST]


def _places(view: View, wanted: str) -> Iterator[Hit]:
    for each in listed(view.principal.role):
        yield Hit("page", each.title, view.link(each.path))
    for name in view.tenants:
        if name:
            yield Hit("tenant", name, tenant_link(view.link, name))
    if not wanted:
        return
    rows = red.endpoints(view.store, view.scope, view.filter, limit=ENDPOINTS_LOOKED_AT, order="rate")
    for name in dict.fromkeys(row.service for row in rows):
        yield Hit("service", name, service_link(view.link, name))
    for row in rows:
        href = endpoint_link(view.link, row.service, row.method, row.route)
        yield Hit("endpoint", endpoint_name(row.method, row.route), href)


def _is_trace_id(text: str) -> bool:
    return len(text) == 32 and all(sign in string.hexdigits for sign in text)
