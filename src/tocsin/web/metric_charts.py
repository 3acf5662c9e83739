"""Results of PromQL as charts and tables: which series are shown, what they are called, what they say."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tocsin.model.window import Window
from tocsin.query.evaluate import Evaluated, aligned, series_text, shared_and_own, short_text
from tocsin.query.metric_reader import Labels
from tocsin.query.promql.engine import ResultSeries
from tocsin.query.promql.source import NAME, Grid
from tocsin.web.charts import Chart, Line, Marker

COLOURS = ("c1", "c2", "c3", "c4", "c5", "c6")
MOST_LINES = 40
MOST_ROWS = 500
_TEMPLATE = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")


@dataclass(frozen=True, slots=True)
class LegendRow:
    """A line and its figures over the time shown; None where there is none."""

    label: str
    colour: str
    is_dashed: bool
    last: float | None
    least: float | None
    most: float | None
    mean: float | None
    is_apart: bool = False  # not of now: of another time, or expected


@dataclass(frozen=True, slots=True)
class MetricChart:
    """`left_out` counts the series beyond the largest, which are not drawn. `shared` are the labels all series have."""

    chart: Chart
    legend: list[LegendRow]
    left_out: int
    shared: str

    @property
    def is_empty(self) -> bool:
        return not self.legend


@dataclass(frozen=True, slots=True)
class TableRow:
    labels: Labels
    value: float | None
    shown: str  # of what is no number
    time_ms: int


@dataclass(frozen=True, slots=True)
class MetricTable:
    """The labels that differ as columns, one row a series; `left_out` counts rows beyond the most."""

    columns: list[str]
    rows: list[TableRow]
    left_out: int
    shared: str


def metric_chart(
    id: str,
    title: str,
    asked: Sequence[tuple[Evaluated, str]],
    window: Window,
    unit: str = "",
    markers: Sequence[Marker] = (),
    href: str = "",
    rest: str = "",
    most: int = MOST_LINES,
    is_stacked: bool = False,
    limits: Sequence[tuple[float, str]] = (),
    beside: Sequence[tuple[Evaluated, str]] = (),
    beside_words: str = "",
) -> MetricChart:
    """One chart of several queries, each with the template of its legend. All have one grid.

    beside: the same queries at another time, drawn as dashed lines in the colours of today's; their grids are as long.
    Beside stacked lines only their sum is drawn.
    """
    grid = asked[0][0].grid if asked else Grid(0, 0, 1)
    named, shared = _named(asked)
    drawn = [(label, aligned(series, grid)) for label, series in named]
    drawn = [(label, values) for label, values in drawn if any(value is not None for value in values)]
    kept = _largest(drawn, most)
    lines = [
        Line(
            label, values, COLOURS[place % len(COLOURS)], place >= len(COLOURS), is_filled=is_stacked or len(kept) == 1
        )
        for place, (label, values) in enumerate(kept)
    ]
    lines += _beside_sum(beside, beside_words) if is_stacked else _beside_lines(lines, beside, beside_words)
    times = [at // 1000 for at in grid.times.tolist()]
    chart = Chart(
        id, title, "", unit or "count", times, lines, window, markers, None, href, rest,
        is_stacked=is_stacked, limits=tuple(limits),
    )  # fmt: skip
    return MetricChart(chart, [legend_row(line) for line in lines], len(drawn) - len(kept), shared)


def metric_table(evaluated: Evaluated) -> MetricTable:
    """The last value of every series, the largest first unless the query sorts."""
    found = evaluated.series
    shared, own = shared_and_own([one.labels for one in found])
    rows = [_row(labels, series) for labels, series in zip(own, found, strict=True) if len(series.times)]
    if not evaluated.text.lstrip().startswith(("sort", "topk", "bottomk")):
        rows.sort(key=lambda row: (row.value is None, -(row.value or 0)))
    columns = sorted({name for labels in own for name in labels}, key=lambda name: (name != NAME, name))
    return MetricTable(columns, rows[:MOST_ROWS], max(0, len(rows) - MOST_ROWS), series_text(shared) if shared else "")


def _row(labels: Labels, series: ResultSeries) -> TableRow:
    point = series.points[-1]
    if isinstance(point.value, float):
        return TableRow(labels, point.value, "", point.time_ms)
    return TableRow(labels, None, f"{point.value.count:g} in a histogram, sum {point.value.sum:g}", point.time_ms)


def legend_text(template: str, labels: Labels) -> str:
    """The template with the values of labels in place of {{label}}."""
    return _TEMPLATE.sub(lambda found: labels.get(found[1], ""), template)


def _named(asked: Sequence[tuple[Evaluated, str]]) -> tuple[list[tuple[str, ResultSeries]], str]:
    found = [(evaluated, template, series) for evaluated, template in asked for series in evaluated.series]
    shared, own = shared_and_own([series.labels for _, _, series in found])
    # Several queries may answer with the same labels: then the query itself tells them apart.
    is_told = len({tuple(sorted(labels.items())) for labels in own}) == len(own)
    named = []
    for (evaluated, template, series), labels in zip(found, own, strict=True):
        name = short_text(labels) if labels or len(found) == 1 else ""
        if template:
            name = legend_text(template, series.labels)
        elif not is_told:
            name = f"{evaluated.text[:60]} {name}".strip()
        named.append((name or series_text(series.labels) or evaluated.text[:60], series))
    return named, series_text(shared)


def _beside_sum(beside: Sequence[tuple[Evaluated, str]], words: str) -> list[Line]:
    """What all lines came to."""
    columns = [aligned(series, one.grid) for one, _ in beside for series in one.series]
    sums = [_sum(values) for values in zip(*columns, strict=True)]
    return [Line(f"all, {words}", sums, "ink-3", is_dashed=True, is_apart=True)] if any(sums) else []


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _beside_lines(lines: Sequence[Line], beside: Sequence[tuple[Evaluated, str]], words: str) -> list[Line]:
    """Only of series that are drawn for now too."""
    named, _ = _named(beside)
    grids = [one.grid for one, _ in beside for _ in one.series]
    by_label = {line.label: line for line in lines}
    is_alone = len(named) == len(lines) == 1
    made = []
    for (label, series), grid in zip(named, grids, strict=True):
        now = lines[0] if is_alone else by_label.get(label)
        values = aligned(series, grid)
        if now is not None and any(value is not None for value in values):
            made.append(Line(f"{now.label}, {words}", values, now.colour, is_dashed=True, is_apart=True))
    return made


def _largest(drawn: list[tuple[str, list[float | None]]], most: int) -> list[tuple[str, list[float | None]]]:
    """At most so many lines, those with the largest mean, in the order they came."""
    if len(drawn) <= most:
        return drawn
    size = {place: abs(_mean(values) or 0.0) for place, (_, values) in enumerate(drawn)}
    kept = sorted(sorted(size, key=lambda place: -size[place])[:most])
    return [drawn[place] for place in kept]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def legend_row(line: Line) -> LegendRow:
    """A line's figures."""
    known = [value for value in line.values if value is not None]
    return LegendRow(
        line.label, line.colour, line.is_dashed, known[-1] if known else None, min(known, default=None),
        max(known, default=None), _mean(line.values), line.is_apart,
    )  # fmt: skip


Calculate = Callable[[list[float]], float]
CALCULATE: dict[str, Calculate] = {
    "last": lambda known: known[-1],
    "first": lambda known: known[0],
    "mean": lambda known: sum(known) / len(known),
    "min": min,
    "max": max,
    "sum": sum,
    "range": lambda known: max(known) - min(known),
    "count": lambda known: float(len(known)),
}


def calculated(values: Sequence[float | None], calculation: str) -> float | None:
    """One number of a series; None when it has none."""
    known = [value for value in values if value is not None]
    return CALCULATE[calculation](known) if known else None
