"""The data and options of charts; `static/charts.js` and `static/heatmap.js` mount them.

Times are unix seconds. Colours are names of the theme's tokens (`c1`, `bad`), so that dark and light follow by
themselves. A point is None where there was no traffic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.model.window import Window
from tocsin.query.active import ActiveRequests
from tocsin.query.red import Heatmap, RedSeries

Points = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    values: Points
    colour: str
    is_dashed: bool = False
    is_filled: bool = False
    is_apart: bool = False  # of a stacked chart: not on top of the others


@dataclass(frozen=True, slots=True)
class Marker:
    """Something that happened at a moment: a deploy, a flag flip. `text` says it in a sentence, `kind` colours it."""

    at: float
    label: str
    href: str = ""
    kind: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Band:
    """The usual range of a value, drawn behind its line."""

    low: Points
    high: Points


@dataclass(frozen=True, slots=True)
class Example:
    """A request behind a chart, drawn as a dot at its own value; a click opens its trace."""

    at: float
    value: float
    href: str
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A time chart. `unit` is what its header says; `format` tells the script how to write a value: rate, seconds,
    count, percent or a unit of dashboards. `href` leads to traces, to which the script adds the start and end of the
    point that is clicked. `rest` is the REST call that gives the same data. `limits` are values from which on a tone
    holds, drawn as lines. `until` is where the chart ends, when it goes on beyond the window (unix seconds)."""

    id: str
    title: str
    unit: str
    format: str
    times: Sequence[int]
    lines: Sequence[Line]
    window: Window
    markers: Sequence[Marker] = ()
    band: Band | None = None
    href: str = ""
    rest: str = ""
    is_stacked: bool = False
    is_bars: bool = False
    limits: Sequence[tuple[float, str]] = ()
    band_words: str = "usual"
    examples: Sequence[Example] = ()
    until: float = 0.0

    @property
    def is_empty(self) -> bool:
        return not any(value is not None and value > 0 for line in self.lines for value in line.values)

    def data(self, more: Sequence[Marker] = ()) -> dict[str, Any]:
        """What the script gets, as plain values; with what has happened beside the figures, which all charts show."""
        return {
            "format": self.format,
            "start": self.window.start_ns / 1e9,
            "end": max(self.window.end_ns / 1e9, self.until),
            "times": list(self.times),
            "href": self.href,
            "lines": [_line(line) for line in self.lines],
            "markers": [_marker(marker) for marker in (*self.markers, *more)],
            "stacked": self.is_stacked,
            "bars": self.is_bars,
            "limits": [list(limit) for limit in self.limits],
            "band": None if self.band is None else _band(self.band, self.band_words),
            "examples": [[one.at, *_short([one.value]), one.href, one.text] for one in self.examples],
        }


@dataclass(frozen=True, slots=True)
class HeatmapChart:
    """Requests per time and response time; a cell leads to the traces in it at `href`, to which the script adds
    start, end, min_duration_ms and max_duration_ms."""

    heatmap: Heatmap
    window: Window
    href: str
    rest: str = ""

    @property
    def is_empty(self) -> bool:
        return not any(any(row) for row in self.heatmap.counts)

    def data(self) -> dict[str, Any]:
        first, last = _used_buckets(self.heatmap.counts)
        return {
            "start": self.window.start_ns / 1e9,
            "end": self.window.end_ns / 1e9,
            "step": self.heatmap.step_seconds,
            "times": self.heatmap.times,
            "bounds": _short(self.heatmap.bounds_seconds[first : last + 2]),
            "counts": [row[first : last + 1] for row in self.heatmap.counts],
            "href": self.href,
        }


def red_charts(
    series: RedSeries,
    window: Window,
    beside: RedSeries | None = None,
    name: str = "",
    traces: Callable[..., str] | None = None,
    rest: str = "",
) -> list[Chart]:
    """Requests, errors and response time; with `beside`, what it is measured against (the platform) as dashed lines.

    `traces` gives the address of a search with these parameters: a point of the errors opens the failing traces of its
    step, one of the response time the slowest.
    """
    times = series.times
    opens = traces or (lambda **_: "")
    requests = [Line(name or "requests", settle(series.request_rate, series, window), "c1", is_filled=True)]
    errors = [
        Line("5xx and exceptions", settle(series.error_rate, series, window), "bad", is_filled=True),
        Line("4xx", settle(series.client_error_rate, series, window), "c3"),
    ]
    waits = _waits(series, beside)
    failing, slowest = opens(status="error"), opens(order="slowest")
    return [
        Chart("requests", "Requests", "per second", "rate", times, requests, window, href=opens(), rest=rest),
        Chart("errors", "Errors", "per second", "rate", times, errors, window, href=failing, rest=rest),
        Chart("duration", "Response time", "", "seconds", times, waits, window, href=slowest, rest=rest),
    ]


def _waits(series: RedSeries, beside: RedSeries | None) -> list[Line]:
    p50, p95 = Line("p50", series.p50_seconds, "c2"), Line("p95", series.p95_seconds, "c1")
    if beside is not None:
        return [p95, p50, Line("platform p95", beside.p95_seconds, "c6", is_dashed=True)]
    return [p50, p95, Line("p99", series.p99_seconds, "c4")]


def active_chart(active: ActiveRequests, window: Window) -> Chart:
    line = Line("in flight", active.values, "c2", is_filled=True)
    return Chart("active", "Active requests", "at once", "count", active.times, [line], window)


def settle(rates: Points, series: RedSeries, window: Window) -> list[float | None]:
    return settle_rates(rates, series.times, series.step_seconds, window)


def settle_rates(rates: Points, times: Sequence[int], step_seconds: int, window: Window) -> list[float | None]:
    """Rates whose last, unfinished step is brought to what it would be when finished; left out in its first quarter,
    where that is a guess. Without this every live chart ends in a fall that never happened."""
    if not times:
        return list(rates)
    done = (window.end_ns / 1e9 - times[-1]) / step_seconds
    if done >= 1:
        return list(rates)
    last = rates[-1]
    return [*rates[:-1], last / done if last is not None and done >= 0.25 else None]


def spark(values: Points, width: int = 200, height: int = 36) -> tuple[str, str]:
    """The line and the filled area below it of a small chart without axes, as SVG path data. Empty without two points
    or when all are 0; a gap is bridged."""
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    top = max((value for _, value in known), default=0.0)
    if len(known) < 2 or top <= 0:
        return "", ""
    reach = max(len(values) - 1, 1)
    points = [(place / reach * width, height - 2 - value / top * (height - 6)) for place, value in known]
    line = "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return line, f"{line} L{points[-1][0]:.1f},{height} L{points[0][0]:.1f},{height} Z"


def _line(line: Line) -> dict[str, Any]:
    return {
        "label": line.label,
        "colour": line.colour,
        "dashed": line.is_dashed,
        "filled": line.is_filled,
        "apart": line.is_apart,
        "values": _short(line.values),
    }


def _band(band: Band, words: str) -> dict[str, Any]:
    return {"low": _short(band.low), "high": _short(band.high), "words": words}


def _marker(marker: Marker) -> dict[str, Any]:
    said = {"at": marker.at, "label": marker.label, "href": marker.href}
    return said | {"kind": marker.kind, "text": marker.text or marker.label}


def _short(values: Points) -> list[float | None]:
    """Six figures are more than a screen shows, and half the bytes."""
    return [None if value is None or not math.isfinite(value) else float(f"{value:.6g}") for value in values]


def _used_buckets(counts: Sequence[Sequence[int]]) -> tuple[int, int]:
    """The first and last bucket that hold anything, with one free on each side."""
    used = [place for row in counts for place, count in enumerate(row) if count]
    if not used:
        return 0, 0
    return max(min(used) - 1, 0), min(max(used) + 1, len(counts[0]) - 1)
