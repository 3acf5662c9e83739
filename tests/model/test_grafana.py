"""Boards to Grafana and back, boards of Grafana old and new, and what of them is told as lost."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from test_dashboard_text import FULL

from tocsin.model.dashboard import Dashboard, GridPosition, Panel, Step, Thresholds
from tocsin.model.grafana_export import to_grafana
from tocsin.model.grafana_import import from_grafana
from tocsin.model.grafana_provisioning import read_provisioning
from tocsin.model.grafana_terms import OUR_UNITS, UNITS, tone_of_colour
from tocsin.model.yaml_text import TextError
from tocsin.web.dashboards import shipped


def round_trip(board: Dashboard) -> tuple[Dashboard, list[str]]:
    return from_grafana(json.loads(json.dumps(to_grafana(board))))


@pytest.mark.parametrize("board", shipped().values(), ids=lambda board: board.id)
def test_shipped_board_comes_back_from_grafana_whole(board: Dashboard) -> None:
    assert round_trip(board) == (board, [])


def test_board_with_every_field_comes_back_but_for_repeating() -> None:
    board = replace(FULL, panels=tuple(replace(panel, type="stat", text="") for panel in FULL.panels))
    board = replace(board, panels=tuple(replace(one, is_collapsed=False, is_stacked=False) for one in board.panels))
    back, lost = round_trip(board)
    assert [one for one in lost if "drawn once" not in one] == []
    assert back == board


def test_rows_hold_what_is_below_them_when_collapsed() -> None:
    row = Panel(1, "Hosts", "row", GridPosition(0, 0, 24, 1), is_collapsed=True)
    text = Panel(2, "x", "text", GridPosition(0, 1, 24, 3), text="hello")
    board = Dashboard("a", "A", (row, text))
    exported = to_grafana(board)
    assert [panel["title"] for panel in exported["panels"][0]["panels"]] == ["x"]
    assert round_trip(board)[0] == board


def test_export_has_the_shape_grafana_12_reads() -> None:
    exported = to_grafana(shipped()["application"])
    assert exported["schemaVersion"] == 42
    assert len(exported["panels"]) == 15
    assert exported["templating"]["list"][0]["type"] == "datasource"
    for panel in exported["panels"]:
        assert panel["type"] in ("timeseries", "gauge", "table", "logs", "alertlist")
        assert set(panel["gridPos"]) == {"x", "y", "w", "h"}
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None
        for target in panel["targets"]:
            assert {"expr", "refId", "legendFormat", "datasource"} <= set(target)
    gauge = next(panel for panel in exported["panels"] if panel["title"] == "CPU Usage")
    steps = gauge["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(step["color"], step["value"]) for step in steps] == [("green", None), ("orange", 0.7), ("red", 0.85)]


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_has_a_word_there_and_back(unit: str) -> None:
    assert OUR_UNITS[UNITS[unit]] == unit


def panel(**given: Any) -> dict[str, Any]:
    grid = {"x": 0, "y": 0, "w": 12, "h": 8}
    return {"id": 1, "title": "P", "type": "timeseries", "gridPos": grid, "targets": [], **given}


def imported(*panels: dict[str, Any], **given: Any) -> tuple[Dashboard, list[str]]:
    return from_grafana({"title": "T", "uid": "T-1", "panels": list(panels), **given})


def test_current_panel_is_read_with_queries_units_and_thresholds() -> None:
    steps = [{"color": "#73BF69", "value": None}, {"color": "#FADE2A", "value": 5}, {"color": "dark-red", "value": 9}]
    defaults = {"unit": "reqps", "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    target = {"expr": "up", "legendFormat": "{{job}}", "refId": "A", "interval": "30s", "instant": True}
    board, lost = imported(panel(fieldConfig={"defaults": defaults, "overrides": []}, targets=[target]))
    (made,) = board.panels
    assert (made.unit, made.min) == ("per_second", 0)
    assert made.thresholds.steps == (Step("ok"), Step("warn", 5), Step("bad", 9))
    assert (made.queries[0].legend, made.queries[0].step, made.queries[0].is_instant) == ("{{job}}", "30s", True)
    assert board.id == "t-1"
    assert lost == ["panel 1 'P': the unit reqps is written as per_second"]


def test_nothing_is_lost_silently() -> None:
    rich = panel(
        transformations=[{"id": "organize"}],
        fieldConfig={
            "defaults": {"unit": "velocitykmh", "custom": {"lineWidth": 7, "drawStyle": "bars"}},
            "overrides": [{"matcher": {"id": "byName"}}],
        },
        targets=[{"refId": "A", "rawSql": "SELECT 1"}, {"refId": "B", "expr": "up", "datasource": {"type": "loki"}}],
        timeFrom="1h",
        repeat="host",
        links=[{"title": "x", "url": "/d/abc?var=${host}"}],
        libraryPanel={"uid": "a"},
    )
    variables = [{"name": "f", "type": "adhoc"}, {"name": "d", "type": "datasource", "query": "loki"}]
    annotations = [{"name": "sql", "datasource": {"type": "mysql"}}]
    _, lost = imported(
        rich,
        panel(id=2, type="geomap"),
        panel(id=3, type="piechart"),
        templating={"list": variables},
        annotations={"list": annotations},
        links=[{"type": "dashboards", "title": "all"}],
        snapshot={"x": 1},
    )
    told = "\n".join(lost)
    for word in (
        "library panel", "transformations", "unit velocitykmh", "lineWidth", "drawStyle", "overrides", "query A",
        "query B", "timeFrom", "drawn once", "${host}", "geomap", "piechart", "variable f", "variable d",
        "annotation 'sql'", "link 'all'", "snapshot",
    ):  # fmt: skip
        assert word in told, word


def test_graph_and_singlestat_of_old_are_read() -> None:
    graph = {
        "type": "graph", "title": "G", "id": 4, "span": 6, "stack": True, "yaxes": [{"format": "s", "min": "0"}],
        "targets": [{"expr": "rate(a[5m])", "legendFormat": "x", "intervalFactor": 2, "refId": "A"}],
        "thresholds": [{"value": 3, "colorMode": "critical", "op": "gt", "fill": True}],
    }  # fmt: skip
    stat = {
        "type": "singlestat", "title": "S", "id": 4, "span": 3, "format": "percent", "valueName": "avg",
        "thresholds": "70,90", "colors": ["green", "orange", "red"], "gauge": {"show": True, "maxValue": 100},
        "targets": [{"expr": "b"}], "valueMaps": [{"value": "null", "text": "N/A"}], "postfix": " of it",
    }  # fmt: skip
    rows = [{"title": "R", "showTitle": True, "height": "300px", "panels": [graph, stat]}]
    board, lost = from_grafana({"title": "Old", "rows": rows, "schemaVersion": 12})
    row, made, gauge = board.panels
    assert (row.type, row.title) == ("row", "R")
    assert (made.type, made.unit, made.is_stacked, made.min) == ("chart", "seconds", True, 0)
    assert made.position == GridPosition(0, 1, 12, 8)
    assert made.thresholds == Thresholds(steps=(Step("ok"), Step("bad", 3)))
    assert (gauge.type, gauge.unit, gauge.calculation, gauge.max) == ("gauge", "percent100", "mean", 100)
    assert gauge.position == GridPosition(12, 1, 6, 8)
    assert gauge.thresholds.steps == (Step("ok"), Step("warn", 70), Step("bad", 90))
    assert len({panel.id for panel in board.panels}) == 3
    assert lost == ["panel 4 'S': postfix"]


def test_variables_and_annotations_are_read() -> None:
    query = {"query": "label_values(up, job)", "refId": "X"}
    variables = [
        {"name": "datasource", "type": "datasource", "query": "prometheus"},
        {
            "name": "job",
            "type": "query",
            "query": query,
            "multi": True,
            "includeAll": True,
            "current": {"value": ["a"]},
        },
        {"name": "every", "type": "interval", "query": "1m,5m", "current": {"value": "5m"}},
    ]
    annotation = {"name": "deploys", "expr": "x", "titleFormat": "{{v}}", "iconColor": "red", "enable": False}
    board, lost = imported(templating={"list": variables}, annotations={"list": [{"builtIn": 1}, annotation]})
    job, every = board.variables
    assert (job.query, job.default, job.is_multi, job.has_all) == ("label_values(up, job)", "a", True, True)
    assert (every.type, every.default) == ("interval", "5m")
    assert (board.annotations[0].tone, board.annotations[0].is_on) == ("bad", False)
    assert lost == []


@pytest.mark.parametrize(
    ("time", "range", "is_lost"),
    [({"from": "now-24h", "to": "now"}, "24h", False), ({"from": "now-2h"}, "6h", True), ({"from": "2026"}, "", True)],
)
def test_time_becomes_a_named_range(time: dict[str, str], range: str, is_lost: bool) -> None:
    board, lost = imported(time=time)
    assert (board.range, bool(lost)) == (range, is_lost)


@pytest.mark.parametrize("document", [{}, {"panels": 3}, {"spec": {"elements": {}}}, {"dashboard": {"title": "x"}}])
def test_what_is_no_classic_dashboard_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(TextError, match="export"):
        from_grafana(document)


def test_strange_values_are_survived() -> None:
    strange = {
        "type": 5, "title": None, "gridPos": {"x": -3, "w": 99, "h": 0, "y": "a"}, "targets": "x", "fieldConfig": [],
        "options": None, "links": [None], "id": True,
    }  # fmt: skip
    board, _ = imported(strange, {}, templating=[], annotations=3, tags=None, time="x", refresh=False, links={})
    assert board.panels[0].position == GridPosition(0, 0, 24, 1)


@pytest.mark.parametrize(
    ("colour", "tone"),
    [("super-light-green", "ok"), ("rgba(237, 129, 40, 0.89)", "warn"), ("#d44a3a", "bad"), ("#299c46", "ok")],
)
def test_colours_have_tones(colour: str, tone: str) -> None:
    assert tone_of_colour(colour) == (tone, True)


def test_blue_says_neither_well_nor_harm() -> None:
    assert tone_of_colour("#1F60C4") == ("ok", False)


def test_provisioning_files_are_reported() -> None:
    sources = """
apiVersion: 1
datasources:
  - {name: Prometheus, type: prometheus, url: "http://prometheus:9090", isDefault: true, jsonData: {timeInterval: 15s}}
  - {name: SQL, type: postgres, url: db, secureJsonData: {password: x}}
deleteDatasources: []
"""
    report = read_provisioning(sources)
    assert ["Prometheus" in one for one in report.understood] == [True]
    assert any("postgres" in one for one in report.unsupported)
    assert any("credentials" in one for one in report.unsupported)
    assert "deleteDatasources: it has no meaning here" in report.unsupported

    boards = "providers:\n  - {name: default, type: file, folder: Ops, options: {path: /var/lib/grafana/dashboards}}"
    report = read_provisioning(boards)
    assert report.folders == ["/var/lib/grafana/dashboards"]
    assert any("'Ops'" in one for one in report.unsupported)
    with pytest.raises(TextError, match="neither 'datasources' nor 'providers'"):
        read_provisioning("a: 1")
