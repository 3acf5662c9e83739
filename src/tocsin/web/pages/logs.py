"""Logs: search lines, see how many there are when, and follow them as they arrive."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tocsin.model.log_views import BUILT_IN
from tocsin.query import log_counts, logs
from tocsin.query.begun import begin
from tocsin.query.log_counts import Facet, LogFacets, LogHistogram
from tocsin.query.log_tail import Tail
from tocsin.query.log_words import with_field
from tocsin.query.logs import LogLine
from tocsin.web import log_headline
from tocsin.web.charts import Chart, Line
from tocsin.web.log_asked import PARAMETERS, cursor_asked, follow_address, log_query, since_ns
from tocsin.web.log_stream import TOO_MANY, Event, event_stream, wants_stream
from tocsin.web.page import Page
from tocsin.web.render import TEMPLATES
from tocsin.web.view import View, view_of

page = Page(id="logs", title="Logs", group="Explore", path="/logs", order=5, key="w")
router = APIRouter()

PAGE_LINES = 100
COLOURS = {"fatal": "c4", "error": "bad", "warn": "c3", "info": "c1", "debug": "c2", "trace": "c6", "": "c6"}
"""Of the levels, worst first; the worst stands at the foot of a bar."""
CHOSEN_LEVELS = ("debug", "info", "warn", "error", "fatal")


@dataclass(frozen=True, slots=True)
class FacetLink:
    value: str
    lines: int
    share: float
    href: str
    is_chosen: bool


@router.get(page.path)
def search(view: Annotated[View, Depends(view_of(page))]) -> Response:
    asked = view.request.query_params
    query = log_query(view.filter, asked)
    before = cursor_asked(asked.get("before", ""))
    asked_lines = begin(logs.search, view.store, view.scope, query, PAGE_LINES, before)
    asked_bars = begin(log_counts.histogram, view.store, view.scope, query)
    asked_facets = begin(log_counts.facets, view.store, view.scope, query)
    totals = log_counts.totals(view.store, view.scope, query)
    if not totals.lines and not log_counts.are_any(view.store, view.scope):
        return view.render(headline=log_headline.no_logs_yet(), is_new=True)
    earlier = log_counts.totals(view.store, view.scope, query.within(view.window.before()))
    bars, found = asked_bars.result(), asked_lines.result()
    is_narrowed = any(asked.get(name) for name in PARAMETERS) or bool(view.choice.tenant)
    kept = {name: asked[name] for name in PARAMETERS if asked.get(name)}
    return view.render(
        headline=log_headline.logs(view.speech, totals, earlier, bars, query.view, is_narrowed),
        is_new=False,
        is_still=before is not None,
        asked=asked,
        kept=kept,
        has_conditions=bool(kept),
        levels=CHOSEN_LEVELS,
        views=BUILT_IN.values(),
        chosen_view=query.view,
        services=log_counts.services(view.store, view.scope, view.filter),
        chart=bars_chart(view, bars, kept),
        facets=facet_links(view, asked_facets.result(), kept),
        sampled=asked_facets.result(),
        lines=found.lines,
        older=view.link("/logs", **kept, before=str(found.older)) if found.older else "",
        is_older=before is not None,
        stream="" if view.choice.is_absolute or before else follow_address(view, kept),
    )


@router.get("/logs/tail")
async def tail(view: Annotated[View, Depends(view_of(page))], since: str = "") -> Response:
    """Lines as they arrive, drawn as the page draws them, for the page's own script."""
    if not wants_stream(view.request):
        raise HTTPException(406, "cannot follow lines here: this is a stream; programs take /api/v1/logs/tail")
    query = log_query(view.filter, view.request.query_params)
    begun = since_ns(view.request.headers.get("last-event-id") or since)
    following = Tail(query, view.now_ns if begun is None else begun)
    events = partial(_drawn, view, following)
    ask = partial(_arrived, following, view)
    answered = await run_in_threadpool(event_stream, view.request.app, ask, events)
    if answered is None:
        raise HTTPException(429, TOO_MANY, headers={"Retry-After": "10"})
    return answered


def _arrived(following: Tail, view: View) -> list[LogLine]:
    return following.arrived(view.store, view.scope, time.time_ns())


def _drawn(view: View, following: Tail, lines: list[LogLine]) -> Iterable[Event]:
    if not lines:
        return
    template = TEMPLATES.get_template("log_lines.html")
    text = template.render(view=view, root=view.root, lines=lines[::-1], left_out=following.left_out)
    yield Event(str(lines[-1].time_ns), text)


def bars_chart(view: View, counted: LogHistogram, kept: dict[str, str]) -> Chart:
    """Lines over time by level; a bar opens its lines."""
    drawn = [
        Line(level or "no level", [float(count) for count in counted.by_level[level]], colour)
        for level, colour in COLOURS.items()
        if level in counted.by_level
    ]
    return Chart(
        "lines",
        "Lines",
        f"per {_words(counted.step_seconds)}",
        "count",
        counted.times,
        drawn,
        view.window,
        href=view.link("/logs", **kept, range=None, start=None, end=None),
        rest=view.rest("/logs/histogram", **kept),
        is_stacked=True,
        is_bars=True,
    )


def _words(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def facet_links(view: View, found: LogFacets, kept: dict[str, str]) -> list[tuple[Facet, list[FacetLink]]]:
    """Each facet with links that narrow the search to one of its values."""
    typed = kept.get("q", "")
    made = []
    for facet in found.facets:
        if len(facet.top) == 1 and facet.lines == found.sampled:
            continue  # every line has it, so nothing is chosen by it
        links = []
        for top in facet.top:
            more = with_field(typed, facet.name, top.value)
            links.append(
                FacetLink(
                    top.value, top.lines, top.lines / found.sampled, view.here(q=more, before=None), more == typed
                )
            )
        made.append((facet, links))
    return made
