"""Flag: one feature flag, its variants against each other by endpoint and tenant, and what came of its changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import Response

from tocsin.query.flags import compare_variants
from tocsin.query.flags import flags as all_flags
from tocsin.query.releases import flag_changes
from tocsin.web import flag_headline, release_headline
from tocsin.web.page import Page
from tocsin.web.view import View, view_of

page = Page(id="flag", title="Flag", group="Explore", path="/flags/{service}/{name:path}", order=13, parent="flags")
router = APIRouter()

SHOWN = 15


@router.get(page.path)
def flag(
    view: Annotated[View, Depends(view_of(page))],
    service: str,
    name: str,
    of: str = "",
    to: str = "",
    all: bool = False,
) -> Response:
    """of and to: the variants that are compared, unless said otherwise the usual pair."""
    asked = replace(view.filter, service=service)
    found = next(iter(all_flags(view.store, view.scope, asked, name)), None)
    if found is None:
        raise HTTPException(404, f"No flag {name} of {service} was asked in this time.")
    known = [one.variant for one in found.variants]
    pair = (of, to) if of in known and to in known and of != to else found.usual_pair
    comparison = compare_variants(view.store, view.scope, asked, name, *pair) if pair else None
    changes = flag_changes(view.store, view.scope, asked, view.now_ns, name)
    shown = None if all else SHOWN
    endpoints, tenants = (comparison.endpoints, comparison.tenants) if comparison else ([], [])
    return view.render(
        page_title=name,
        flag=found,
        pair=pair,
        headline=flag_headline.of_flag(view.speech, found, pair, comparison, changes),
        endpoints=endpoints[:shown],
        endpoints_left=len(endpoints) - len(endpoints[:shown]),
        tenants=tenants[:shown],
        tenants_left=len(tenants) - len(tenants[:shown]),
        changes=[(change, release_headline.flag_words(change)) for change in changes],
        p_words=release_headline.p_words,
        rest=view.rest(
            "/flags/compare", service=service, flag=name, **dict(zip(("from", "to"), pair or (), strict=False))
        ),
    )
