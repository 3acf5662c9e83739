"""What Grafana's dashboards call things, and what we call them. Grafana 12's classic JSON, schema version 42."""

from __future__ import annotations

import colorsys
import re
from typing import Any

from tocsin.model.dashboard import PanelType, Tone

SCHEMA_VERSION = 42

PANEL_TYPES: dict[PanelType, str] = {
    "chart": "timeseries", "stat": "stat", "gauge": "gauge", "bars": "bargauge", "table": "table",
    "heatmap": "heatmap", "text": "text", "logs": "logs", "alerts": "alertlist", "row": "row",
}  # fmt: skip

OUR_TYPES: dict[str, PanelType] = {theirs: ours for ours, theirs in PANEL_TYPES.items()} | {
    "graph": "chart", "singlestat": "stat", "barchart": "bars", "piechart": "bars", "grafana-piechart-panel": "bars",
    "table-old": "table",
}  # fmt: skip
"""Also of types that are no more, or that we show as something near."""

NEAR = {"barchart": "bars", "piechart": "bars", "grafana-piechart-panel": "bars"}
"""Types that are not kept as they are, with what is shown instead."""

UNITS: dict[str, str] = {
    "": "none", "count": "short", "per_second": "cps", "percent": "percentunit", "percent100": "percent",
    "seconds": "s", "milliseconds": "ms", "bytes": "decbytes", "bytes_per_second": "Bps", "up": "bool_on_off",
    "timestamp": "dateTimeAsIso",
}  # fmt: skip

OUR_UNITS: dict[str, str] = {theirs: ours for ours, theirs in UNITS.items()} | {
    "reqps": "per_second", "ops": "per_second", "rps": "per_second", "wps": "per_second", "iops": "per_second",
    "eps": "per_second", "mps": "per_second", "hertz": "per_second", "bytes": "bytes", "binBps": "bytes_per_second",
    "sishort": "count", "locale": "count", "dtdurations": "seconds", "dtdurationms": "milliseconds",
    "bool": "up", "bool_yes_no": "up", "dateTimeFromNow": "timestamp",
}  # fmt: skip

CALCULATIONS: dict[str, str] = {
    "last": "lastNotNull", "first": "firstNotNull", "mean": "mean", "min": "min", "max": "max", "sum": "sum",
    "range": "range", "count": "count",
}  # fmt: skip
OUR_CALCULATIONS: dict[str, str] = {theirs: ours for ours, theirs in CALCULATIONS.items()} | {
    "last": "last", "first": "first", "current": "last", "avg": "mean", "total": "sum",
}  # fmt: skip

COLOURS: dict[Tone, str] = {"ok": "green", "warn": "orange", "bad": "red"}
RED_ENDS, AMBER_ENDS, WARM_BEGINS = 20 / 360, 70 / 360, 330 / 360
_RGB = re.compile(r"rgba?\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)")

OWN_PARTS = ("beside", "usual", "forecast", "exemplars", "facts", "marks", "below")
"""Fields of a panel that Grafana has no word for, as they stand in a board's text."""

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SOURCE_VARIABLE = "datasource"

SOURCE_QUERIES: dict[str, str] = {
    "endpoints": "topk(20, sum by (method, route) (rate(http_request_duration_seconds_sum[$__range])))",
    "tenants": "topk(20, sum by (tenant) (rate(http_requests_total[$__range])))",
    "errors": "topk(20, sum by (route) (rate(http_errors_total[$__range])))",
    "services": "sum by (job) (rate(http_requests_total[$__range]))",
    "latency": "sum by (le) (increase(http_request_duration_seconds_bucket[$__rate_interval]))",
    "logs": '{job=~".+"}',
}
"""What stands in for a panel that is no PromQL here, as near as PromQL or LogQL come."""


def tone_of_colour(colour: Any) -> tuple[Tone, bool]:
    """The tone of a colour, and whether that is what the colour says: blue says neither well nor harm."""
    text = str(colour).lower()
    for word, tone in (("green", "ok"), ("yellow", "warn"), ("orange", "warn"), ("amber", "warn"), ("red", "bad")):
        if word in text:
            return tone, True  # type: ignore[return-value]  # one of the three
    rgb = _rgb(text)
    if rgb is None:
        return "ok", text in ("transparent", "text", "")
    hue, _, saturation = colorsys.rgb_to_hls(*rgb)
    if saturation < 0.15:
        return "ok", False
    if hue < RED_ENDS or hue > WARM_BEGINS:
        return "bad", True
    if hue < AMBER_ENDS:
        return "warn", True
    return "ok", 70 / 360 <= hue <= 170 / 360


def _rgb(text: str) -> tuple[float, float, float] | None:
    if re.fullmatch(r"#[0-9a-f]{6}([0-9a-f]{2})?", text):
        return int(text[1:3], 16) / 255, int(text[3:5], 16) / 255, int(text[5:7], 16) / 255
    found = _RGB.match(text)
    return (int(found[1]) / 255, int(found[2]) / 255, int(found[3]) / 255) if found else None
