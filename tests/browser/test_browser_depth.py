"""What is below the surface of the pages, in a real browser: points, queries, sharing, settings, sign-in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Browser, expect
from served import EXPORT, FAILING_TRACE, Served
from shop import SLOW, open_shop
from test_browser_pages import opened

pytestmark = pytest.mark.xdist_group("browser")

SHOTS = Path(os.environ["PAGE_PICTURES"]) if os.environ.get("PAGE_PICTURES") else None
"""Where to leave pictures for a person to look at."""
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


def test_shared_link_is_frozen_to_the_shown_moment(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto("/services/reports?range=6h&tenant=acme")
        page.get_by_text("Share", exact=True).click()
        page.get_by_role("button", name="Copy link").click()
        expect(page.locator("#toast")).to_have_text("Copied")
        link = page.evaluate("navigator.clipboard.readText()")
        asked = parse_qs(urlsplit(link).query)
        assert int(asked["end"][0]) - int(asked["start"][0]) == 6 * 3600
        assert asked["tenant"] == ["acme"]
        assert "range" not in asked
        page.goto(link)
        expect(page.locator("[data-action=live]")).to_have_count(0)
        expect(page.locator("h1")).to_contain_text("fails")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_downloaded_page_needs_nothing_else(chromium: Browser, site: Served, tmp_path: Path, theme: str) -> None:
    with opened(chromium, site, 1280, theme) as page:
        page.goto(ENDPOINT)
        page.wait_for_selector(".u-over")
        page.get_by_text("Share", exact=True).click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        download.value.save_as(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "<script" not in text
    assert "/static/" not in text
    assert "hx-get" not in text
    alone = chromium.new_context(offline=True, java_script_enabled=False).new_page()
    asked: list[str] = []
    alone.on("request", lambda request: asked.append(request.url))
    alone.goto(f"file://{tmp_path / 'page.html'}")
    expect(alone.locator("h1")).to_contain_text(EXPORT)
    expect(alone.locator("main")).to_contain_text("Snapshot of")
    assert alone.locator("img[src^='data:image/png']").count() == 4
    assert [url for url in asked if url.startswith("http")] == []
    if SHOTS:
        alone.screenshot(path=SHOTS / f"snapshot-{theme}.png", full_page=True)
    alone.context.close()


def test_embedded_page_stays_live_without_the_shell(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto("/services?embed=1&range=15m")
        expect(page.locator("nav.side, header.top")).to_have_count(0)
        with page.expect_request(lambda request: "hx-request" in request.headers, timeout=15_000) as asked:
            pass
        assert "embed=1" in asked.value.url


def test_header_of_a_column_sorts_and_stays_sorted_when_the_page_refreshes(chromium: Browser, shop: Served) -> None:
    with opened(chromium, shop) as page:
        page.goto("/services?range=15m")
        page.get_by_role("columnheader", name="Service").get_by_role("link").click()
        page.wait_for_url("**sort=name.up**")
        page.get_by_role("columnheader", name="Service").get_by_role("link").click()
        page.wait_for_url("**sort=name**")
        with page.expect_request(lambda request: "hx-request" in request.headers, timeout=15_000):
            pass
        expect(page.locator("tbody tr").first).to_contain_text("orders")


def test_environment_is_switched_from_the_top(chromium: Browser, shop: Served) -> None:
    with opened(chromium, shop) as page:
        page.goto("/services")
        page.get_by_label("Environment").click()
        page.get_by_role("link", name="staging").click()
        page.wait_for_url("**env=staging**")
        expect(page.locator("tbody tr")).to_have_count(1)
