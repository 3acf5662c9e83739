"""A dashboard as Grafana's classic JSON, which every Grafana since 9 loads; 12 is what it is written for.

What Grafana has no word for (a built-in source, a threshold profile) stands beside it under the key `tocsin`, which
Grafana passes over and our import reads.
"""

from __future__ import annotations

from typing import Any

from tocsin.model.dashboard import Annotation, Dashboard, Panel, PanelQuery, Thresholds, Variable
from tocsin.model.dashboard_text import plain_part
from tocsin.model.grafana_terms import (
    CALCULATIONS,
    COLOURS,
    DATA_SOURCE,
    OWN_PARTS,
    PANEL_TYPES,
    SCHEMA_VERSION,
    SOURCE_QUERIES,
    SOURCE_VARIABLE,
    UNITS,
)
from tocsin.model.thresholds import steps_of

Json = dict[str, Any]


def to_grafana(dashboard: Dashboard) -> Json:
    variables = [_variable(one) for one in dashboard.variables]
    if not any(one.name == SOURCE_VARIABLE for one in dashboard.variables):
        variables.insert(0, _source_variable())
    return {
        "annotations": {"list": [_built_in_annotations(), *(_annotation(one) for one in dashboard.annotations)]},
        "description": dashboard.description,
        "editable": True,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "id": None,
        "links": [_dashboard_link(title, address) for title, address in dashboard.links],
        "panels": _panels(dashboard.panels),
        "preload": False,
        "refresh": dashboard.refresh or "auto",
        "schemaVersion": SCHEMA_VERSION,
        "tags": list(dashboard.tags),
        "templating": {"list": variables},
        "time": {"from": f"now-{dashboard.range or '1h'}", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "title": dashboard.title,
        "uid": dashboard.id,
        "version": 1,
        "weekStart": "",
        "tocsin": {"audience": dashboard.audience, "range": dashboard.range, "refresh": dashboard.refresh},
    }


def _panels(panels: tuple[Panel, ...]) -> list[Json]:
    """A collapsed row holds what is below it, up to the next row."""
    made: list[Json] = []
    row: Json | None = None
    for panel in panels:
        if panel.type == "row":
            row = _row(panel)
            made.append(row)
            row = row if panel.is_collapsed else None
        elif row is not None:
            row["panels"].append(_panel(panel))
        else:
            made.append(_panel(panel))
    return made


def _grid(panel: Panel) -> Json:
    at = panel.position
    return {"h": at.h, "w": at.w, "x": at.x, "y": at.y}


def _row(panel: Panel) -> Json:
    return {
        "collapsed": panel.is_collapsed, "gridPos": _grid(panel), "id": panel.id, "panels": [], "title": panel.title,
        "type": "row",
    }  # fmt: skip


def _panel(panel: Panel) -> Json:
    made: Json = {
        "description": panel.description,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "gridPos": _grid(panel),
        "id": panel.id,
        "options": _options(panel),
        "targets": _targets(panel),
        "title": panel.title,
        "type": PANEL_TYPES[panel.type],
        "datasource": _data_source(panel),
    }
    if panel.link.startswith("http"):
        made["links"] = [{"title": panel.title, "url": panel.link}]
    if panel.repeat:
        made["repeat"] = panel.repeat
    if own := _own(panel):
        made["tocsin"] = own
    return made


def _own(panel: Panel) -> Json:
    own: Json = {}
    if panel.thresholds.profile:
        own["thresholds"] = panel.thresholds.profile
    if panel.source:
        own["source"] = panel.source
        own["queries"] = len(panel.queries)
    if panel.waits_for:
        own["waits_for"] = panel.waits_for
    if panel.link and not panel.link.startswith("http"):
        own["link"] = panel.link
    if panel.calculation != "last" and panel.type not in ("stat", "gauge", "bars"):
        own["calculation"] = panel.calculation
    if panel.text and panel.type != "text":
        own["text"] = panel.text
    if limits := [query.ref for query in panel.queries if query.is_limit]:
        own["limits"] = limits
    return own | {key: plain[key] for key in OWN_PARTS if key in (plain := plain_part(panel))}


def _data_source(panel: Panel) -> Json:
    return {"type": "loki", "uid": "${loki}"} if panel.type == "logs" else dict(DATA_SOURCE)


def _targets(panel: Panel) -> list[Json]:
    queries = panel.queries
    if panel.source in SOURCE_QUERIES and not queries:
        queries = (PanelQuery(SOURCE_QUERIES[panel.source], is_instant=panel.type == "table"),)
    return [_target(query, panel) for query in queries]


def _target(query: PanelQuery, panel: Panel) -> Json:
    is_instant = query.is_instant
    made: Json = {
        "datasource": _data_source(panel),
        "editorMode": "code",
        "expr": query.expr,
        "instant": is_instant,
        "legendFormat": query.legend or "__auto",
        "range": not is_instant,
        "refId": query.ref,
    }
    if query.is_hidden:
        made["hide"] = True
    if panel.has_exemplars and panel.type == "chart" and not query.is_limit:
        made["exemplar"] = True
    if query.step:
        made["interval"] = query.step
    if panel.type == "table":
        made["format"] = "table"
    if panel.type == "heatmap":
        made["format"] = "heatmap"
    return made


def _defaults(panel: Panel) -> Json:
    made: Json = {
        "color": {"mode": "palette-classic" if panel.type == "chart" else "thresholds"},
        "mappings": _mappings(panel.unit),
        "thresholds": _thresholds(panel.thresholds),
        "unit": UNITS[panel.unit],
    }
    for name, value in (("decimals", panel.decimals), ("min", panel.min), ("max", panel.max)):
        if value is not None:
            made[name] = value
    if panel.type == "chart":
        steps = steps_of(panel.thresholds)
        made["custom"] = {
            "drawStyle": "line",
            "fillOpacity": 12 if panel.is_stacked else 0,
            "stacking": {"group": "A", "mode": "normal" if panel.is_stacked else "none"},
            "thresholdsStyle": {"mode": "dashed" if steps else "off"},
        }
    return made


def _mappings(unit: str) -> list[Json]:
    if unit != "up":
        return []
    words = {"0": {"index": 0, "text": "down"}, "1": {"index": 1, "text": "up"}}
    return [{"options": words, "type": "value"}]


def _thresholds(thresholds: Thresholds) -> Json:
    steps = [{"color": COLOURS[step.tone], "value": step.from_value} for step in steps_of(thresholds)]
    mode = "percentage" if thresholds.is_percentage else "absolute"
    return {"mode": mode, "steps": steps or [{"color": "green", "value": None}]}


def _options(panel: Panel) -> Json:
    reduce = {"calcs": [CALCULATIONS[panel.calculation]], "fields": "", "values": False}
    match panel.type:
        case "chart":
            legend = {"calcs": ["lastNotNull"], "displayMode": "list", "placement": "bottom", "showLegend": True}
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
        case "stat":
            return {"colorMode": "value", "graphMode": "area", "reduceOptions": reduce, "textMode": "auto"}
        case "gauge":
            return {"reduceOptions": reduce, "showThresholdLabels": False, "showThresholdMarkers": True}
        case "bars":
            return {"displayMode": "basic", "orientation": "horizontal", "reduceOptions": reduce}
        case "text":
            return {"content": panel.text, "mode": "markdown"}
        case "logs":
            return {"showTime": True, "sortOrder": "Descending", "wrapLogMessage": True}
        case "heatmap":
            return {"calculate": False, "yAxis": {"unit": "s"}}
    return {}


def _variable(variable: Variable) -> Json:
    kinds = {"text": "textbox", "source": "datasource"}
    made: Json = {
        "current": _current(variable),
        "description": variable.description,
        "hide": 2 if variable.is_hidden else 0,
        "label": variable.label,
        "name": variable.name,
        "query": variable.query,
        "skipUrlSync": False,
        "type": kinds.get(variable.type, variable.type),
    }
    if variable.type in ("query", "custom"):
        made |= {"includeAll": variable.has_all, "multi": variable.is_multi, "allValue": variable.all_value or None}
    if variable.type == "query":
        made |= {
            "datasource": dict(DATA_SOURCE), "definition": variable.query, "refresh": 2, "regex": variable.regex,
            "sort": 1, "query": {"query": variable.query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        }  # fmt: skip
    elif variable.regex:
        made["regex"] = variable.regex
    if variable.type == "interval":
        made |= {"auto": False, "auto_count": 30, "auto_min": "10s", "refresh": 2}
    return made


def _current(variable: Variable) -> Json:
    if not variable.default:
        return {"text": ["All"], "value": ["$__all"]} if variable.has_all and variable.is_multi else {}
    value = variable.default.split(",") if variable.is_multi else variable.default
    return {"text": value, "value": value}


def _source_variable() -> Json:
    return {
        "current": {}, "hide": 0, "label": "Data source", "name": SOURCE_VARIABLE, "query": "prometheus", "refresh": 1,
        "regex": "", "skipUrlSync": False, "type": "datasource",
    }  # fmt: skip


def _annotation(annotation: Annotation) -> Json:
    made = {
        "datasource": dict(DATA_SOURCE), "enable": annotation.is_on, "expr": annotation.expr, "hide": False,
        "iconColor": COLOURS[annotation.tone], "name": annotation.name, "titleFormat": annotation.title,
    }  # fmt: skip
    return made | ({"step": annotation.step} if annotation.step else {})


def _built_in_annotations() -> Json:
    return {
        "builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": True, "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)", "name": "Annotations & Alerts", "type": "dashboard",
    }  # fmt: skip


def _dashboard_link(title: str, address: str) -> Json:
    return {
        "asDropdown": False, "icon": "external link", "includeVars": False, "keepTime": False, "tags": [],
        "targetBlank": False, "title": title, "tooltip": "", "type": "link", "url": address,
    }  # fmt: skip
