"""REST and forms of the channels: who may, what is shown, and that no secret is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from access_site import Site, open_site, token_of
from fastapi.testclient import TestClient
from tests.notify.providers import Provider, Told, notification, provider

from tocsin.model.notification import Report
from tocsin.notify.channels import log, webhook
from tocsin.notify.deliver import Deliverer
from tocsin.notify.overview import channel_states
from tocsin.notify.path import PathWatch
from tocsin.notify.receivers import Integration, Receiver, Receivers
from tocsin.notify.settings import NotifySettings
from tocsin.notify.summary import Summaries
from tocsin.web import channels_headline
from tocsin.web.api import notify

API = "/api/v1/notify"


@pytest.fixture
def there() -> Iterator[Provider]:
    with provider(Told(200)) as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, there: Provider) -> Iterator[Site]:
    opened = open_site(tmp_path)
    hook = Integration("webhook[0]", "webhook", webhook.Settings(url=f"{there.url}/acme-secret", secret="acme-secret"))
    broken = Integration("wechat[0]", "wechat", problem="wechat_configs is not supported here")
    named = {
        "exports": Receiver("exports", (hook,)),
        "log": Receiver("log", (Integration("log[0]", "log", log.Settings()),)),
        "odd": Receiver("odd", (broken,)),
    }
    state = opened.app.state.tocsin
    state.deliverer = Deliverer(
        opened.control.deliveries, Receivers(named, ("wechat is a note",)), NotifySettings(first_wait_seconds=0.01)
    )
    state.path = PathWatch(state.deliverer)
    report = Report("Health summary, Sun 1 Mar: All is well.", "No requests.", "ok", (("Alerts", "none fired"),))
    state.summaries = Summaries(state.deliverer, lambda window: report)
    opened.app.include_router(notify.router)
    yield opened
    state.deliverer.close()
    opened.control.close()


def test_message_by_hand_gives_its_receipts(site: Site, there: Provider) -> None:
    answer = site.automation().post(f"{API}/test", json={"receiver": "exports", "message": "hello", "urgent": True})
    assert answer.status_code == 200
    told = answer.json()[0]
    assert (told["delivery"]["outcome"], told["delivery"]["title"]) == ("sent", "P0 Message: hello")
    assert [one["outcome"] for one in told["attempts"]] == ["sent"]
    assert there.asked[0].json["alerts"][0]["annotations"] == {"summary": "hello"}
    entry = site.control.audit.entries(action="message.send")[0]
    assert (entry.object, entry.detail["message"]) == ("exports", "hello")


def test_channels_and_deliveries_are_listed_without_secrets(site: Site) -> None:
    client = site.automation()
    client.post(f"{API}/test", json={"receiver": "exports"})
    channels = client.get(f"{API}/channels")
    states = {one["receiver"]: one["state"] for one in channels.json()["channels"]}
    assert states == {"exports": "ok", "log": "unused", "odd": "unusable"}
    assert channels.json()["notes"] == ["wechat is a note"]
    deliveries = client.get(f"{API}/deliveries", params={"channel": "webhook"})
    assert len(deliveries.json()["deliveries"]) == 1
    assert client.get(f"{API}/deliveries", params={"channel": "slack"}).json()["deliveries"] == []
    assert "acme-secret" not in channels.text + deliveries.text


def test_failed_delivery_is_replayed_from_the_page(site: Site, there: Provider) -> None:
    there.answers[:] = [Told(404), Told(200)]
    admin = site.signed_in("ada@acme.example")
    path = "/settings/channels/test"
    assert admin.post(path, data={"receiver": "exports"}).status_code == 403
    answer = admin.post(path, data={"receiver": "exports", **token_of(admin)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings/channels?receiver=exports#log")
    failed = site.control.deliveries.newest()[0]
    assert failed.outcome == "failed"
    admin.post(f"/settings/channels/deliveries/{failed.id}/replay", data=token_of(admin))
    there.wait(2)


def test_replay_of_what_did_not_fail_is_refused(site: Site) -> None:
    client = site.automation()
    client.post(f"{API}/test", json={"receiver": "log"})
    id = client.get(f"{API}/deliveries").json()["deliveries"][0]["id"]
    assert client.post(f"{API}/deliveries/{id}/replay").status_code == 404
    assert client.get(f"{API}/deliveries/999").status_code == 404
    answer = client.post(f"{API}/test", json={"receiver": "nobody"})
    assert (answer.status_code, "use exports, log, odd" in answer.text) == (404, True)


@pytest.mark.parametrize(
    ("who", "may_read", "may_send"),
    [("otto@acme.example", True, True), ("vera@acme.example", True, False), ("tom@acme.example", False, False)],
)
def test_who_may(site: Site, who: str, may_read: bool, may_send: bool) -> None:
    browser = site.signed_in(who)
    assert (browser.get(f"{API}/channels").status_code == 200) is may_read
    assert (browser.get(f"{API}/deliveries").status_code == 200) is may_read
    headers = {"X-CSRF-Token": token_of(browser)["csrf"]}
    sent = browser.post(f"{API}/test", json={"receiver": "log"}, headers=headers)
    assert (sent.status_code == 200) is may_send


def test_summary_is_previewed_and_sent_by_administrators(site: Site, there: Provider) -> None:
    client = site.automation()
    seen = client.get(f"{API}/summary").json()
    assert (seen["receiver"], seen["state"]) == ("", "ok")
    assert seen["facts"] == [{"heading": "Alerts", "words": "none fired"}]
    assert seen["text"] == "Health summary, Sun 1 Mar: All is well.\nNo requests.\n\nAlerts: none fired\n"
    assert there.asked == []
    (told,) = client.post(f"{API}/summary", json={"receiver": "exports"}).json()
    assert (told["delivery"]["outcome"], told["delivery"]["title"]) == ("sent", seen["title"])
    assert there.asked[0].json["alerts"][0]["labels"]["alertname"] == "HealthSummary"
    assert site.control.audit.entries(action="summary.send")[0].object == "exports"


def test_summary_without_a_receiver_names_those_there_are(site: Site) -> None:
    client = site.automation()
    answer = client.post(f"{API}/summary", json={})
    assert answer.status_code == 404
    assert "notify.summary_receiver is not set; name one of exports, log, odd" in answer.text
    assert "no receiver 'nobody'" in client.post(f"{API}/summary", json={"receiver": "nobody"}).text


@pytest.mark.parametrize("who", ["otto@acme.example", "vera@acme.example", "tom@acme.example"])
def test_summary_is_for_administrators_alone(site: Site, who: str) -> None:
    browser = site.signed_in(who)
    headers = {"X-CSRF-Token": token_of(browser)["csrf"]}
    assert browser.get(f"{API}/summary").status_code == 403
    assert browser.post(f"{API}/summary", json={"receiver": "log"}, headers=headers).status_code == 403


def test_summary_is_sent_from_the_page(site: Site, there: Provider) -> None:
    admin = site.signed_in("ada@acme.example")
    answer = admin.post("/settings/channels/summary", data={"receiver": "exports", **token_of(admin)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings/channels?receiver=exports#log")
    there.wait(1)


def test_path_is_checked_by_rest(site: Site) -> None:
    client: TestClient = site.automation()
    answer = client.post(f"{API}/path").json()
    assert answer["is_well"]
    assert answer["hops"][-1]["name"] == "receipt of log"
    assert client.get(f"{API}/path").json()["checks"][0]["id"] == answer["id"]


def test_headline_says_who_cannot_be_told(site: Site, there: Provider) -> None:
    deliverer, clock = site.app.state.tocsin.deliverer, site.clock
    said = channels_headline.channels(channel_states(deliverer, clock()))
    assert said.text == "Alerts can go out by webhook; wechat[0] of odd cannot be used."
    there.answers[:] = [Told(404)]
    deliverer.deliver(notification(receiver="exports"))
    said = channels_headline.channels(channel_states(deliverer, clock()))
    assert (said.state, said.text) == ("bad", "The last message to webhook of exports was not delivered.")
    assert channels_headline.channels([]).state == "warn"
