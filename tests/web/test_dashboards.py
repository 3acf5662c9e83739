"""Boards over a running server: who sees which, what panels show, editing, and the REST routes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from served import Served

from tocsin.model.dashboard import GridPosition, Panel
from tocsin.web.board_layout import sections
from tocsin.web.panels import Shown

pytestmark = pytest.mark.xdist_group("metered")

API = "/api/v1/dashboards"
OWN = """
id: queues
title: Queues of acme and globex
variables:
  - {name: tenant, type: query, query: "label_values(queue_depth, tenant)", multi: true, all: true}
panels:
  - {id: 1, title: Depth, type: chart, at: [0, 0, 12, 8], queries: [{expr: 'queue_depth{tenant=~"$tenant"}', legend: "{{tenant}}"}]}
  - {id: 2, title: Now, type: stat, at: [12, 0, 6, 8], queries: [{expr: sum(queue_depth)}], thresholds: {steps: [{tone: ok}, {from: 1, tone: bad}]}}
  - {id: 3, title: Filled, type: gauge, at: [18, 0, 6, 8], queries: [{expr: max(queue_depth) / 200}], unit: percent}
  - {id: 4, title: By tenant, type: bars, at: [0, 8, 12, 6], queries: [{expr: queue_depth, legend: "{{tenant}}", instant: true}]}
  - {id: 5, title: Rows, type: table, at: [12, 8, 12, 6], queries: [{expr: queue_depth}]}
  - {id: 6, title: Buckets, type: heatmap, at: [0, 14, 12, 8], queries: [{expr: "sum by (le) (increase(http_request_duration_seconds_bucket[$__rate_interval]))"}]}
  - {id: 7, title: Words, type: text, at: [12, 14, 12, 4], text: "<b>plain</b>"}
  - {id: 8, title: Broken, type: chart, at: [12, 18, 12, 4], queries: [{expr: "sum("}]}
  - {id: 9, title: Missing, type: chart, at: [0, 22, 12, 4], queries: [{expr: nothing_of_it}], waits_for: a thing}
"""  # noqa: E501 - one panel a line


@pytest.fixture
def own(metered: Served) -> Iterator[str]:
    answer = metered.administrator.put(f"{API}/queues", content=OWN)
    assert answer.status_code == 200, answer.text
    yield "/dashboards/queues"
    metered.administrator.delete(f"{API}/queues")


def page(client: httpx2.Client, path: str, **parameters: Any) -> str:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.text


def panel_of(text: str, id: int) -> str:
    found = re.search(rf'id="at-{id}".*?(?=<div class="at |</main>)', text, re.DOTALL)
    assert found, id
    return found[0]


def test_board_shows_every_kind_of_panel(metered: Served, own: str) -> None:
    text = page(metered.administrator, own)
    assert '"label": "acme"' in panel_of(text, 1)
    assert "tone-bad" in panel_of(text, 2)
    assert "stroke-dasharray" in panel_of(text, 3)
    assert "globex" in panel_of(text, 4)
    assert "<th>tenant</th>" in panel_of(text, 5)
    assert "data-heatmap" in panel_of(text, 6)
    assert "&lt;b&gt;plain&lt;/b&gt;" in panel_of(text, 7)
    assert "Unclosed left parenthesis" in panel_of(text, 8)
    assert "This panel waits for a thing." in panel_of(text, 9)


def test_headline_says_what_is_beyond_and_what_is_missing(metered: Served, own: str) -> None:
    text = page(metered.administrator, own)
    headline = re.sub(r"<[^>]+>", "", re.search(r"<h1.*?</h1>", text, re.DOTALL)[0])  # type: ignore[index]
    assert re.search(r"Queues of acme and globex: Now \d+ beyond the threshold", headline)
    assert "Broken cannot be answered. Missing waits for a signal." in text


def test_variables_stand_in_the_address(metered: Served, own: str) -> None:
    text = page(metered.administrator, own, **{"var-tenant": "globex"})
    assert '"label": "acme"' not in panel_of(text, 1)
    assert re.search(r"tenant <b>globex</b>", text)


def test_tenant_viewer_sees_boards_for_everyone_with_own_figures(metered: Served, own: str) -> None:
    listed = page(metered.tom, "/dashboards")
    assert "Application" in listed
    assert "Queues" not in listed
    assert "Tocsin itself" not in listed
    assert metered.tom.get(own).status_code == 404
    assert metered.tom.get(f"{API}/queues").status_code == 404
    text = page(metered.tom, "/dashboards/application")
    assert "globex" not in text
    assert "Request Rate" in text


def test_board_opens_with_its_own_range_unless_told(metered: Served, own: str) -> None:
    client = metered.administrator
    client.put(f"{API}/queues", content=OWN + "range: 6h\n")
    assert client.get(own).headers["location"] == f"{own}?range=6h"
    assert client.get(own, params={"range": "1h"}).status_code == 200
    assert f"{own}?range=6h" in page(client, "/dashboards")


def test_tenant_switch_narrows_a_board(metered: Served, own: str) -> None:
    text = page(metered.administrator, own, tenant="globex", range="1h")
    assert "acme" not in panel_of(text, 4)


def test_fifteen_panels_are_there_and_say_what_they_wait_for(metered: Served) -> None:
    text = page(metered.administrator, "/dashboards/application")
    for title in (
        "Request Rate", "Request Duration (95th)", "Error Rate", "Active Requests", "Total Requests (hourly)",
        "Database Query Duration", "Database Connection Pool", "Cache Hit Rate", "Authentication Metrics",
        "Memory Usage", "CPU Usage", "Disk Usage", "Top Slow Endpoints Table", "Application Logs", "Active Alerts",
    ):  # fmt: skip
        assert title in text
    assert "This panel waits for database_query_duration_seconds" in text
    assert '"format": "per_second"' in panel_of(text, 1)
    assert panel_of(text, 3).count('"values"') >= 1


@pytest.mark.parametrize("id", ["runtime", "tocsin"])
def test_other_shipped_boards_open(metered: Served, id: str) -> None:
    assert "cannot be answered" not in page(metered.administrator, f"/dashboards/{id}")


def test_editor_checks_previews_and_saves(metered: Served, own: str) -> None:
    client = metered.administrator
    assert "title: Queues of acme and globex" in page(client, f"{own}/edit")
    wrong = client.post(f"{own}/edit", data={"text": "id: queues\ntitle: Q\npanels: 3", "version": 1, "action": "save"})
    assert "line 3, panels: expected a list, found &#39;3&#39;" in wrong.text
    renamed = OWN.replace("title: Queues of acme and globex", "title: Renamed")
    seen = client.post(f"{own}/edit", data={"text": renamed, "version": 1, "action": "check"})
    assert "It is not saved yet" in seen.text
    assert "Buckets" in seen.text
    assert "panel 8 &#39;Broken&#39;" in seen.text
    saved = client.post(f"{own}/edit", data={"text": renamed, "version": 1, "action": "save"})
    assert saved.status_code == 303
    assert client.get(f"{API}/queues").json()["title"] == "Renamed"
    late = client.post(f"{own}/edit", data={"text": renamed, "version": 1, "action": "save"})
    assert "changed it meanwhile" in late.text


def test_changed_board_goes_back_to_as_shipped(metered: Served) -> None:
    client = metered.administrator
    text = client.get(f"{API}/runtime", params={"format": "yaml"}).text
    assert client.put(f"{API}/runtime", content=text.replace("title: Runtime", "title: Ours")).status_code == 200
    assert "Ours" in page(client, "/dashboards")
    assert client.post("/dashboards/runtime/delete").status_code == 303
    assert client.get(f"{API}/runtime").json()["title"] == "Runtime"


def test_new_board_begins_in_the_editor(metered: Served) -> None:
    client = metered.administrator
    made = client.post("/dashboards-new", data={"id": "orders", "title": "Orders"})
    assert made.headers["location"].startswith("/dashboards/orders/edit")
    assert client.post("/dashboards-new", data={"id": "orders", "title": "Orders"}).status_code == 409
    assert client.post("/dashboards-new", data={"id": "Or ders", "title": "x"}).status_code == 422
    assert client.delete(f"{API}/orders").status_code == 204
    assert client.delete(f"{API}/orders").status_code == 404


def test_viewers_neither_edit_nor_import(metered: Served) -> None:
    for path in ("/dashboards/application/edit", "/dashboards-new", "/dashboards-import"):
        assert metered.tom.get(path).status_code == 403
    assert metered.tom.put(f"{API}/application", content="x").status_code == 403
    assert metered.tom.post(f"{API}/import/grafana", json={}).status_code == 403


def test_rest_lists_reads_checks_and_refuses(metered: Served, own: str) -> None:
    client = metered.administrator
    rows = {row["id"]: row for row in client.get(API).json()["dashboards"]}
    assert (rows["queues"]["version"], rows["application"]["version"]) == (1, 0)
    assert rows["application"]["panels"] == 15
    yaml = client.get(f"{API}/queues", params={"format": "yaml"})
    assert (yaml.headers["etag"], yaml.headers["content-type"]) == ('"1"', "application/yaml")
    assert client.put(f"{API}/queues", content=OWN, params={"over_version": 7}).status_code == 409
    refused = client.put(f"{API}/other", content=OWN)
    assert "the text is of 'queues'" in refused.json()["detail"]
    bad = client.post(f"{API}/check", content="id: 1 2")
    assert "'title' is missing" in " ".join(bad.json()["problems"])
    assert client.get(f"{API}/nothing").status_code == 404


def test_board_goes_to_grafana_and_comes_back(metered: Served) -> None:
    client = metered.administrator
    exported = client.get(f"{API}/application/grafana")
    assert "attachment" in exported.headers["content-disposition"]
    document = {**exported.json(), "uid": "from-grafana"}
    tried = client.post(f"{API}/import/grafana", json=document, params={"dry_run": True}).json()
    assert (tried["lost"], tried["saved"]) == ([], False)
    kept = client.post(f"{API}/import/grafana", json={"dashboard": document}).json()
    assert kept["saved"]
    ours = client.get(f"{API}/application").json()
    assert {**client.get(f"{API}/from-grafana").json(), "id": "application"} == ours
    assert client.post(f"{API}/import/grafana", json=document).status_code == 409
    client.delete(f"{API}/from-grafana")


def test_import_page_lists_what_is_not_kept_before_it_keeps(metered: Served) -> None:
    client = metered.administrator
    text = '{"title": "Old", "panels": [{"id": 1, "type": "geomap", "title": "M", "targets": []}]}'
    tried = client.post("/dashboards-import", data={"text": text})
    assert "geomap" in tried.text
    kept = client.post("/dashboards-import", data={"text": text, "action": "keep"})
    assert "is here." in kept.text
    assert client.delete(f"{API}/old").status_code == 204
    said = client.post("/dashboards-import", data={"text": "providers: [{name: a, options: {path: /x}}]"})
    assert "dashboards in /x" in said.text
    assert "neither" in client.post("/dashboards-import", data={"text": "hello: there"}).text


def test_panels_of_one_height_stand_in_one_band() -> None:
    def shown(id: int, x: int, y: int, w: int, h: int, kind: Any = "chart") -> Shown:
        return Shown(Panel(id, "", kind, GridPosition(x, y, w, h)), "")

    made = sections([shown(1, 0, 0, 12, 8), shown(2, 12, 0, 12, 4), shown(3, 12, 4, 12, 4), shown(4, 0, 8, 24, 2)])
    assert [[placed.classes for placed in band.placed] for band in made[0].bands] == [
        ["x1 w12 y1 h8", "x13 w12 y1 h4", "x13 w12 y5 h4"],
        ["x1 w24 y1 h2"],
    ]
    made = sections([shown(1, 0, 0, 24, 1, "row"), shown(2, 0, 1, 12, 4)])
    assert [(one.title, len(one.bands)) for one in made] == [("", 1)]
