"""What stands in and below a panel's chart beside its lines: the week before, the usual range and the forecast,
examples with their traces, marks, limits, sentences, and a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tocsin.model.dashboard import Annotation, Fact, Panel, PanelQuery, Tone
from tocsin.query import calls, evaluate, foresight
from tocsin.query.calls import Asked, OperationRow
from tocsin.query.evaluate import Evaluated, Note, aligned
from tocsin.query.foresight import Floats, Reach
from tocsin.query.promql.source import Grid
from tocsin.web.charts import Band, Chart, Example, Line, Marker
from tocsin.web.drawing import Drawing
from tocsin.web.examples import examples
from tocsin.web.history import history_grid, history_of
from tocsin.web.metric_charts import MetricChart, legend_row, legend_text
from tocsin.web.paths import segment
from tocsin.web.slow_answers import CALM_SECONDS
from tocsin.web.units import written

POINTS = 180
MOST_MARKERS = 50
MOST_SAID = 5
MOST_BELOW = 4
AHEAD = 4
"""A forecast reaches as far ahead as this part of the time shown."""

Lines = Sequence[tuple[Evaluated, PanelQuery]]


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence below a panel."""

    text: str
    tone: Tone | None


def markers(annotations: Sequence[Annotation], drawing: Drawing) -> list[Marker]:
    """The beginnings of every time in which an annotation's query is above 0."""
    step = evaluate.step_ms(drawing.window, POINTS)
    grid = evaluate.grid_of(drawing.window, step)
    found = []
    for annotation in annotations:
        if not annotation.is_on:
            continue
        for series in drawing.over(annotation.expr, grid, CALM_SECONDS).series:
            title = legend_text(annotation.title, series.labels) if annotation.title else annotation.name
            values = [bool(value and value > 0) for value in aligned(series, grid)]
            starts = [place for place, is_on in enumerate(values) if is_on and not (place and values[place - 1])]
            found += [Marker((grid.start_ms + place * step) / 1000, title) for place in starts]
    return sorted(found, key=lambda marker: marker.at)[:MOST_MARKERS]


def limits_of(done: Sequence[Evaluated]) -> list[tuple[float, str]]:
    """The last values of queries that say where it ends."""
    last = [float(series.values[-1]) for one in done for series in one.series if len(series.values)]
    return [(value, "bad") for value in sorted(set(last)) if math.isfinite(value)]


def beside(lines: Lines, drawing: Drawing, seconds_before: int) -> list[tuple[Evaluated, str]]:
    """The same queries so much earlier, with their legends."""
    before_ms = seconds_before * 1000
    found = []
    for done, query in lines:
        grid = Grid(done.grid.start_ms - before_ms, done.grid.end_ms - before_ms, done.grid.step_ms)
        found.append((drawing.over(query.expr, grid, CALM_SECONDS), query.legend))
    return found


def extended(drawn: MetricChart, panel: Panel, lines: Lines, drawing: Drawing) -> MetricChart:
    """The chart with its examples, its usual range and its forecast, as far as the panel asks for them."""
    if drawn.is_empty:
        return drawn
    if panel.has_exemplars:
        drawn = replace(drawn, chart=replace(drawn.chart, examples=_examples(lines, drawing)))
    if not (panel.is_usual or panel.is_forecast) or not lines[0][0].series:
        return drawn
    done, query = lines[0]
    values = _floats(aligned(done.series[0], done.grid))
    scope = drawing.view.scope.narrowed_to(drawing.view.choice.tenant)
    grid = history_grid(drawing.view.now_ns // 1_000_000)
    key = (repr(scope), drawing.view.choice.environment, drawing.text(query.expr, grid.step_ms))
    history = history_of(drawing.view.request.app, key, grid, lambda grid: drawing.over(query.expr, grid))
    times = done.grid.times / 1000.0
    chart, rows = drawn.chart, list(drawn.legend)
    if panel.is_usual and (usual := foresight.usual(history, times, values)):
        chart = replace(chart, band=_band(usual), band_words="usual")
    if panel.is_forecast and not drawing.view.choice.is_absolute:
        step = done.grid.step_ms / 1000
        ahead = times[-1] + step * np.arange(1, max(2, len(times) // AHEAD) + 1)
        if reach := foresight.forecast(history, times, values, ahead):
            chart = _with_forecast(chart, values, ahead, reach)
            rows.append(legend_row(chart.lines[-1]))
    return replace(drawn, chart=chart, legend=rows)


def facts(asked: Sequence[Fact], drawing: Drawing, step_ms: int) -> tuple[list[Said], list[Note]]:
    """The sentences, and what is wrong with their queries."""
    found: list[Said] = []
    notes: list[Note] = []
    for fact in asked:
        done = drawing.at_end(fact.expr, step_ms, CALM_SECONDS)
        notes += [note for note in done.notes if note.kind == "error"]
        if done.error is None:
            found += _said(fact, done)
    return found, notes


def below(panel: Panel, drawing: Drawing) -> list[OperationRow]:
    """The statements that take most time, of the services that are chosen."""
    if panel.below != "statements":
        return []
    return calls.operations(drawing.view.store, drawing.view.scope, drawing.filter, Asked(("db",)), MOST_BELOW)


def _said(fact: Fact, done: Evaluated) -> list[Said]:
    rows = [(float(series.values[-1]), series.labels) for series in done.series if len(series.values)]
    if not rows:
        return [Said(fact.until, None)] if fact.until else []
    is_told = [math.isfinite(value) and (fact.under is None or value < fact.under) for value, _ in rows]
    told = [row for row, is_one in zip(rows, is_told, strict=True) if is_one]
    told.sort(key=lambda row: row[0] if fact.under is not None else -row[0])
    if not told:
        return [Said(fact.otherwise, None)] if fact.otherwise else []
    tone = fact.tone if fact.tone != "ok" else None
    return [
        Said(legend_text(fact.text, labels).replace("{value}", written(value, fact.unit)), tone)
        for value, labels in told[:MOST_SAID]
    ]


def _examples(lines: Lines, drawing: Drawing) -> list[Example]:
    done, link = lines[0][0], drawing.view.link
    return examples(drawing.reader, done.text, done.grid, lambda trace_id: link(f"/traces/{segment(trace_id)}"))


def _with_forecast(chart: Chart, values: Floats, ahead: Floats, reach: Reach) -> Chart:
    """The chart's times go on; what is expected begins at the last known value, so that the lines meet."""
    count, gap = len(chart.times), [None] * len(ahead)
    known = np.flatnonzero(np.isfinite(values))
    begun: list[float | None] = [None] * count
    if len(known):
        begun[known[-1]] = float(values[known[-1]])
    lines = [replace(line, values=[*line.values, *gap]) for line in chart.lines]
    expected = Line("forecast", [*begun, *_points(reach.expected)], chart.lines[0].colour, True, is_apart=True)
    usual = chart.band or Band([None] * count, [None] * count)
    band = Band([*usual.low, *_points(reach.low)], [*usual.high, *_points(reach.high)])
    words = "expected" if chart.band else "forecast"
    times = [*chart.times, *(round(at) for at in ahead)]
    return replace(chart, times=times, lines=[*lines, expected], band=band, band_words=words, until=float(ahead[-1]))


def _band(reach: Reach) -> Band:
    return Band(_points(reach.low), _points(reach.high))


def _points(values: Floats) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values])
