"""Metrics: ask in PromQL, see the answer as a graph or a table, and look which metrics there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from tocsin.model.dashboard import BESIDE
from tocsin.query import evaluate
from tocsin.query.evaluate import Evaluated
from tocsin.query.metric_reader import MetricMetadata, MetricReader
from tocsin.query.promql.lexer import AGGREGATORS
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.signatures import FUNCTIONS
from tocsin.query.promql.source import NAME, Grid
from tocsin.web import metric_headline
from tocsin.web.examples import examples
from tocsin.web.metric_charts import MetricChart, metric_chart, metric_table
from tocsin.web.metrics import in_environment, promql_settings_of, reader_for
from tocsin.web.page import Page
from tocsin.web.paths import segment
from tocsin.web.units import guessed
from tocsin.web.view import View, view_of

page = Page(id="metrics", title="Metrics", group="Explore", path="/explore", order=9, key="m")
router = APIRouter()

MOST_QUERIES = 10
OWN_JOBS = {"tocsin", "host"}
"""The jobs under which the server keeps its own metrics and its machine's."""

LONGEST_QUERY = 20_000
MOST_LISTED = 300
PAGE_SECONDS = 20.0
SHOWN = ("graph", "table")
WORDS = {
    "functions": {name: list(one.arguments) for name, one in FUNCTIONS.items()},
    "aggregators": sorted(AGGREGATORS),
}
"""What the script completes without asking."""


@dataclass(frozen=True, slots=True)
class Box:
    """A query as it is shown: its text, what became of it, and the address of the page without it."""

    text: str
    evaluated: Evaluated | None
    without: str

    @property
    def marked(self) -> tuple[str, str, str] | None:
        """The text before, at and behind the place of its error."""
        error = self.evaluated.error if self.evaluated else None
        if error is None or error.place is None:
            return None
        start, end = error.place.start, error.place.end
        return self.text[:start], self.text[start:end] or " ", self.text[end:]


@dataclass(frozen=True, slots=True)
class Listed:
    """A metric of the browser, with the query that shows it."""

    name: str
    series: int
    about: MetricMetadata | None
    query: str


@dataclass(frozen=True, slots=True)
class Asking:
    """Whose series are asked, within which bounds."""

    view: View
    reader: MetricReader
    settings: QuerySettings

    def over(self, text: str, seconds_before: int = 0) -> Evaluated:
        """Over the chosen time, or as much earlier."""
        grid = evaluate.grid_of(self.view.window, evaluate.step_ms(self.view.window))
        before_ms = seconds_before * 1000
        grid = Grid(grid.start_ms - before_ms, grid.end_ms - before_ms, grid.step_ms)
        return evaluate.over(self.reader, text, grid, self.settings)

    def at_end(self, text: str) -> Evaluated:
        return evaluate.at(self.reader, text, self.view.window.end_ns // 1_000_000, self.settings)


@router.get(page.path)
def metrics(
    view: Annotated[View, Depends(view_of(page))],
    q: Annotated[list[str] | None, Query()] = None,
    show: str = "graph",
    beside: str = "",
    find: str = "",
    add: str = "",
) -> Response:
    queries = [text[:LONGEST_QUERY] for text in q or [] if text.strip()][:MOST_QUERIES]
    show, beside = show if show in SHOWN else "graph", beside if beside in BESIDE else ""
    asking = _asking(view)
    boxes = _boxes(asking, queries, show)
    context: dict[str, Any] = {
        "boxes": [*boxes, *([Box("", None, "")] if add or not boxes else [])],
        "show": show,
        "beside": beside,
        "choices": {name: words for name, (_, words) in BESIDE.items()},
        "find": find,
        "words": WORDS,
        "listed": [],
        "more": 0,
        "has_metrics": True,
        "is_alone": False,
        **_answers(asking, boxes, show, beside),
    }
    if queries:
        done = [box.evaluated for box in boxes if box.evaluated]
        return view.render(headline=metric_headline.answers(view.speech, done), **context)
    listed = _listed(asking.reader, view, find)
    context |= {"listed": listed[:MOST_LISTED], "more": len(listed) - len(listed[:MOST_LISTED])}
    context["has_metrics"] = bool(listed) or bool(find)
    context["is_alone"] = not find and bool(listed) and _is_alone(asking)
    counts = [(one.name, one.series) for one in listed]
    return view.render(headline=metric_headline.browser(view.speech, counts, find), **context)


def _is_alone(asking: Asking) -> bool:
    """Whether nobody sends metrics but the server itself."""
    window = asking.view.window
    jobs = asking.reader.label_values("job", [], window.start_ns // 1_000_000, window.end_ns // 1_000_000)
    return set(jobs) <= OWN_JOBS


def _asking(view: View) -> Asking:
    settings = promql_settings_of(view.request)
    settings = replace(settings, timeout_seconds=min(PAGE_SECONDS, settings.timeout_seconds))
    scope = view.scope.narrowed_to(view.choice.tenant)
    return Asking(view, in_environment(reader_for(view.request, scope), view.choice.environment), settings)


def _boxes(asking: Asking, queries: list[str], show: str) -> list[Box]:
    boxes = []
    for place, text in enumerate(queries):
        others = [*queries[:place], *queries[place + 1 :]]
        done = asking.over(text) if show == "graph" else asking.at_end(text)
        boxes.append(Box(text, done, asking.view.here(q=others or None)))
    return boxes


def _answers(asking: Asking, boxes: list[Box], show: str, beside: str) -> dict[str, Any]:
    done = [box.evaluated for box in boxes if box.evaluated]
    is_line = [bool(one.result) and one.is_over_time and show == "graph" for one in done]
    drawn = [one for one, is_drawn in zip(done, is_line, strict=True) if is_drawn]
    shown = [one for one, is_drawn in zip(done, is_line, strict=True) if not is_drawn and one.result]
    return {
        "chart": _chart(asking, drawn, beside) if drawn else None,
        "tables": [(one, metric_table(one)) for one in shown if one.result and one.result.type != "string"],
        "texts": [(one, str(one.result.data)) for one in shown if one.result and one.result.type == "string"],
    }


def _chart(asking: Asking, drawn: list[Evaluated], beside: str) -> MetricChart:
    seconds, words = BESIDE.get(beside, (0, ""))
    units = {guessed(one.text) for one in drawn}
    link = asking.view.link
    found = metric_chart(
        "series",
        "Series" if len(drawn) > 1 else drawn[0].text,
        [(one, "") for one in drawn],
        asking.view.window,
        units.pop() if len(units) == 1 else "",
        rest=_rest(asking.view, drawn[0]),
        beside=[(asking.over(one.text, seconds), "") for one in drawn] if seconds else [],
        beside_words=words,
    )
    # Seconds alone: what a request took has no place on an axis of another meaning.
    if found.chart.format != "seconds":
        return found
    dots = [
        one
        for done in drawn
        for one in examples(asking.reader, done.text, done.grid, lambda id: link(f"/traces/{segment(id)}"))
    ]
    return replace(found, chart=replace(found.chart, examples=dots))


def _rest(view: View, done: Evaluated) -> str:
    grid = done.grid
    asked: dict[str, object] = {
        "query": done.text,
        "start": grid.start_ms / 1000,
        "end": grid.end_ms / 1000,
        "step": grid.step_ms // 1000,
    }
    if view.choice.tenant:
        asked["tenant"] = view.choice.tenant
    return f"{view.root}/prometheus/api/v1/query_range?{urlencode(asked)}"


def _listed(reader: MetricReader, view: View, find: str) -> list[Listed]:
    start_ms, end_ms = view.window.start_ns // 1_000_000, view.window.end_ns // 1_000_000
    about, counts = reader.metadata(), reader.series_counts(start_ms, end_ms)
    if view.choice.environment is not None:
        there = set(reader.label_values(NAME, [], start_ms, end_ms))
        counts = {name: count for name, count in counts.items() if name in there}
    found = []
    for name, count in counts.items():
        said = about.get(name) or about.get(_family(name))
        words = f"{name} {said[0].help if said else ''}".lower()
        if all(word in words for word in find.lower().split()):
            found.append(
                Listed(name, count, said[0] if said else None, starting_query(name, said[0].type if said else ""))
            )
    return found


def _family(name: str) -> str:
    for end in ("_bucket", "_sum", "_count", "_total"):
        if name.endswith(end):
            return name.removesuffix(end)
    return name


def starting_query(name: str, type: str) -> str:
    """What to ask first of a metric of this type."""
    quoted = name if (name.isidentifier() and name.isascii()) or ":" in name else f'{{"{name}"}}'
    if name.endswith("_bucket"):
        return f"histogram_quantile(0.95, sum by (le) (rate({quoted}[5m])))"
    if type == "counter" or name.endswith(("_total", "_sum", "_count")):
        return f"sum(rate({quoted}[5m]))"
    return quoted
