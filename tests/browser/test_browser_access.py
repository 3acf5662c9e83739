"""Getting in and being turned away, in a real browser: set-up, sign-in, secrets shown once, error pages."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from served import served

pytestmark = pytest.mark.xdist_group("browser")

PASSWORD = "correct horse battery"
PICTURES = Path(os.environ["PAGE_PICTURES"]) if os.environ.get("PAGE_PICTURES") else None
"""Where to leave pictures for a person to look at."""
SCREENS = [(1440, "light"), (390, "dark")]
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass(frozen=True)
class Fresh:
    """A server on which nobody has a password yet, and the link that changes this."""

    url: str
    setup: str


@contextmanager
def unused(folder: Path) -> Iterator[Fresh]:
    """Such a server."""
    with served(folder, with_telemetry=False) as site:
        found = re.search(r"/setup/tcs_set_[\w-]+", (folder / "server.log").read_text())
        assert found
        yield Fresh(site.url, found[0])


@pytest.fixture(scope="module")
def settled(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fresh]:
    """The same, after ada used the link."""
    with unused(tmp_path_factory.mktemp("settled")) as server:
        with stranger(chromium, server) as page:
            page.goto(server.setup)
            set_up(page)
        yield server


@contextmanager
def stranger(chromium: Browser, fresh: Fresh, width: int = 1440, theme: str = "light") -> Iterator[Page]:
    """A page of somebody who has not signed in."""
    scheme = "dark" if theme == "dark" else "light"
    context = chromium.new_context(base_url=fresh.url, viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context.new_page()
    context.close()


def look(page: Page, name: str, width: int, theme: str) -> None:
    """The page fits; it is left as a picture when somebody wants to look."""
    assert page.evaluate(TOO_WIDE) == 0
    if PICTURES:
        page.screenshot(path=PICTURES / f"{name}-{width}-{theme}.png", full_page=True)


def set_up(page: Page) -> None:
    page.get_by_label("E-mail").fill("ada@acme.example")
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Set password and sign in").click()
    expect(page.locator("h1")).to_contain_text("Nothing has arrived yet")


def sign_in(page: Page, password: str = PASSWORD) -> None:
    page.get_by_label("E-mail").fill("ada@acme.example")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_first_administrator_sets_a_password_with_the_link_and_is_in(chromium: Browser, tmp_path: Path) -> None:
    with unused(tmp_path) as fresh, stranger(chromium, fresh) as page:
        page.goto(fresh.setup)
        expect(page.locator("h1")).to_have_text("Create the first administrator")
        look(page, "setup", 1440, "light")
        set_up(page)
        expect(page.locator(".who")).to_contain_text("ada@acme.example")


@pytest.mark.parametrize(("width", "theme"), SCREENS)
def test_used_link_says_that_it_does_not_work(chromium: Browser, settled: Fresh, width: int, theme: str) -> None:
    with stranger(chromium, settled, width, theme) as page:
        page.goto(settled.setup)
        expect(page.locator("h1")).to_have_text("This link does not work")
        look(page, "setup-used", width, theme)
        page.get_by_role("link", name="Sign in").click()
        page.wait_for_url("**/sign-in**")


@pytest.mark.parametrize(("width", "theme"), SCREENS)
def test_wrong_password_is_told_and_the_right_one_leads_where_one_was_going(
    chromium: Browser, settled: Fresh, width: int, theme: str
) -> None:
    with stranger(chromium, settled, width, theme) as page:
        page.goto("/settings/users")
        page.wait_for_url("**/sign-in?next=**")
        sign_in(page, "not the password")
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_label("E-mail")).to_have_value("ada@acme.example")
        look(page, "sign-in-refused", width, theme)
        sign_in(page)
        page.wait_for_url("**/settings/users**")


@pytest.mark.parametrize(("width", "theme"), SCREENS)
def test_secret_is_shown_once_and_copied(chromium: Browser, settled: Fresh, width: int, theme: str) -> None:
    with stranger(chromium, settled, width, theme) as page:
        page.goto("/settings/keys")
        sign_in(page)
        page.get_by_label("Name").fill(f"reports {width}")
        page.get_by_role("button", name="Make key").click()
        expect(page.locator(".once")).to_contain_text("tcs_key_")
        look(page, "secret-once", width, theme)
        page.locator(".once").get_by_role("button", name="Copy").click()
        expect(page.locator("#toast")).to_have_text("Copied")
        secret = page.evaluate("navigator.clipboard.readText()")
        page.get_by_role("link", name="Done").click()
        expect(page.locator("h1")).to_contain_text("work")
        assert secret.startswith("tcs_key_")
        assert secret not in page.content()


@pytest.mark.parametrize(("width", "theme"), SCREENS)
def test_missing_page_offers_ways_on(chromium: Browser, settled: Fresh, width: int, theme: str) -> None:
    with stranger(chromium, settled, width, theme) as page:
        page.goto("/")
        sign_in(page)
        page.goto("/nowhere")
        expect(page.locator("h1")).to_have_text("Nothing is here.")
        look(page, "missing", width, theme)
        page.goto("/services?range=9y")
        expect(page.locator("h1")).to_have_text("That address does not make sense.")
        expect(page.locator(".sub")).to_contain_text("pick one of these")
        page.locator(".doors").get_by_role("link", name="Overview").click()
        expect(page.locator("h1")).to_contain_text("Nothing has arrived yet")


def test_signing_out_ends_the_session(chromium: Browser, settled: Fresh) -> None:
    with stranger(chromium, settled) as page:
        page.goto("/")
        sign_in(page)
        page.get_by_role("button", name="Sign out").click()
        page.goto("/services")
        page.wait_for_url("**/sign-in**")
