"""The REST call behind every card, and where the points of the charts lead."""

from __future__ import annotations

import html as markup
import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from served import Served
from shop import SLOW
from telemetry_rows import NOW_NS

from tocsin.model.window import Window
from tocsin.query.red import RedSeries
from tocsin.web.charts import red_charts

pytestmark = pytest.mark.xdist_group("shop")

ENDPOINT = "/services/front/endpoint?method=POST&route=/orders"
PAGES = [
    "/",
    "/map",
    "/services",
    "/services/front",
    ENDPOINT,
    "/errors",
    "/tenants",
    "/tenants/acme",
    f"/traces/{SLOW}",
]


def calls_behind(html: str) -> list[str]:
    return [markup.unescape(path) for path in re.findall(r'<p class="mono">GET ([^<]+)</p>', html)]


@pytest.mark.parametrize("path", [*PAGES, f"/traces/{SLOW}/compare"])
def test_every_card_names_a_call_that_answers(shop: Served, path: str) -> None:
    for choice in ("", "range=6h&env=production"):
        page = shop.administrator.get(path + ("&" if "?" in path else "?") + choice)
        assert page.status_code == 200, page.text
        calls = calls_behind(page.text)
        assert calls
        for call in dict.fromkeys(calls):
            answer = shop.administrator.get(call)
            assert answer.status_code == 200, (call, answer.text)


def test_call_behind_a_card_carries_what_the_reader_chose(shop: Served) -> None:
    html = shop.administrator.get("/services/front?range=6h&tenant=acme&env=production").text
    series = next(call for call in calls_behind(html) if "/series" in call)
    chosen = {"range": ["6h"], "tenant": ["acme"], "environment": ["production"], "service": ["front"]}
    assert parse_qs(urlsplit(series).query) == chosen
    assert f"{shop.url}/api/v1/series?range=6h" in markup.unescape(html)


def test_figures_of_another_tenant_are_not_there(shop: Served) -> None:
    for path in ("series", "heatmap", "statuses", "errors", "active", "endpoints"):
        mine = shop.tom.get(f"/api/v1/{path}?tenant=globex")
        assert mine.status_code == 200
        assert "front" not in mine.text
    assert sum(shop.tom.get("/api/v1/series?tenant=globex").json()["request_rate"]) == 0


def test_range_of_a_program_is_one_that_has_a_name(shop: Served) -> None:
    assert shop.administrator.get("/api/v1/series?range=6h").status_code == 200
    refused = shop.administrator.get("/api/v1/series?range=9y")
    assert refused.status_code == 400
    assert "15m" in refused.json()["detail"]
    assert shop.administrator.get("/api/v1/series?range=6h&start=1").status_code == 400


def test_points_lead_to_the_traces_of_their_kind(shop: Served) -> None:
    html = shop.administrator.get(ENDPOINT).text
    found = re.findall(r'data-chart="(\w+)"[^>]*><script type="application/json">(.*?)</script>', html)
    leads = {name: parse_qs(urlsplit(json.loads(data)["href"]).query) for name, data in found}
    assert leads["duration"] == {"service": ["front"], "operation": ["POST /orders"], "order": ["slowest"]}
    assert leads["errors"] == {"service": ["front"], "operation": ["POST /orders"], "status": ["error"]}


def test_chart_without_traces_leads_nowhere() -> None:
    series = RedSeries(10, [0], [1.0], [0.0], [0.0], [0.1], [0.1], [0.1])
    assert [chart.data()["href"] for chart in red_charts(series, Window.last(60, NOW_NS))] == ["", "", ""]
