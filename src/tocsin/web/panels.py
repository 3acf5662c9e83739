"""A panel with its data: what a board shows, made anew at every refresh."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any
from urllib.parse import unquote_plus, urlencode

from tocsin.model.dashboard import BESIDE, Dashboard, Panel, PanelQuery, Tone
from tocsin.model.thresholds import steps_of, tone_of
from tocsin.query import errors, evaluate, log_counts, logs, red, tenants
from tocsin.query.calls import OperationRow
from tocsin.query.evaluate import Evaluated, Note, aligned
from tocsin.query.log_filter import LogQuery
from tocsin.query.log_words import with_field
from tocsin.query.promql.literals import parse_duration_ms
from tocsin.web.alert_board import alert_board, in_environment
from tocsin.web.alert_reach import Reach, reaches
from tocsin.web.charts import HeatmapChart, spark
from tocsin.web.database_headline import summary
from tocsin.web.drawing import Drawing
from tocsin.web.log_asked import follow_address
from tocsin.web.metric_charts import MetricChart, MetricTable, calculated, legend_text, metric_chart, metric_table
from tocsin.web.panel_extras import Said, below, beside, extended, facts, limits_of, markers
from tocsin.web.slow_answers import CALM_SECONDS
from tocsin.web.units import written
from tocsin.web.view import View

MOST_READINGS = 24
POINTS = 180
HEATMAP_POINTS = 60
MOST_LINES = 50


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure of a stat, gauge or row of bars. `ratio` is 0-1 of min to max."""

    label: str
    text: str
    tone: Tone | None
    ratio: float | None
    line: str = ""
    area: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What of a panel is drawn; `waits` says why there is nothing."""

    panel: Panel
    href: str
    chart: MetricChart | None = None
    readings: Sequence[Reading] = ()
    tables: Sequence[tuple[Evaluated, MetricTable]] = ()
    heatmap: HeatmapChart | None = None
    rows: Any = None
    notes: Sequence[Note] = ()
    waits: str = ""
    rest: str = ""
    stream: str = ""  # where lines of a panel of logs arrive
    facts: Sequence[Said] = ()
    below: Sequence[OperationRow] = ()
    reaches: Mapping[str, Reach] = field(default_factory=dict)

    @staticmethod
    def summary(statement: str) -> str:
        return summary(statement)


def drawn(dashboard: Dashboard, drawing: Drawing) -> list[Shown]:
    """Every panel, those of collapsed rows too, in the order of the grid."""
    marked = replace(drawing, markers=markers(dashboard.annotations, drawing))
    ordered = sorted(dashboard.panels, key=lambda panel: (panel.position.y, panel.position.x))
    return [_panel(panel, marked) for panel in ordered]


def _panel(panel: Panel, drawing: Drawing) -> Shown:
    shown = Shown(panel, _href(panel, drawing))
    if panel.type in ("row", "text"):
        return shown
    if panel.source:
        return _of_source(shown, drawing)
    points = HEATMAP_POINTS if panel.type == "heatmap" else POINTS
    step = evaluate.step_ms(drawing.window, points, _least_step(panel))
    done = [(_evaluated(query, panel, drawing, step), query) for query in panel.queries if not query.is_hidden]
    shown = replace(shown, notes=[note for one, _ in done for note in one.notes if note.kind == "error"])
    answered = [(one, query) for one, query in done if one.result is not None]
    asked = [(one, query.legend) for one, query in answered if not query.is_limit]
    if not any(len(series.times) for one, _ in asked for series in one.series):
        return replace(shown, waits="" if shown.notes else panel.waits_for or "nothing")
    told, wrong = facts(panel.facts, drawing, step)
    shown = replace(shown, facts=told, notes=[*shown.notes, *wrong], below=below(panel, drawing))
    match panel.type:
        case "chart":
            return replace(shown, chart=_chart(panel, answered, drawing), rest=_rest(asked[0][0], drawing))
        case "table":
            return replace(shown, tables=[(one, metric_table(one)) for one, _ in asked])
        case "heatmap":
            return replace(shown, heatmap=_heatmap(asked[0][0], drawing))
        case "stat" | "gauge" | "bars":
            return replace(shown, readings=_readings(panel, asked))
    return replace(shown, waits=panel.waits_for or "nothing")


def _href(panel: Panel, drawing: Drawing) -> str:
    """Where the title leads: the panel's own link, else the explorer with its queries."""
    path, asked = _own_link(panel)
    if path:
        return drawing.view.link(path, **asked)
    if panel.link:
        return panel.link
    step = evaluate.step_ms(drawing.window, POINTS)
    texts = [drawing.text(query.expr, step) for query in panel.queries]
    return drawing.view.link("/explore", q=texts) if texts else ""


def _least_step(panel: Panel) -> int:
    steps = [evaluate.SHORTEST_STEP_MS]
    for query in panel.queries:
        try:
            steps.append(parse_duration_ms(query.step) if query.step else 0)
        except ValueError:
            continue  # a text that no version of a board should hold; the usual step serves
    return max(steps)


def _evaluated(query: PanelQuery, panel: Panel, drawing: Drawing, step: int) -> Evaluated:
    if query.is_limit:
        return drawing.at_end(query.expr, step, CALM_SECONDS)
    if query.is_instant or panel.type == "table":
        return drawing.at_end(query.expr, step)
    return drawing.over(query.expr, evaluate.grid_of(drawing.window, step))


def _chart(panel: Panel, asked: Sequence[tuple[Evaluated, PanelQuery]], drawing: Drawing) -> MetricChart:
    steps = [] if panel.thresholds.is_percentage else steps_of(panel.thresholds)
    limits: list[tuple[float, str]] = []
    limits += [(step.from_value, step.tone) for step in steps if step.from_value is not None and step.tone != "ok"]
    limits += limits_of([done for done, query in asked if query.is_limit])
    lines = [(done, query) for done, query in asked if not query.is_limit]
    path, asked_there = _own_link(panel)
    href = drawing.view.link(path, **asked_there, range=None, start=None, end=None) if path else ""
    seconds, words = BESIDE.get(panel.beside, (0, ""))
    drawn = metric_chart(
        f"p{panel.id}", panel.title, [(done, query.legend) for done, query in lines], drawing.window,
        panel.unit or "count", [*drawing.markers, *markers(panel.marks, drawing)],
        href=href, is_stacked=panel.is_stacked, limits=limits,
        beside=beside(lines, drawing, seconds) if seconds else [], beside_words=words,
    )  # fmt: skip
    return extended(drawn, panel, lines, drawing)


def _own_link(panel: Panel) -> tuple[str, dict[str, str]]:
    """A link to a page of ours, with what it asks there; '' for others."""
    path, _, query = panel.link.partition("?")
    if not path.startswith("/"):
        return "", {}
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return path, {name: unquote_plus(value) for name, _, value in pairs}


def _rest(done: Evaluated, drawing: Drawing) -> str:
    grid = done.grid
    asked = {"query": done.text, "start": grid.start_ms / 1000, "end": grid.end_ms / 1000, "step": grid.step_ms // 1000}
    tenant = {"tenant": drawing.view.choice.tenant} if drawing.view.choice.tenant else {}
    return f"{drawing.view.root}/prometheus/api/v1/query_range?{urlencode(asked | tenant)}"


def _readings(panel: Panel, asked: Sequence[tuple[Evaluated, str]]) -> list[Reading]:
    found = []
    for done, template in asked:
        _, own = evaluate.shared_and_own([series.labels for series in done.series])
        for labels, series in zip(own, done.series, strict=True):
            values = aligned(series, done.grid) if len(done.grid) > 1 else [float(one) for one in series.values[-1:]]
            value = calculated(values, panel.calculation)
            label = legend_text(template, series.labels) if template else evaluate.short_text(labels)
            line, area = spark(values) if panel.type == "stat" and len(values) > 1 else ("", "")
            found.append((value, label, line, area))
    top = _top(panel, [value for value, *_ in found])
    if panel.type == "bars" and not any(one.text.lstrip().startswith("sort") for one, _ in asked):
        found.sort(key=lambda one: -(one[0] if one[0] is not None else -math.inf))
    return [
        Reading(
            label,
            written(value, panel.unit, panel.decimals),
            tone_of(value, panel.thresholds, panel.min, panel.max),
            _ratio(value, panel.min or 0.0, top),
            line,
            area,
        )
        for value, label, line, area in found[:MOST_READINGS]
    ]


def _top(panel: Panel, values: Sequence[float | None]) -> float:
    """The end of a gauge: what the panel says, what the unit means, or the largest value."""
    if panel.max is not None:
        return panel.max
    if panel.type == "gauge" and panel.unit in ("percent", "percent100"):
        return 1.0 if panel.unit == "percent" else 100.0
    return max((value for value in values if value is not None), default=1.0)


def _ratio(value: float | None, low: float, high: float) -> float | None:
    if value is None or not math.isfinite(value) or high <= low:
        return None
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _heatmap(done: Evaluated, drawing: Drawing) -> HeatmapChart | None:
    """Of cumulative buckets with `le`: how many fell into each in every step."""
    bounded = sorted(
        (bound, aligned(series, done.grid)) for series in done.series if (bound := _bound(series.labels)) is not None
    )
    if len(bounded) < 2:
        return None
    finite = [bound for bound, _ in bounded if math.isfinite(bound)]
    first = finite[0] / 2 if finite and finite[0] > 0 else 0.001
    bounds = [first, *finite, *([finite[-1] * 2] if len(finite) < len(bounded) else [])]
    times = [at // 1000 for at in done.grid.times.tolist()]
    columns = [values for _, values in bounded]
    counts = []
    for place in range(len(times)):
        heights = [column[place] or 0.0 for column in columns]
        falls = [heights[0], *(max(0.0, after - before) for before, after in pairwise(heights))]
        counts.append([round(one) for one in falls])
    made = red.Heatmap(times, done.grid.step_ms // 1000, bounds, counts)
    return HeatmapChart(made, drawing.window, drawing.view.traces_in())


def _bound(labels: Mapping[str, str]) -> float | None:
    try:
        return float(labels.get("le", ""))
    except ValueError:
        return None


def _of_source(shown: Shown, drawing: Drawing) -> Shown:
    """What is no PromQL: the figures that pages show too."""
    view, asked = drawing.view, drawing.filter
    match shown.panel.source:
        case "endpoints":
            rows = red.endpoints(view.store, view.scope, asked, limit=20)
            rest = view.rest("/endpoints")
            return replace(shown, rows=rows, rest=rest, waits="" if rows else shown.panel.waits_for or "requests")
        case "services":
            return replace(shown, rows=red.services(view.store, view.scope, asked), rest=view.rest("/services"))
        case "tenants":
            return replace(shown, rows=tenants.tenants(view.store, view.scope, asked, limit=20))
        case "errors":
            return replace(shown, rows=errors.error_groups(view.store, view.scope, asked, limit=10))
        case "latency":
            heatmap = red.heatmap(view.store, view.scope, asked)
            return replace(shown, heatmap=HeatmapChart(heatmap, view.window, view.traces_in()))
        case "alerts":
            return _alerts(shown, view)
        case "logs":
            return _logs(shown, drawing)
    return replace(shown, waits=shown.panel.waits_for or "a later version of Tocsin")


def _logs(shown: Shown, drawing: Drawing) -> Shown:
    """The newest lines of the board's time and chosen services, and where they go on arriving."""
    view = drawing.view
    services = drawing.services
    kept = {"q": " ".join(with_field("", "service", name) for name in services)} if len(services) == 1 else {}
    query = LogQuery(view.window, view.choice.environment, view.choice.tenant, services=tuple(services))
    lines = logs.search(view.store, view.scope, query, MOST_LINES).lines
    is_followed = not view.choice.is_absolute and len(services) <= 1
    return replace(
        shown,
        rows=lines,
        href=view.link("/logs", **kept),
        rest=view.rest("/logs", **kept),
        stream=follow_address(view, kept) if is_followed else "",
        waits=""
        if lines or log_counts.are_any(view.store, view.scope)
        else "log lines; the Logs page says how to send them",
    )


def _alerts(shown: Shown, view: View) -> Shown:
    """What fires, with what holds it back, for the reader's eyes."""
    board = in_environment(
        alert_board(view.request, view.scope, tenant=view.choice.tenant or ""), view.choice.environment
    )
    return replace(
        shown, rows=board, reaches=reaches(board, view), rest=view.rest("/alerts", range=None, environment=None)
    )
