"""Web push in a real browser: the button, the worker, what it shows, and an acknowledgement from a notification.

A push service of the browser's maker cannot be reached here, so the test is one: it gives the browser its endpoint and
hands what arrives there, decrypted, to the worker as Chromium itself would.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from served import Served, served
from tests.notify.browsers import FakeBrowser
from tests.notify.providers import Provider, Told, provider

from waiting import eventually

pytestmark = pytest.mark.xdist_group("browser")

PASSWORD = "correct horse battery"
PICTURES = Path(os.environ["PAGE_PICTURES"]) if os.environ.get("PAGE_PICTURES") else None
GIVEN = """
const given = GIVEN;
let is_subscribed = localStorage.getItem("push") === "1";
const subscription = () => ({
  endpoint: given.endpoint,
  toJSON: () => given,
  unsubscribe: async () => { localStorage.removeItem("push"); is_subscribed = false; return true; },
});
PushManager.prototype.subscribe = async (options) => {
  if (new Uint8Array(options.applicationServerKey).length !== 65) throw new Error("the key is none");
  localStorage.setItem("push", "1");
  is_subscribed = true;
  return subscription();
};
PushManager.prototype.getSubscription = async () => (is_subscribed ? subscription() : null);
"""


@dataclass
class Phone:
    """A signed-in operator's browser, and what its push service gets."""

    site: Served
    context: BrowserContext
    page: Page
    keys: FakeBrowser
    there: Provider


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("TOCSIN_NOTIFY_WEBPUSH_CONTACT", "mailto:oncall@acme.example")
        environ.setenv("TOCSIN_NOTIFY_WEBPUSH_ALLOW_PRIVATE", "true")
        folder = tmp_path_factory.mktemp("push")
        with served(folder, with_telemetry=False) as site:
            found = re.search(r"/setup/tcs_set_[\w-]+", (folder / "server.log").read_text())
            assert found
            yield site, found[0]


@pytest.fixture
def phone(chromium: Browser, running: tuple[Served, str]) -> Iterator[Phone]:
    site, setup = running
    with provider(Told(201)) as there:
        context = chromium.new_context(base_url=site.url, viewport={"width": 1440, "height": 900})
        context.grant_permissions(["notifications"])
        keys = FakeBrowser("/wp/1")
        address = keys.address(there.url)
        given = {"endpoint": address.endpoint, "keys": {"p256dh": address.public_key, "auth": address.auth_secret}}
        context.add_init_script(GIVEN.replace("GIVEN", json.dumps(given)))
        page = context.new_page()
        page.goto("/settings/browsers")
        if not sign_in(page):
            page.goto(setup)
            page.get_by_label("E-mail").fill("ada@acme.example")
            page.get_by_label("Name").fill("Ada")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Set password and sign in").click()
            expect(page.locator(".who")).to_be_visible()
        yield Phone(site, context, page, keys, there)
        page.goto("/settings/browsers")
        while (remove := page.get_by_role("button", name=re.compile("^Remove"))).count():
            remove.first.click()
        context.close()


def sign_in(page: Page) -> bool:
    """Whether ada has a password already, and is in now."""
    page.get_by_label("E-mail").fill("ada@acme.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".who, [role=alert]").first).to_be_visible()
    return page.locator(".who").is_visible()


def subscribe(phone: Phone) -> None:
    phone.page.goto("/settings/browsers")
    phone.page.get_by_role("button", name="Tell me in this browser").click()
    expect(phone.page.get_by_text("this one")).to_be_visible()


def fire(phone: Phone, name: str) -> str:
    """An alert as Prometheus would send it; its fingerprint."""
    alert = {"labels": {"alertname": name, "severity": "critical", "tenant": "acme"}, "annotations": {"summary": name}}
    assert phone.site.administrator.post("/alertmanager/api/v2/alerts", json=[alert]).status_code == 200
    return str(alert_named(phone, name)["fingerprint"])


def alert_named(phone: Phone, name: str) -> dict[str, Any]:
    listed = phone.site.administrator.get("/api/v1/alerts").json()["alerts"]
    return next(one for one in listed if one["labels"]["alertname"] == name)


def arrived(phone: Phone, title: str) -> dict[str, Any]:
    """What was pushed with this in its title, as the browser reads it."""

    def found() -> list[Any]:
        return [told for told in phone.keys.told(list(phone.there.asked)) if title in told["title"]]

    return dict(eventually(found, f"{title} is pushed")[0])


def push(phone: Phone, told: dict[str, Any]) -> None:
    """Gives it to the worker, as the browser does with what its push service brought."""
    session = phone.context.new_cdp_session(phone.page)
    found: list[str] = []
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: found.extend(one["registrationId"] for one in event["registrations"]),
    )
    session.send("ServiceWorker.enable")
    # Its event arrives only while Playwright runs.
    eventually(lambda: phone.page.wait_for_timeout(20) or found, "the worker is known", pause_seconds=0)
    message = {"origin": phone.site.url, "registrationId": found[0], "data": json.dumps(told)}
    session.send("ServiceWorker.deliverPushMessage", message)


def shown(phone: Phone, title: str) -> dict[str, Any]:
    """The notification of that title."""
    found = eventually(
        lambda: phone.page.evaluate(
            """async (title) => (await (await navigator.serviceWorker.ready).getNotifications())
                 .filter((one) => one.title.includes(title))
                 .map(({body, tag, requireInteraction, actions, data}) =>
                      ({body, tag, requireInteraction, actions: actions.map((one) => one.action), data}))[0]""",
            title,
        ),
        f"a notification of {title}",
    )
    return dict(found)


def test_button_subscribes_a_test_arrives_and_the_button_ends_it(phone: Phone) -> None:
    problems: list[str] = []
    phone.page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    subscribe(phone)
    workers = phone.page.evaluate("navigator.serviceWorker.ready.then((one) => [one.scope, one.active.scriptURL])")
    assert workers == [f"{phone.site.url}/", f"{phone.site.url}/push-worker.js"]
    phone.page.get_by_role("button", name=re.compile("Send a test to")).click()
    assert arrived(phone, "A test of this browser")["path"] == "alerts"
    expect(phone.page.locator("h1")).to_have_text("One browser tells you of alerts.")
    look(phone)
    phone.page.get_by_role("button", name="Stop telling this browser").click()
    expect(phone.page.locator("h1")).to_have_text("No browser tells you of alerts yet.")
    assert problems == []


def test_alert_appears_and_is_acknowledged_from_the_notification(phone: Phone) -> None:
    subscribe(phone)
    fingerprint = fire(phone, "DiskFull")
    told = arrived(phone, "DiskFull")
    push(phone, told)
    seen = shown(phone, "DiskFull")
    assert seen["body"].startswith("DiskFull\nHurt: acme")
    assert seen["requireInteraction"] is True
    assert seen["actions"] == ["open", "acknowledge"]
    assert seen["data"] == {"path": f"alerts/{fingerprint}", "fingerprints": [fingerprint]}
    [worker] = phone.context.service_workers
    worker.evaluate(
        """async () => {
             const [notification] = await self.registration.getNotifications();
             self.dispatchEvent(new NotificationEvent("notificationclick", {notification, action: "acknowledge"}));
           }"""
    )
    who = eventually(
        lambda: alert_named(phone, "DiskFull")["handling"].get("acknowledged_by"), "somebody acknowledges it"
    )
    assert who == "ada@acme.example"


def test_message_that_is_none_shows_something_and_opens_nothing_foreign(phone: Phone) -> None:
    subscribe(phone)
    push(phone, {"title": "Odd", "path": "https://evil.example/x"})
    assert shown(phone, "Odd")["actions"] == ["open"]
    [worker] = phone.context.service_workers
    assert worker.evaluate("pageOf('https://evil.example/x')") == f"{phone.site.url}/"
    assert worker.evaluate("pageOf('//evil.example/x')") == f"{phone.site.url}/"
    assert worker.evaluate("pageOf('alerts/1')") == f"{phone.site.url}/alerts/1"


def look(phone: Phone) -> None:
    """The page fits on a desktop and on a phone; left as pictures when somebody wants to look."""
    for width, theme in ((1440, "light"), (390, "dark")):
        phone.page.set_viewport_size({"width": width, "height": 900})
        phone.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        if PICTURES:
            phone.page.screenshot(path=PICTURES / f"browsers-{width}-{theme}.png", full_page=True)
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert phone.page.evaluate(wide) == 0
