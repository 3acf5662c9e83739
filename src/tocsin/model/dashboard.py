"""Dashboards as plain values: panels on a grid of 24 columns, variables, annotations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PanelType = Literal["chart", "stat", "gauge", "bars", "table", "heatmap", "text", "logs", "alerts", "row"]
VariableType = Literal["query", "custom", "text", "constant", "interval", "source"]
Tone = Literal["ok", "warn", "bad"]
Audience = Literal["everyone", "staff"]

PANEL_TYPES: tuple[PanelType, ...] = (
    "chart", "stat", "gauge", "bars", "table", "heatmap", "text", "logs", "alerts", "row",
)  # fmt: skip
VARIABLE_TYPES: tuple[VariableType, ...] = ("query", "custom", "text", "constant", "interval", "source")
COLUMNS = 24
RANGES: dict[str, int] = {"15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000}
"""The ranges that end now and have a name, in seconds; a board may open with one of them."""

UNITS: dict[str, str] = {
    "": "a plain number",
    "count": "how many",
    "per_second": "how many a second",
    "percent": "a ratio 0-1",
    "percent100": "0-100",
    "seconds": "a duration",
    "milliseconds": "a duration",
    "bytes": "a size",
    "bytes_per_second": "a throughput",
    "up": "1 is up, 0 is down",
    "timestamp": "unix seconds",
}

SOURCES: dict[str, str] = {
    "endpoints": "the endpoints, worst first: rate × slowness × failures",
    "tenants": "the tenants, worst first",
    "errors": "the exceptions, grouped by where they are raised",
    "services": "the services",
    "latency": "how many requests took how long when",
    "logs": "log records",
    "alerts": "what fires now",
}
"""What panels can show that is no PromQL."""

CALCULATIONS = ("last", "mean", "min", "max", "sum", "first", "range", "count")
"""How a stat, a gauge or a row of bars makes one number of a series."""


@dataclass(frozen=True, slots=True)
class Step:
    """From `from_value` on (None: from everything on) a value has this tone."""

    tone: Tone
    from_value: float | None = None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Named by a profile, or spelled out; a profile's steps are in `tocsin.model.thresholds`."""

    profile: str = ""
    steps: tuple[Step, ...] = ()
    is_percentage: bool = False  # of min to max


BESIDE: dict[str, tuple[int, str]] = {
    "1d": (86_400, "a day before"),
    "7d": (604_800, "a week before"),
    "28d": (2_419_200, "four weeks before"),
}
"""The times that a chart can show beside the chosen one, in seconds and words."""

BELOW: dict[str, str] = {"statements": "the statements that take most time"}
"""Tables that can stand below a chart."""


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """One PromQL query of a panel. legend: a text with {{label}}; '' tells the labels that differ. A limit is no line:
    its last value is drawn as a threshold, where the chart reaches as far."""

    expr: str
    legend: str = ""
    ref: str = "A"
    is_instant: bool = False
    is_hidden: bool = False
    step: str = ""  # at least, such as 1m
    is_limit: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence below a chart or a figure, for each series of the query, with {{label}} and {value} in its text.

    `under`: from there on, and where there is no number, `otherwise` is said instead ('' says nothing). Without a
    series `until` is said: what it takes to know more.
    """

    expr: str
    text: str
    unit: str = ""
    under: float | None = None
    otherwise: str = ""
    until: str = ""
    tone: Tone = "ok"


@dataclass(frozen=True, slots=True)
class Annotation:
    """Markers on every chart of a board, or on a panel's: whenever the query has a value above 0, with `title` as their
    text ({{label}})."""

    name: str
    expr: str
    title: str = ""
    step: str = ""
    tone: Tone = "warn"
    is_on: bool = True


@dataclass(frozen=True, slots=True)
class GridPosition:
    x: int = 0
    y: int = 0
    w: int = 12
    h: int = 8


@dataclass(frozen=True, slots=True)
class Panel:
    """`source` is a key of SOURCES, or '' when the queries say what to show. `waits_for` says, while there is nothing
    to show, which signal it is for. `link` is where a click leads.

    Of charts: `beside` is a key of BESIDE, `is_usual` draws the range of the days before behind a panel's first line,
    `is_forecast` goes on with it beyond now, `has_exemplars` marks the slowest requests, each with its trace. `below`
    is a key of BELOW."""

    id: int
    title: str
    type: PanelType
    position: GridPosition
    queries: tuple[PanelQuery, ...] = ()
    source: str = ""
    unit: str = ""
    decimals: int | None = None
    min: float | None = None
    max: float | None = None
    thresholds: Thresholds = Thresholds()
    calculation: str = "last"
    is_stacked: bool = False
    text: str = ""
    description: str = ""
    waits_for: str = ""
    link: str = ""
    repeat: str = ""
    is_collapsed: bool = False  # of a row
    beside: str = ""
    is_usual: bool = False
    is_forecast: bool = False
    has_exemplars: bool = False
    facts: tuple[Fact, ...] = ()
    marks: tuple[Annotation, ...] = ()
    below: str = ""


@dataclass(frozen=True, slots=True)
class Variable:
    """Text that queries take as $name. query: `label_values(metric, label)`, `label_names()`, `metrics(regex)`,
    `query_result(promql)`; custom and interval: the values, separated by commas."""

    name: str
    type: VariableType
    label: str = ""
    query: str = ""
    default: str = ""
    regex: str = ""
    is_multi: bool = False
    has_all: bool = False
    all_value: str = ""
    is_hidden: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`range` is what the board opens with ('' leaves the reader's choice); `refresh` is kept for Grafana alone: here a
    board is refreshed as often as its range makes sense."""

    id: str
    title: str
    panels: tuple[Panel, ...] = ()
    description: str = ""
    tags: tuple[str, ...] = ()
    variables: tuple[Variable, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    range: str = ""
    refresh: str = ""
    audience: Audience = "staff"
    links: tuple[tuple[str, str], ...] = ()  # title, address
