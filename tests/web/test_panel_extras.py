"""What stands in and below charts of boards beside their lines, over a running server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from served import Served
from shop import SLOW
from test_dashboards import page, panel_of

from tocsin.model.alert import Alert
from tocsin.query.red import TenantsOf
from tocsin.web.alert_reach import Reach, reach_of

pytestmark = pytest.mark.xdist_group("metered")

API = "/api/v1/dashboards"
BOARD = """
id: extras
title: Extras
variables:
  - {name: job, type: query, query: "label_values(http_requests_total, job)", multi: true, all: true, all_value: ".*"}
panels:
  - id: 1
    title: Rates
    type: chart
    at: [0, 0, 12, 8]
    queries:
      - {expr: 'sum(rate(http_requests_total[$__rate_interval]))'}
      - {expr: 'max(fleet_up) * 2.5', ref: B, limit: true}
    forecast: true
    beside: 1d
    link: "/traces?status=error"
    marks: [{name: Begun, expr: 'sum(fleet_up) > 0', title: fleet came}]
    facts:
      - {expr: 'sum by (tenant) (rate(http_requests_total[5m]))', text: "{{tenant}} makes {value}", unit: per_second}
      - {expr: 'sum(fleet_up) * 90000', text: "ends in {value}", unit: seconds, under: 86400, otherwise: no end in sight}
      - {expr: 'sum(fleet_up) * 600', text: "ends in {value}", unit: seconds, under: 86400, tone: bad}
      - {expr: nothing_of_it, text: "{value}", until: told after an hour}
  - {id: 2, title: Waits, type: chart, at: [12, 0, 12, 8], unit: seconds, exemplars: true, queries: [{expr: 'histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{job=~"$job"}[5m])))'}], below: statements}
  - {id: 3, title: Wrong, type: chart, at: [0, 8, 12, 8], queries: [{expr: fleet_up}], facts: [{expr: "sum(", text: x}]}
  - {id: 4, title: Endpoints, type: table, at: [12, 8, 12, 8], source: endpoints}
"""  # noqa: E501 - one panel a line


@pytest.fixture
def board(metered: Served) -> Iterator[str]:
    yield from _board(metered)


@pytest.fixture
def shop_board(shop: Served) -> Iterator[str]:
    yield from _board(shop)


def _board(site: Served) -> Iterator[str]:
    answer = site.administrator.put(f"{API}/extras", content=BOARD)
    assert answer.status_code == 200, answer.text
    yield "/dashboards/extras"
    site.administrator.delete(f"{API}/extras")


def data_of(client: httpx2.Client, path: str, id: int, **asked: Any) -> dict[str, Any]:
    found = re.search(r'<script type="application/json">(.*?)</script>', panel_of(page(client, path, **asked), id))
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_forecast_goes_on_beyond_now_with_a_band(metered: Served, board: str) -> None:
    data = data_of(metered.administrator, board, 1, range="1h")
    forecast = next(line for line in data["lines"] if line["label"] == "forecast")
    assert data["end"] == data["times"][-1]
    assert forecast["values"][-1] == pytest.approx(3.0, rel=0.15)
    assert data["band"]["low"][-1] <= forecast["values"][-1] <= data["band"]["high"][-1]
    assert data["band"]["words"] == "forecast"
    assert data["lines"][0]["values"][-1] is None
    assert data["times"][-1] - data["times"][0] > 4000  # an hour, and a quarter of it beyond


def test_the_past_has_no_forecast(metered: Served, board: str) -> None:
    now = data_of(metered.administrator, board, 1, range="1h")["times"][0]
    data = data_of(metered.administrator, board, 1, start=now, end=now + 1800)
    assert [line["label"] for line in data["lines"] if line["label"] == "forecast"] == []


def test_limit_is_drawn_and_no_line(metered: Served, board: str) -> None:
    data = data_of(metered.administrator, board, 1, range="1h")
    assert data["limits"] == [[2.5, "bad"]]
    assert all("2.5" not in line["label"] for line in data["lines"])


def test_sentences_stand_below(metered: Served, board: str) -> None:
    text = re.sub(r"\s+", " ", panel_of(page(metered.administrator, board, range="1h"), 1))
    assert "acme makes 2/s" in text
    assert "no end in sight" in text
    assert re.search(r'tone-bad">ends in 10.min', text)
    assert "told after an hour" in text
    assert "Unclosed left parenthesis" in panel_of(page(metered.administrator, board), 3)


def test_marks_are_on_their_own_chart_alone(metered: Served, board: str) -> None:
    assert "fleet came" in [one["label"] for one in data_of(metered.administrator, board, 1)["markers"]]
    assert "fleet came" not in [one["label"] for one in data_of(metered.administrator, board, 2)["markers"]]


def test_click_keeps_what_the_link_asks(metered: Served, board: str) -> None:
    assert "status=error" in data_of(metered.administrator, board, 1)["href"]


def test_sentence_of_a_board_is_about_now(metered: Served, board: str) -> None:
    text = re.sub(r"<[^>]+>", "", page(metered.administrator, board, range="1h"))
    assert "forecast 3" not in text.split("Rates")[0]


def test_tenant_viewer_is_told_of_own_tenants_alone(metered: Served, board: str) -> None:
    metered.administrator.put(f"{API}/extras", content=BOARD + "audience: everyone\n")
    text = page(metered.tom, board, range="1h")
    assert "acme makes 2/s" in text
    assert "globex" not in text


def test_slowest_requests_are_marked_with_their_traces(shop: Served, shop_board: str) -> None:
    found = data_of(shop.administrator, shop_board, 2, range="1h")["examples"]
    assert any(f"/traces/{SLOW}" in href and value == pytest.approx(0.9, rel=0.01) for _, value, href, _ in found)
    query = "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))"
    assert f"/traces/{SLOW}" in page(shop.administrator, "/explore", q=query, range="1h")


def test_statements_and_endpoints_follow_the_chosen_service(shop: Served, shop_board: str) -> None:
    text = page(shop.administrator, shop_board, range="1h")
    assert "/database/" in panel_of(text, 2)
    assert "orders" in panel_of(text, 4)
    narrowed = page(shop.administrator, shop_board, range="1h", **{"var-job": "front"})
    assert "/services/orders" not in panel_of(narrowed, 4)
    assert 'class="rows single below"' not in panel_of(narrowed, 2)


def test_blast_radius_is_what_labels_and_requests_tell() -> None:
    asked = [
        TenantsOf("shop", "GET", "/orders", ["acme", "globex", "initech"], ["acme"]),
        TenantsOf("shop", "GET", "/cart", ["globex"], ["globex"]),
        TenantsOf("mail", "POST", "/send", ["acme"], []),
    ]

    def reach(*together: str, **labels: str) -> Reach:
        return reach_of(Alert({"alertname": "A", **labels}, starts_at=datetime.now(UTC)), together, asked)

    assert reach(tenant="acme", job="shop") == Reach(("acme",))
    assert reach("a", "b", "c", "d", "e", "f") == Reach(("a", "b", "c", "d", "e"), 1)
    assert reach(job="shop") == Reach(["acme", "globex"], 0, 3)
    assert reach(job="shop", route="/orders") == Reach(["acme"], 0, 3)
    assert reach(job="mail") == Reach([], 0, 1)
    assert reach(job="cron") == Reach([])
