"""Flags: what each feature flag gives to whom, and whether one of its variants makes requests worse."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.query.flags import Flag, compare_variants, verdict_of
from tocsin.query.flags import flags as all_flags
from tocsin.query.release_compare import Comparison
from tocsin.web import flag_headline
from tocsin.web.page import Page
from tocsin.web.view import View, view_of

page = Page(id="flags", title="Flags", group="Explore", path="/flags", order=12)
router = APIRouter()

COMPARED = 10
"""Flags whose variants are compared in the list: each costs four reads."""


@router.get(page.path)
def flags(view: Annotated[View, Depends(view_of(page))], service: str = "") -> Response:
    found = all_flags(view.store, view.scope, replace(view.filter, service=service or None))
    compared = [(flag, _compared(view, flag) if place < COMPARED else None) for place, flag in enumerate(found)]
    return view.render(
        headline=flag_headline.listing(view.speech, compared),
        flags=[(flag, verdict_of(comparison) if comparison else None) for flag, comparison in compared],
        service=service,
    )


def _compared(view: View, flag: Flag) -> Comparison | None:
    if flag.usual_pair is None:
        return None
    asked = replace(view.filter, service=flag.service)
    return compare_variants(view.store, view.scope, asked, flag.name, *flag.usual_pair)
