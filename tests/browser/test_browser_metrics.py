"""The explorer in a real browser: completion by keyboard, running, errors with their place."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from metered import open_metered
from playwright.sync_api import Browser, expect
from served import Served
from test_browser_pages import TOO_WIDE, opened, refreshed

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def metrics_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with open_metered(tmp_path_factory.mktemp("metrics")) as running:
        yield running


def test_query_is_completed_and_run_by_keyboard(chromium: Browser, metrics_site: Served) -> None:
    with opened(chromium, metrics_site) as page:
        page.goto("/explore")
        box = page.locator("#q1")
        expect(box).to_be_focused()
        page.keyboard.type("queue_de")
        expect(page.locator(".words [aria-selected=true]")).to_contain_text("queue_depth")
        page.keyboard.press("Tab")
        page.keyboard.type("{ten")
        expect(page.locator(".words [aria-selected=true]")).to_contain_text("tenant")
        page.keyboard.press("Enter")
        page.keyboard.type("glo")
        expect(page.locator(".words [aria-selected=true]")).to_contain_text("globex")
        page.keyboard.press("Enter")
        page.keyboard.type('"}')
        expect(box).to_have_value('queue_depth{tenant="globex"}')
        expect(page.locator(".words:visible")).to_have_count(0)
        page.keyboard.press("Enter")
        page.wait_for_url("**/explore?*q=queue_depth*")
        expect(page.locator(".uplot")).to_have_count(1)
        expect(page.locator("h1")).to_contain_text("1 series")


def test_functions_groupings_and_ranges_are_completed(chromium: Browser, metrics_site: Served) -> None:
    with opened(chromium, metrics_site) as page:
        page.goto("/explore")
        page.keyboard.type("histogram_quan")
        expect(page.locator(".words:visible")).to_have_count(1)
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowUp")
        expect(page.locator(".words [aria-selected=true]")).to_contain_text("histogram_quantile")
        page.keyboard.press("Tab")
        page.keyboard.type("0.9, sum by (l")
        expect(page.locator(".words [aria-selected=true]")).to_contain_text("le")
        page.keyboard.press("Escape")
        page.keyboard.type("e) (rate(http_request_duration_seconds_bucket[5")
        expect(page.locator(".words [aria-selected=true]")).to_contain_text("5m")
        page.keyboard.press("Tab")
        page.keyboard.type("])))")
        page.keyboard.press("Enter")
        expect(page.locator(".uplot")).to_have_count(1)


def test_error_leads_to_its_place_and_is_quiet(chromium: Browser, metrics_site: Served) -> None:
    with opened(chromium, metrics_site, 390, "dark") as page:
        page.goto("/explore?q=sum(queue_depth)%20%2B")
        expect(page.locator(".note.bad")).to_be_visible()
        page.locator(".note button").click()
        assert page.evaluate("document.activeElement.id === 'q1' && document.activeElement.selectionStart") == 18
        assert page.evaluate(TOO_WIDE) <= 0


def test_refresh_keeps_what_is_being_typed(chromium: Browser, metrics_site: Served) -> None:
    with opened(chromium, metrics_site) as page:
        page.goto("/explore?q=queue_depth&range=15m")
        page.locator("#q1").press("End")
        page.keyboard.type(" + 1")
        refreshed(page)
        expect(page.locator("#q1")).to_have_value("queue_depth + 1")
