"""Patterns of two sides beside each other: this time and the one before, two tenants, or two releases."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.query.deployments import releases as known_releases
from tocsin.query.log_patterns import compared
from tocsin.web import pattern_headline
from tocsin.web.page import Page
from tocsin.web.view import View, view_of

page = Page(
    id="pattern_compare",
    title="Compare patterns",
    group="Explore",
    path="/patterns/compare",
    order=5,
    parent="patterns",
)
router = APIRouter()

MOST = 200


@router.get(page.path)
def show(
    view: Annotated[View, Depends(view_of(page))],
    service: str = "",
    with_tenant: str = "",
    release: str = "",
    with_release: str = "",
) -> Response:
    here = replace(view.filter, service=service or None)
    # With neither another tenant nor another release it is the time before.
    is_time = not with_tenant and not with_release
    there = view.before(here) if is_time else here
    if with_tenant:
        there = replace(there, tenant=with_tenant)
    left = " ".join(part for part in (view.choice.tenant or "", release) if part)
    right = " ".join(part for part in (with_tenant, with_release) if part)
    changes = compared(
        view.store, view.scope, here, there, release=release or None, release_before=with_release or release or None,
        limit=MOST,
    )  # fmt: skip
    every = known_releases(view.store, service or None, view.choice.environment, view.scope)
    words = view.span_words[:1].upper() + view.span_words[1:]
    left, right = left or (words if is_time else "Everybody"), right or view.before_words
    return view.render(
        headline=pattern_headline.comparison(view.speech, changes, left, right),
        changes=changes,
        is_one_sided=not any(one.pattern.lines for one in changes) or not any(one.lines_before for one in changes),
        left=left,
        right=right,
        service=service,
        with_tenant=with_tenant,
        release=release,
        with_release=with_release,
        tenants=view.tenants,
        releases=list(dict.fromkeys(one.release for one in every)),
    )
