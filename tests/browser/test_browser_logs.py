"""The Logs page in a real browser: it fits, rows open in place, bars narrow the time, lines come by themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from logging_shop import TRACE, open_logging, send
from playwright.sync_api import Browser, expect
from served import Served
from test_browser_pages import TOO_WIDE, opened

from otlp import log_record, log_request

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with open_logging(tmp_path_factory.mktemp("logging")) as running:
        yield running


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_pages_are_quiet_and_fit(chromium: Browser, site: Served, width: int, theme: str) -> None:
    one = site.administrator.get("/api/v1/logs", params={"q": "<failed>"}).json()["lines"][0]["id"]
    with opened(chromium, site, width, theme) as page:
        for path in ("/logs", "/logs?view=errors", f"/logs/{one}", f"/traces/{TRACE}", "/dashboards/application"):
            page.goto(path)
            expect(page.locator("h1.headline")).to_be_visible()
            assert page.evaluate(TOO_WIDE) <= 0, path


def test_a_search_is_typed_and_a_row_opens_by_key(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto("/?range=1h")
        page.keyboard.press("g")
        page.keyboard.press("w")
        page.wait_for_url("**/logs?range=1h")
        page.fill("#log-q", "export -begins tenant:acme")
        page.keyboard.press("Enter")
        page.wait_for_url("**q=export*")
        expect(page.locator(".log-line")).to_have_count(1)
        page.locator("h1").click()
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        expect(page.locator(".log-more")).to_contain_text("TimeoutError")
        page.locator(".log-more dd:has-text('u_193')").hover()
        page.get_by_label("Lines with this enduser.id").click()
        page.wait_for_url("**q=enduser.id*")
        expect(page.locator(".log-line")).to_have_count(3)


def test_a_drag_over_the_bars_narrows_the_time(chromium: Browser, site: Served) -> None:
    with opened(chromium, site) as page:
        page.goto("/logs?range=15m")
        box = page.locator(".u-over").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 20, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + 200, box["y"] + 40, steps=5)
        page.mouse.up()
        page.wait_for_url("**start=*")
        assert "end=" in page.url
        expect(page.locator('[data-action="follow"]')).to_have_count(0)


def test_lines_come_by_themselves_and_wait_while_one_is_read(chromium: Browser, site: Served) -> None:
    def say(text: str) -> None:
        send(site, "logs", log_request([log_record(text, time_ns=time.time_ns())]))

    with opened(chromium, site) as page:
        page.goto("/logs?range=15m&q=news")
        page.keyboard.press("f")
        follow = page.locator('[data-action="follow"]')
        expect(follow).to_have_attribute("aria-pressed", "true")
        say("first news")
        expect(page.locator(".log-line .log-body").first).to_have_text("first news")
        page.locator(".log-line summary").first.click()
        say("second news")
        expect(follow).to_have_text("1 new")
        expect(page.locator(".log-line")).to_have_count(1)
        follow.click()
        expect(page.locator(".log-line .log-body").first).to_have_text("second news")
        expect(follow).to_have_text("Following")
        page.wait_for_timeout(4000)  # the page's own refresh comes every 3 s and must leave the list alone
        expect(page.locator(".log-line")).to_have_count(2)
        expect(follow).to_have_attribute("aria-pressed", "true")
        follow.click()
        expect(follow).to_have_text("Follow")
