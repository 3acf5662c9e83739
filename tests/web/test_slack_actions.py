"""A button pressed in Slack: believed only with Slack's signature, acknowledged once."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from access_site import Site, open_site
from httpx2 import Response
from tests.notify.providers import Provider, Told, notification, provider

from tocsin.model.delivery import Acknowledgement, Declaration
from tocsin.notify.acknowledge import Acknowledgements
from tocsin.notify.channels import slack
from tocsin.notify.deliver import Deliverer
from tocsin.notify.receivers import Integration, Receiver, Receivers
from tocsin.notify.settings import NotifySettings
from tocsin.web.api import slack_actions

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
PATH = "/api/v1/notify/slack/actions"


@pytest.fixture
def there() -> Iterator[Provider]:
    with provider(Told(200, b"ok")) as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, there: Provider) -> Iterator[Site]:
    opened = open_site(tmp_path)
    hook = Integration("slack[0]", "slack", slack.Settings(api_url=there.url, signing_secret=SECRET))
    state = opened.app.state.tocsin
    receivers = Receivers({"default": Receiver("default", (hook,))})
    state.deliverer = Deliverer(opened.control.deliveries, receivers, NotifySettings())
    state.acknowledgements = Acknowledgements(state.deliverer)
    opened.app.include_router(slack_actions.router)
    yield opened
    state.deliverer.close()
    opened.control.close()


def press(site: Site, action: dict[str, Any], secret: str = SECRET, age_seconds: float = 0) -> Response:
    payload = {"type": "block_actions", "user": {"id": "U1", "name": "ada"}, "actions": [action]}
    body = urlencode({"payload": json.dumps(payload)}).encode()
    timestamp = str(int(time.time() - age_seconds))
    signed = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "x-slack-request-timestamp": timestamp,
        "x-slack-signature": f"v0={signed}",
        "content-type": "application/x-www-form-urlencoded",
    }
    return site.visitor().post(PATH, content=body, headers=headers)


def test_pressed_button_acknowledges_once(site: Site, there: Provider) -> None:
    heard: list[Acknowledgement] = []
    site.app.state.tocsin.acknowledgements.listeners.append(heard.append)
    site.app.state.tocsin.deliverer.deliver(notification())
    blocks = there.asked[0].json["attachments"][0]["blocks"]
    button = next(one for one in blocks[-1]["elements"] if one["action_id"] == "acknowledge")
    assert "url" not in button
    for _ in range(2):
        assert press(site, button).status_code == 200
    assert [(one.by, one.group_key) for one in heard] == [("ada", notification().group_key)]
    assert site.control.deliveries.newest()[0].acknowledged_by == "ada"
    assert len(site.control.audit.entries(action="notification.acknowledge")) == 1


def test_pressed_resolve_ends_what_was_told_after_a_question(site: Site, there: Provider) -> None:
    ended: list[tuple[str, str, str]] = []
    heard = site.app.state.tocsin.acknowledgements
    heard.on_resolve = lambda said: ended.append((said.key, said.by, said.channel))
    site.app.state.tocsin.deliverer.deliver(notification())
    buttons = there.asked[0].json["attachments"][0]["blocks"][-1]["elements"]
    button = next(one for one in buttons if one["action_id"] == "resolve")
    assert button["confirm"]["confirm"]["text"] == "Resolve"
    assert press(site, button).status_code == 200
    assert press(site, {"action_id": "resolve", "value": "nobody-knows"}).status_code == 200
    assert ended == [("n-1", "ada", "slack")]
    assert len(site.control.audit.entries(action="notification.resolve")) == 1


def test_pressed_declare_tells_who_by_the_id_they_have_there(site: Site, there: Provider) -> None:
    declared: list[Declaration] = []
    site.app.state.tocsin.acknowledgements.on_declare = declared.append
    site.app.state.tocsin.deliverer.deliver(notification())
    buttons = there.asked[0].json["attachments"][0]["blocks"][-1]["elements"]
    button = next(one for one in buttons if one["action_id"] == "declare")
    assert "url" not in button
    assert press(site, button).status_code == 200
    assert press(site, {"action_id": "declare", "value": "nobody-knows"}).status_code == 200
    assert declared == [Declaration("n-1", "slack", "ada", "U1")]
    assert len(site.control.audit.entries(action="notification.declare")) == 1


def test_unsigned_wrong_and_old_requests_are_refused(site: Site) -> None:
    action = {"action_id": "acknowledge", "value": "n-1"}
    assert press(site, action, secret="another").status_code == 401
    assert press(site, action, age_seconds=301).status_code == 401
    assert site.visitor().post(PATH, content=b"payload={}").status_code == 401


def test_other_buttons_and_unknown_keys_change_nothing(site: Site) -> None:
    assert press(site, {"action_id": "open_0"}).status_code == 200
    assert press(site, {"action_id": "acknowledge", "value": "nobody-knows"}).status_code == 200
    assert site.control.audit.entries(action="notification.acknowledge") == []
