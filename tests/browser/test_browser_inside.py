"""The pages about the inside of the product in a real browser: they fit, are reached by keys, and obey the switches."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from inside import FAULT, PATHS, PLATFORM_PATHS, open_inside
from playwright.sync_api import Browser, expect
from served import Served
from test_browser_pages import TOO_WIDE, opened, refreshed

pytestmark = pytest.mark.xdist_group("browser")

KEYS = {
    "b": "/database", "n": "/dependencies", "j": "/jobs", "r": "/runtime", "e": "/errors", "i": "/isolation",
    "v": "/releases", "x": "/operations",
}  # fmt: skip


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with open_inside(tmp_path_factory.mktemp("inside")) as running:
        yield running


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_pages_are_quiet_and_fit(chromium: Browser, inside: Served, width: int, theme: str) -> None:
    with opened(chromium, inside, width, theme) as page:
        for path in (*PATHS, *PLATFORM_PATHS):
            page.goto(path)
            expect(page.locator("h1.headline")).to_be_visible()
            assert page.evaluate(TOO_WIDE) <= 0, path


def test_numbers_never_wrap(chromium: Browser, inside: Served) -> None:
    with opened(chromium, inside, 390) as page:
        for path in (*PATHS, *PLATFORM_PATHS):
            page.goto(path)
            high = page.locator("td.num").evaluate_all(
                "cells => cells.filter(cell => !cell.querySelector('div, p') && cell.offsetHeight > 0 &&"
                " getComputedStyle(cell).whiteSpace !== 'nowrap').map(cell => cell.textContent)"
            )
            assert high == [], path


def test_keys_open_every_page_and_the_help_names_each_key_once(chromium: Browser, inside: Served) -> None:
    with opened(chromium, inside) as page:
        page.goto("/?range=6h")
        keys = page.locator("nav.side [data-key]").evaluate_all("all => all.map(each => each.dataset.key)")
        assert len(keys) == len(set(keys))
        for key, path in KEYS.items():
            page.keyboard.press("g")
            page.keyboard.press(key)
            page.wait_for_url(f"**{path}?range=6h")
        page.keyboard.press("?")
        shown = page.locator("#help dt").all_inner_texts()
        assert len(shown) == len(set(shown))


def test_chosen_tenant_and_time_are_kept_and_obeyed(chromium: Browser, inside: Served) -> None:
    with opened(chromium, inside) as page:
        page.goto("/database?range=15m")
        expect(page.locator("main")).to_contain_text("globex_only")
        page.locator("details.menu summary", has_text="Tenant").click()
        page.locator("#tenant-choices").get_by_role("link", name="acme", exact=True).click()
        page.wait_for_url("**tenant=acme**")
        expect(page.locator("main")).not_to_contain_text("globex_only")
        for path in ("/dependencies", "/jobs", "/errors", "/operations", "/isolation"):
            page.goto(path)
            assert parse_qs(urlsplit(page.url).query) == {"range": ["15m"], "tenant": ["acme"]}
        page.goto("/jobs?start=1000&end=2000&tenant=")
        expect(page.locator("h1")).to_contain_text("No background job ran")


def test_refresh_keeps_the_open_plan_the_focus_and_the_charts(chromium: Browser, inside: Served) -> None:
    with opened(chromium, inside) as page:
        page.goto("/database?range=15m")
        expect(page.locator(".uplot").first).to_be_visible()
        page.locator("tbody [data-open]").first.focus()
        page.evaluate("window.kept = [document.activeElement, document.querySelector('.uplot')]")
        refreshed(page)
        assert page.evaluate("window.kept[0] === document.activeElement && window.kept[1].isConnected")


def test_refresh_keeps_what_is_written_about_an_error(chromium: Browser, inside: Served) -> None:
    with opened(chromium, inside) as page:
        page.goto(f"/errors/{FAULT}?range=15m")
        page.get_by_label("Note").fill("rates are imported again")
        refreshed(page)
        expect(page.get_by_label("Note")).to_have_value("rates are imported again")


def test_error_is_resolved_reopened_and_ignored_by_its_buttons(chromium: Browser, inside: Served) -> None:
    with opened(chromium, inside) as page:
        page.goto(f"/errors/{FAULT}?range=6h")
        page.get_by_label("Note").fill("rates are imported")
        page.get_by_role("button", name="Resolve").click()
        expect(page.locator("h1")).to_contain_text("is resolved")
        page.goto("/errors?tab=resolved&range=6h")
        expect(page.locator("tbody [data-open]").first).to_have_text("RateError")
        page.locator("tbody [data-open]").first.click()
        page.get_by_role("button", name="Reopen").click()
        expect(page.get_by_role("button", name="Resolve")).to_be_visible()
        page.get_by_role("button", name="Ignore").click()
        expect(page.locator("h1")).to_contain_text("is ignored")
        page.get_by_role("button", name="Reopen").click()
        expect(page.locator("h1")).not_to_contain_text("is ignored")
