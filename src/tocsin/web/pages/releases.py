"""Releases: what each one made worse or better than the one before."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.query.releases import ReleaseReport, pairs, report
from tocsin.web import release_headline
from tocsin.web.page import Page
from tocsin.web.view import View, view_of

page = Page(id="releases", title="Releases", group="Explore", path="/releases", order=10, key="v")
router = APIRouter()

MOST, COMPARED = 50, 8
"""Rows of the table, and how many of them are compared: each costs four reads."""


@router.get(page.path)
def releases(view: Annotated[View, Depends(view_of(page))], service: str = "") -> Response:
    found = pairs(view.store, service or None, view.choice.environment, view.scope)[:MOST]
    reports = [
        report(view.store, view.scope, one, before, view.now_ns, view.choice.tenant, with_flags=False)
        if place < COMPARED
        else ReleaseReport(one, before, None)
        for place, (one, before) in enumerate(found)
    ]
    return view.render(
        headline=release_headline.listing(view.speech, reports[:COMPARED]),
        reports=reports,
        compared=COMPARED,
        words=release_headline.worse_words,
        service=service,
    )
