"""A board in a real browser: charts drawn, nothing on the console, variables, refresh, the editor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from metered import open_metered
from playwright.sync_api import Browser, expect
from served import Served
from test_browser_pages import TOO_WIDE, opened

pytestmark = pytest.mark.xdist_group("browser")

BOARD = """
id: queues
title: Queues
variables:
  - {name: tenant, label: Whose, type: query, query: "label_values(queue_depth, tenant)", multi: true, all: true}
panels:
  - id: 1
    title: Depth
    type: chart
    at: [0, 0, 16, 8]
    queries: [{expr: 'queue_depth{tenant=~"$tenant"}', legend: "{{tenant}}"}]
    thresholds: {steps: [{tone: ok}, {from: 120, tone: bad}]}
  - {id: 2, title: Filled, type: gauge, at: [16, 0, 8, 8], queries: [{expr: max(queue_depth) / 200}], unit: percent}
"""


@pytest.fixture(scope="module")
def boards_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with open_metered(tmp_path_factory.mktemp("boards")) as running:
        answer = running.administrator.put("/api/v1/dashboards/queues", content=BOARD)
        assert answer.status_code == 200, answer.text
        yield running


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
@pytest.mark.parametrize(
    "path",
    ["/dashboards", "/dashboards/queues", "/dashboards/application", "/dashboards/queues/edit", "/dashboards-import"],
)
def test_page_is_quiet_and_fits(chromium: Browser, boards_site: Served, path: str, width: int, theme: str) -> None:
    with opened(chromium, boards_site, width, theme) as page:
        page.goto(path)
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate(TOO_WIDE) <= 0


def test_panels_stand_where_the_board_says(chromium: Browser, boards_site: Served) -> None:
    with opened(chromium, boards_site) as page:
        page.goto("/dashboards/queues")
        expect(page.locator(".uplot")).to_have_count(1)
        chart, gauge = (page.locator(f"#at-{id}").bounding_box() for id in (1, 2))
        assert chart
        assert gauge
        assert chart["y"] == gauge["y"]
        assert chart["width"] / gauge["width"] == pytest.approx(2, rel=0.05)
        plot = page.locator("#at-1 .uplot").bounding_box()
        assert plot
        assert plot["height"] > 150


def test_variable_is_chosen_and_stays_through_a_refresh(chromium: Browser, boards_site: Served) -> None:
    with opened(chromium, boards_site) as page:
        page.goto("/dashboards/queues?range=15m")
        page.get_by_text("Whose all").click()
        page.get_by_label("globex").check()
        page.get_by_role("button", name="Show", exact=True).last.click()
        page.wait_for_url("**var-tenant=globex**")
        expect(page.locator("#at-1 .key")).to_have_count(1)
        with page.expect_response(lambda answer: answer.request.headers.get("hx-request") == "true") as answered:
            pass
        assert "var-tenant=globex" in answered.value.url
        expect(page.locator("#at-1 .uplot")).to_have_count(1)


def test_key_opens_boards_and_title_the_explorer(chromium: Browser, boards_site: Served) -> None:
    with opened(chromium, boards_site) as page:
        page.goto("/explore?range=6h")
        page.locator("h1").click()
        page.keyboard.press("g")
        page.keyboard.press("d")
        page.wait_for_url("**/dashboards?range=6h")
        page.get_by_role("link", name="Queues").click()
        page.locator("#at-2 h2 a").click()
        page.wait_for_url("**/explore?**")
        expect(page.locator("#q1")).to_have_value("max(queue_depth) / 200")
