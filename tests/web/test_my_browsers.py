"""My browsers: who subscribes, what is refused, and that the worker keeps within the content security policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from access_site import Site, open_site
from fastapi.testclient import TestClient
from tests.notify.browsers import FakeBrowser
from tests.notify.providers import Provider, Told, notification, provider

from tocsin.notify.channels import webpush
from tocsin.notify.deliver import Deliverer
from tocsin.notify.receivers import Integration, Receiver, Receivers
from tocsin.notify.settings import NotifySettings
from tocsin.web import push_actions
from tocsin.web.api import push
from tocsin.web.push import browser_of

API = "/api/v1/push"
PHONE = "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"


@pytest.fixture
def there() -> Iterator[Provider]:
    with provider(Told(201)) as running:
        yield running


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = open_site(tmp_path)
    state = opened.app.state.tocsin
    state.deliverer = Deliverer(opened.control.deliveries, Receivers({}), NotifySettings(first_wait_seconds=0.01))
    state.deliverer.push = opened.control.push
    configure(opened)
    opened.app.include_router(push.router)
    opened.app.include_router(push_actions.router)
    yield opened
    state.deliverer.close()
    opened.control.close()


def configure(site: Site, **more: Any) -> None:
    settings = webpush.Settings(**{"contact": "mailto:ada@acme.example", "allow_private": True, **more})
    problem = f"set {settings.lacks}" if settings.lacks else ""
    named = {"webpush": Receiver("webpush", (Integration("webpush[0]", "webpush", settings, problem=problem),))}
    site.app.state.tocsin.deliverer.receivers = Receivers(named)


def csrf(browser: TestClient) -> dict[str, str]:
    return {"X-CSRF-Token": browser.get(f"{API}/session").json()["csrf"], "user-agent": PHONE}


def asked(browser: FakeBrowser, url: str) -> dict[str, Any]:
    address = browser.address(url)
    keys = {"p256dh": address.public_key, "auth": address.auth_secret}
    return {"endpoint": address.endpoint, "expirationTime": None, "keys": keys}


def test_user_subscribes_is_told_and_stops(site: Site, there: Provider) -> None:
    browser, tom = FakeBrowser("/wp/1"), site.signed_in("tom@acme.example")
    made = tom.post(f"{API}/browsers", json=asked(browser, there.url), headers=csrf(tom))
    assert (made.status_code, made.json()["browser"]) == (201, "Firefox on Android")
    listed = tom.get(API)
    assert [one["id"] for one in listed.json()["browsers"]] == [made.json()["id"]]
    assert "/wp/1" not in listed.text + made.text
    receipt = site.app.state.tocsin.deliverer.deliver(notification(receiver="webpush"), 10)
    assert receipt.outcome == "sent"
    [told] = browser.told(there.asked)
    assert "acknowledge" not in told  # tom may only look
    assert tom.delete(f"{API}/browsers/{made.json()['id']}", headers=csrf(tom)).status_code == 204
    assert tom.get(API).json()["browsers"] == []


def test_another_site_cannot_subscribe_a_browser_in_a_users_name(site: Site, there: Provider) -> None:
    otto = site.signed_in("otto@acme.example")
    body = asked(FakeBrowser("/wp/1"), there.url)
    assert otto.post(f"{API}/browsers", json=body).status_code == 403
    assert otto.post(f"{API}/browsers", json=body, headers={"X-CSRF-Token": "0" * 64}).status_code == 403
    foreign = {**csrf(otto), "sec-fetch-site": "cross-site"}
    assert otto.post(f"{API}/browsers", json=body, headers=foreign).status_code == 403
    assert site.visitor().post(f"{API}/browsers", json=body).status_code == 401
    assert site.control.push.able() == []
    assert site.visitor().get(f"{API}/session").status_code == 401
    assert "access-control-allow-origin" not in otto.get(f"{API}/session").headers


def test_nobody_ends_or_tests_what_is_another_users(site: Site, there: Provider) -> None:
    otto, vera = site.signed_in("otto@acme.example"), site.signed_in("vera@acme.example")
    made = otto.post(f"{API}/browsers", json=asked(FakeBrowser("/wp/1"), there.url), headers=csrf(otto)).json()["id"]
    assert vera.delete(f"{API}/browsers/{made}", headers=csrf(vera)).status_code == 404
    for action in ("remove", "test"):
        form = {"csrf": csrf(vera)["X-CSRF-Token"]}
        assert vera.post(f"/settings/browsers/{made}/{action}", data=form).status_code == 404
    assert there.asked == []
    assert len(site.control.push.able()) == 1


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"endpoint": "https://10.0.0.1/x"}, "10.0.0.1 is not a public address"),
        ({"endpoint": "http://push.example/x"}, "it is not https"),
        ({"keys": {"p256dh": "AAAA", "auth": "c2l4dGVlbiBieXRlcyA6KQ"}}, "no point of P-256"),
        ({"keys": {"p256dh": "AAAA", "auth": "AAAA"}}, "auth secret has 3 bytes"),
        ({"keys": {"p256dh": "ü", "auth": "ü"}}, "cannot add this browser"),
    ],
)
def test_what_cannot_be_written_to_is_refused(site: Site, change: dict[str, Any], cause: str) -> None:
    configure(site, allow_private=False)
    otto = site.signed_in("otto@acme.example")
    body = {**asked(FakeBrowser("/wp/1"), "https://push.example"), **change}
    answer = otto.post(f"{API}/browsers", json=body, headers=csrf(otto))
    assert answer.status_code == 422
    assert cause in answer.json()["detail"]
    assert site.control.push.able() == []


def test_not_configured_and_programs_are_told_so(site: Site, there: Provider) -> None:
    token = site.automation().post(f"{API}/browsers", json=asked(FakeBrowser("/wp/1"), there.url))
    assert (token.status_code, "only users are" in token.json()["detail"]) == (422, True)
    configure(site, contact="")
    otto = site.signed_in("otto@acme.example")
    answer = otto.post(f"{API}/browsers", json=asked(FakeBrowser("/wp/1"), there.url), headers=csrf(otto))
    assert answer.status_code == 409
    assert "[notify_webpush]" in answer.json()["detail"]
    assert otto.get(API).json()["is_configured"] is False


@pytest.mark.parametrize(("status", "kept"), [(201, [0]), (500, [1]), (410, [])])
def test_test_goes_to_that_browser_and_shows_what_became_of_it(
    site: Site, there: Provider, status: int, kept: list[int]
) -> None:
    there.answers[:] = [Told(status)]
    browser, otto = FakeBrowser("/wp/1"), site.signed_in("otto@acme.example")
    made = otto.post(f"{API}/browsers", json=asked(browser, there.url), headers=csrf(otto)).json()["id"]
    form = {"csrf": csrf(otto)["X-CSRF-Token"]}
    answer = otto.post(f"/settings/browsers/{made}/test", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings/browsers")
    [told] = browser.told(there.asked)
    assert told["title"].endswith(push_actions.TEST)
    assert [one.failures for one in site.control.push.able()] == kept


def test_worker_is_served_at_the_root_and_never_old(site: Site) -> None:
    answer = site.visitor().get("/push-worker.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "no-cache"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "importScripts" not in answer.text


def test_home_screen_is_told_the_products_name_and_icon(site: Site) -> None:
    answer = site.visitor().get("/manifest.webmanifest")
    assert answer.headers["content-type"] == "application/manifest+json"
    told = answer.json()
    assert (told["name"], told["start_url"], told["display"]) == ("Tocsin", "/", "standalone")
    assert told["icons"][0]["src"].endswith("/icon.svg")


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (PHONE, "Firefox on Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on an iPhone"),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0.0.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("", "A browser"),
    ],
)  # fmt: skip
def test_browser_is_named_as_people_call_it(agent: str, words: str) -> None:
    assert browser_of(agent) == words
