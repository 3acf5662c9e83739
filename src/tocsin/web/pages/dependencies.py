"""Dependencies: the services and caches that the app calls, how well they answer, and who waits for them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.query import caches, calls, dependencies
from tocsin.query.begun import begin
from tocsin.query.calls import Asked
from tocsin.web import call_charts, dependency_headline, headline
from tocsin.web.page import Page
from tocsin.web.view import View, view_of

page = Page(id="dependencies", title="Dependencies", group="Inside", path="/dependencies", order=3, key="n")
router = APIRouter()

REQUESTS, COMMANDS = Asked(("http", "queue")), Asked(("cache",))


@router.get(page.path)
def show(view: Annotated[View, Depends(view_of(page))]) -> Response:
    if not view.has_data:
        return view.render(headline=headline.nothing_yet(), is_new=True)
    store, scope, asked, before = view.store, view.scope, view.filter, view.before(view.filter)
    asked_caches = begin(caches.caches, store, scope, asked, before)
    asked_commands = begin(caches.slow_commands, store, scope, asked)
    asked_series = begin(calls.series, store, scope, asked, REQUESTS)
    found = dependencies.dependencies(store, scope, asked, before)
    kept, commands, series = asked_caches.result(), asked_commands.result(), asked_series.result()
    is_cold = any(row.is_cold for row in kept)
    grown = calls.grown(store, scope, asked, before, Asked(("db",))) if is_cold else None
    rest = view.rest("/dependencies/series")
    return view.render(
        headline=dependency_headline.dependencies(view.speech, found, kept, grown),
        is_new=False,
        found=found,
        caches=kept,
        commands=commands,
        charts=call_charts.call_charts(series, view.window, "requests", rest) if found else [],
        tones=dependency_headline.HEALTH_TONES,
        phases=dependencies.PHASES,
        traces_of=lambda each, **more: dependency_headline.traces_link(view.link, each, **more),
    )
