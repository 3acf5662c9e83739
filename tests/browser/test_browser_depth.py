"""What is below the surface of the pages, in a real browser: points, queries, sharing, settings, sign-in."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect
from served import EXPORT, FAILING_TRACE, Served
from shop import SLOW, open_shop
from test_browser_pages import opened

pytestmark = pytest.mark.xdist_group("browser")

ENDPOINT = f"/services/reports/endpoint?method=POST&route={quote(EXPORT)}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with open_shop(tmp_path_factory.mktemp("shop")) as running:
        yield running


def test_point_of_the_response_time_opens_the_slowest_traces_of_its_step(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto(ENDPOINT)
        box = page.locator("[data-chart=duration] .u-over").bounding_box()
        assert box
        page.mouse.click(box["x"] + box["width"] - 12, box["y"] + 60)
        page.wait_for_url("**/traces?**order=slowest**start=**")
        expect(page.locator("h1")).not_to_contain_text("No trace")


def test_query_behind_a_card_opens_and_closes(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto("/services/reports")
        menu = page.locator(".chart .behind").first
        menu.locator("summary").click()
        expect(menu.locator(".pop")).to_contain_text("GET /api/v1/series?range=1h&service=reports")
        page.keyboard.press("Escape")
        expect(menu.locator(".pop")).to_be_hidden()


def test_arrow_of_the_map_opens_the_calls_behind_it(chromium: Browser, shop: Served) -> None:
    with opened(chromium, shop) as page:
        page.goto("/map")
        page.locator("a.call", has_text="33.3 %").locator("text").first.click()
        page.wait_for_url("**/traces?**service=orders**")
        expect(page.locator("h1")).to_contain_text("10 traces")


def test_slow_trace_is_compared_and_drawn_as_a_flame(chromium: Browser, shop: Served) -> None:
    with opened(chromium, shop) as page:
        page.goto(f"/traces/{SLOW}")
        page.get_by_role("link", name="flame").click()
        page.locator(".flame a", has_text="SELECT items").first.click()
        expect(page.locator("#span h2")).to_have_text("SELECT items")
        page.get_by_role("link", name="Compare with a normal one").click()
        expect(page.locator("h1")).to_contain_text("more in SELECT items")


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
@pytest.mark.parametrize("path", ["/map", f"/traces/{SLOW}/compare", f"/traces/{SLOW}?as=flame"])
def test_page_of_the_shop_fits_the_screen(chromium: Browser, shop: Served, path: str, width: int, theme: str) -> None:
    with opened(chromium, shop, width, theme) as page:
        page.goto(path)
        too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(too_wide) == 0


def test_failing_trace_has_something_to_compare_with(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto(f"/traces/{FAILING_TRACE}/compare")
        expect(page.locator("h1")).to_contain_text("failed")
