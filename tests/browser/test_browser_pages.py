"""The pages in a real browser: nothing on the console, nothing wider than the screen, and the script's own work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from served import ADMIN_TOKEN, EXPORT, FAILING_TRACE, Served

from waiting import eventually

pytestmark = pytest.mark.xdist_group("browser")

ENDPOINT = f"/services/reports/endpoint?method=POST&route={quote(EXPORT)}"
PAGES = [
    "/",
    "/services",
    "/map",
    "/services/reports",
    ENDPOINT,
    "/traces",
    f"/traces/{FAILING_TRACE}",
    "/explore",
    "/dashboards/application",
    "/tenants",
    "/tenants/acme",
    "/settings/keys",
    "/settings/users",
    "/settings/tokens",
    "/settings/audit",
    "/search?q=nothing-like-this",
]
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# The axis begins an hour ago, give or take a minute, in the browser's own zone.
LOCAL_HOUR = """() => {
    const [hour, minute] = document.querySelector(".axis span").textContent.slice(-5).split(":");
    const began = new Date(Date.now() - 3600e3);
    return Math.abs(hour * 60 + Number(minute) - began.getHours() * 60 - began.getMinutes()) <= 2;
}"""


@contextmanager
def opened(chromium: Browser, site: Served, width: int = 1440, theme: str = "light") -> Iterator[Page]:
    """A page of an administrator whose console stays empty."""
    context = chromium.new_context(
        base_url=site.url,
        viewport={"width": width, "height": 900},
        color_scheme="dark" if theme == "dark" else "light",
        timezone_id="Europe/Berlin",
        extra_http_headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
    )
    # Otherwise the first page a browser ever opens is drawn twice, the second time in its zone.
    context.add_cookies([{"name": "tocsin_zone", "value": "Europe/Berlin", "url": site.url}])
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()
    assert said == []


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
@pytest.mark.parametrize("path", PAGES)
def test_page_is_quiet_and_fits(chromium: Browser, site: Served, path: str, width: int, theme: str) -> None:
    with opened(chromium, site, width, theme) as page:
        page.goto(path)
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate(TOO_WIDE) <= 0


def refreshed(page: Page) -> None:
    """The page has refreshed itself, and what came is shown."""
    with page.expect_response(lambda answer: answer.request.headers.get("hx-request") == "true"):
        pass
    expect(page.locator("#page:not([aria-busy])")).to_be_attached()


def test_charts_are_drawn_and_share_their_cursor(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto("/")
        expect(page.locator(".uplot")).to_have_count(3)
        page.locator(".u-over").nth(0).hover(position={"x": 200, "y": 50})
        expect(page.locator(".tip:visible")).to_have_count(1)
        lines = page.locator(".u-cursor-x").evaluate_all("all => all.map(each => each.style.transform)")
        assert len(set(lines)) == 1


def test_refresh_keeps_focus_menu_and_charts(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto("/?range=15m")
        expect(page.locator(".uplot")).to_have_count(3)
        page.locator("#tenant-choices").evaluate("menu => (menu.closest('details').open = true)")
        page.locator("tbody [data-open]").first.focus()
        page.evaluate("window.kept = [document.activeElement, document.querySelector('.uplot')]")
        refreshed(page)
        assert page.evaluate("window.kept[0] === document.activeElement && window.kept[1].isConnected")
        assert page.locator("#tenant-choices").is_visible()


def test_page_whose_answers_take_long_is_asked_for_less_often(chromium: Browser, site: Served) -> None:
    asked: list[float] = []

    def late(route: Route) -> None:
        if route.request.headers.get("hx-request"):
            asked.append(time.monotonic())
            time.sleep(0.5)
        route.continue_()

    with opened(chromium, site) as page:
        page.route("**/?range=15m", late)
        page.goto("/?range=15m")
        eventually(lambda: page.wait_for_timeout(100) or len(asked) > 1, "the page refreshes twice")
    assert asked[1] - asked[0] > 4.5


def test_live_is_switched_off_and_stays_off(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto("/")
        page.keyboard.press("l")
        expect(page.locator("[data-live-word]")).to_have_text("Paused")
        page.goto("/services")
        expect(page.locator("[data-live-word]")).to_have_text("Paused")


def test_keys_walk_from_the_overview_to_an_endpoint_and_back(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto("/?range=6h")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**/services/reports/endpoint?range=6h**")
        page.go_back()
        page.wait_for_url("**/?range=6h")
        page.keyboard.press("g")
        page.keyboard.press("c")
        page.wait_for_url("**/tenants?range=6h")
        page.keyboard.press("?")
        expect(page.locator("#help")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#help")).to_be_hidden()


def test_search_box_jumps_to_a_tenant(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto("/")
        page.keyboard.press("/")
        page.keyboard.type("glob")
        expect(page.locator("#search-results [role=option]").first).to_contain_text("globex")
        page.keyboard.press("Enter")
        page.wait_for_url("**/tenants/globex**")


def test_time_range_is_chosen_by_keyboard_and_kept(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto("/")
        page.wait_for_url("**/?range=1h")
        page.keyboard.press("t")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_url("**/?range=6h")
        page.goto("/traces")
        page.wait_for_url("**/traces?range=6h")


def test_dragging_over_a_chart_zooms_in(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto("/")
        box = page.locator(".u-over").first.bounding_box()
        assert box
        page.mouse.move(box["x"] + 40, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + 140, box["y"] + 40, steps=4)
        page.mouse.up()
        page.wait_for_url("**/?start=**")
        expect(page.locator("[data-action=live]")).to_have_count(0)


def test_failing_trace_is_two_clicks_away(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto("/")
        page.locator("h1 a.harm").click()
        page.locator("section", has_text="Failing traces").locator("tbody a[data-open]").first.click()
        expect(page.locator("h1")).to_contain_text("failed after")
        expect(page.locator("#span")).to_contain_text("app.RateError")


def test_spans_are_walked_and_found_by_keyboard(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto(f"/traces/{FAILING_TRACE}")
        page.keyboard.press("j")
        expect(page.locator("#span h2")).to_have_text("SELECT rates")
        page.keyboard.press("ArrowLeft")
        expect(page.locator("#span h2")).to_have_text(f"POST {EXPORT}")
        page.keyboard.press("ArrowLeft")
        expect(page.locator("#waterfall .row[id]:visible")).to_have_count(1)
        page.locator("#find-span").fill("select")
        page.keyboard.press("Enter")
        expect(page.locator("#span h2")).to_have_text("SELECT rates")


def test_browser_tells_its_zone_and_gets_local_times(chromium: Browser, site: Served) -> None:
    context = chromium.new_context(
        base_url=site.url,
        timezone_id="Asia/Kolkata",
        extra_http_headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
    )
    page = context.new_page()
    page.goto("/tenants/acme")
    eventually(lambda: page.evaluate(LOCAL_HOUR), "the axis begins an hour ago")
    context.close()


def test_theme_is_switched_and_remembered(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto("/")
        page.locator("[data-action=theme]").click()
        page.goto("/services")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_phone_has_the_pages_below_and_the_rest_behind_more(chromium: Browser, site: Served) -> None:
    with opened(chromium, site, 390) as page:
        page.goto("/")
        expect(page.locator(".tabs a", has_text="Tenants")).to_be_visible()
        expect(page.locator("#nav")).to_be_hidden()
        page.locator(".tabs button").click()
        page.locator("#nav a", has_text="Users").click()
        page.wait_for_url("**/settings/users**")


def test_page_is_readable_without_script(chromium: Browser, site: Served) -> None:
    context = chromium.new_context(
        base_url=site.url,
        java_script_enabled=False,
        extra_http_headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
    )
    page = context.new_page()
    page.goto(f"/traces/{FAILING_TRACE}")
    expect(page.locator("#span")).to_contain_text("app.RateError")
    page.goto("/")
    expect(page.locator("h1")).to_contain_text(EXPORT)
    context.close()
