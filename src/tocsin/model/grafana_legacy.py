"""Grafana's panels of former days in the words of today: rows that hold panels, `graph`, `singlestat`."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
OLD_COLUMNS, HEIGHT = 12, 8
PIXELS_PER_ROW = 38


def unrolled(document: Json) -> list[Json]:
    """All panels, those of rows too, each with its place; rows themselves where they have a title."""
    if isinstance(document.get("rows"), list) and not document.get("panels"):
        return _from_rows(document["rows"])
    found: list[Json] = []
    for panel in document.get("panels") or []:
        if isinstance(panel, dict):
            found.append(panel)
            if panel.get("type") == "row":
                found += [one for one in panel.get("panels") or [] if isinstance(one, dict)]
    return found


def _from_rows(rows: list[Any]) -> list[Json]:
    """Before version 16 panels had spans of 12 columns within rows of a height in pixels."""
    found: list[Json] = []
    top = 0
    for row in (one for one in rows if isinstance(one, dict)):
        if row.get("showTitle") or row.get("collapse"):
            grid = {"x": 0, "y": top, "w": 24, "h": 1}
            found.append({"type": "row", "title": row.get("title"), "collapsed": row.get("collapse"), "gridPos": grid})
            top += 1
        height = _rows_high(row.get("height"))
        left = 0
        for panel in (one for one in row.get("panels") or [] if isinstance(one, dict)):
            width = max(1, min(24, round(float(panel.get("span") or 4) * 24 / OLD_COLUMNS)))
            if left + width > 24:
                left, top = 0, top + height
            found.append({**panel, "gridPos": {"x": left, "y": top, "w": width, "h": height}})
            left += width
        top += height
    return found


def _rows_high(height: Any) -> int:
    digits = "".join(sign for sign in str(height or "") if sign.isdigit())
    return max(3, round(int(digits) / PIXELS_PER_ROW)) if digits else HEIGHT


def modernised(panel: Json) -> tuple[Json, list[str]]:
    """(the panel with fieldConfig and options, what of it has no such words); a panel of today is as it was."""
    match panel.get("type"):
        case "graph":
            return _graph(panel)
        case "singlestat":
            return _singlestat(panel)
    if panel.get("type") == "text" and "content" in panel:
        rest = {key: value for key, value in panel.items() if key not in ("content", "mode")}
        return {**rest, "options": {"content": panel["content"], "mode": panel.get("mode", "markdown")}}, []
    return panel, []


GRAPH_LOOKS = {
    "aliasColors", "bars", "dashLength", "dashes", "fill", "fillGradient", "hiddenSeries", "legend", "lines",
    "linewidth", "nullPointMode", "percentage", "pointradius", "points", "renderer", "spaceLength", "stack",
    "steppedLine", "tooltip", "xaxis", "yaxes", "yaxis", "thresholds", "timeRegions", "seriesOverrides", "options",
    "fieldConfig", "alert", "leftYAxisLabel", "rightYAxisLabel", "grid", "y_formats", "x-axis", "y-axis",
}  # fmt: skip


def _graph(panel: Json) -> tuple[Json, list[str]]:
    axes = [one for one in panel.get("yaxes") or [] if isinstance(one, dict)]
    left = axes[0] if axes else {}
    unit = left.get("format") or next(iter(panel.get("y_formats") or []), None)
    defaults: Json = {"unit": unit} if unit else {}
    for end in ("min", "max"):
        if (value := _float(left.get(end))) is not None:
            defaults[end] = value
    if panel.get("stack"):
        defaults["custom"] = {"stacking": {"mode": "normal"}}
    steps = [_step(one) for one in panel.get("thresholds") or [] if isinstance(one, dict)]
    if steps:
        defaults["thresholds"] = {"mode": "absolute", "steps": [{"color": "green", "value": None}, *steps]}
    lost = []
    if panel.get("bars") and not panel.get("lines", True):
        lost.append("bars are drawn as lines")
    if panel.get("percentage"):
        lost.append("stacking to 100 %")
    if left.get("logBase") not in (None, 1):
        lost.append("the logarithmic axis")
    lost += [name for name in ("seriesOverrides", "alert", "timeRegions", "aliasColors") if panel.get(name)]
    kept = {key: value for key, value in panel.items() if key not in GRAPH_LOOKS}
    return {**kept, "type": "timeseries", "fieldConfig": {"defaults": defaults, "overrides": []}, "options": {}}, lost


def _step(threshold: Json) -> Json:
    colour = {"critical": "red", "warning": "orange", "ok": "green"}.get(threshold.get("colorMode", ""), "red")
    return {"color": threshold.get("fillColor") or colour, "value": _float(threshold.get("value"))}


SINGLESTAT_LOOKS = {
    "colorBackground", "colorPostfix", "colorPrefix", "colorValue", "colors", "format", "gauge", "mappingType",
    "mappingTypes", "maxDataPoints", "nullPointMode", "nullText", "postfix", "postfixFontSize", "prefix",
    "prefixFontSize", "rangeMaps", "sparkline", "tableColumn", "thresholds", "valueFontSize", "valueMaps", "valueName",
    "decimals", "interval", "cacheTimeout",
}  # fmt: skip


def _singlestat(panel: Json) -> tuple[Json, list[str]]:
    defaults: Json = {"unit": panel.get("format") or "none"}
    if _float(panel.get("decimals")) is not None:
        defaults["decimals"] = panel["decimals"]
    values = [value for one in str(panel.get("thresholds") or "").split(",") if (value := _float(one)) is not None]
    colours = panel.get("colors") or ["green", "orange", "red"]
    if values:
        steps = zip([None, *values], colours, strict=False)
        defaults["thresholds"] = {
            "mode": "absolute",
            "steps": [{"color": colour, "value": value} for value, colour in steps],
        }
    gauge = panel.get("gauge") if isinstance(panel.get("gauge"), dict) else {}
    is_gauge = bool(gauge and gauge.get("show"))
    if is_gauge and gauge:
        defaults |= {
            end: gauge[f"{end}Value"] for end in ("min", "max") if _float(gauge.get(f"{end}Value")) is not None
        }
    lost = [name for name in ("prefix", "postfix") if panel.get(name)]
    lost += [name for name in ("valueMaps", "rangeMaps") if _says_more(panel.get(name))]
    kept = {key: value for key, value in panel.items() if key not in SINGLESTAT_LOOKS}
    options = {"reduceOptions": {"calcs": [panel.get("valueName") or "current"]}}
    made = {**kept, "type": "gauge" if is_gauge else "stat", "options": options}
    return {**made, "fieldConfig": {"defaults": defaults, "overrides": []}}, lost


def _says_more(maps: Any) -> bool:
    """Whether value maps hold more than the one for 'no value' that every old panel had."""
    return any(isinstance(one, dict) and one.get("text") not in ("N/A", None) for one in maps or [])


def _float(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
