"""An incident declared of a group that Slack was told by a bot gets a channel there, as Slack's methods want it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from tests.notify.conftest import Deliver
from tests.notify.providers import Provider, Told, notification, provider

from tocsin.model.delivery import Room
from tocsin.notify.acknowledge import Acknowledgements
from tocsin.notify.channels import slack
from tocsin.notify.receivers import Integration

POSTED = Told(200, {"ok": True, "channel": "C0", "ts": "17.1"})
MADE = Told(200, {"ok": True, "channel": {"id": "C9", "name": "inc-made"}})
OK = Told(200, {"ok": True})


@pytest.fixture
def there() -> Iterator[Provider]:
    with provider(POSTED) as running:
        yield running


@pytest.fixture
def told(there: Provider, deliverer: Deliver) -> Acknowledgements:
    """A group that fires and was told by a bot and by a webhook, which cannot make a channel."""
    bot = slack.Settings(app_token="xoxb-1", channel="#oncall", app_url=f"{there.url}/api/chat.postMessage")
    hook = Integration("slack[0]", "slack", slack.Settings(api_url=f"{there.url}/hook"))
    sender = deliverer({"default": [hook, Integration("slack[1]", "slack", bot)]})
    there.answers[:] = [Told(200, b"ok"), POSTED]
    sender.deliver(notification())
    there.answers[:] = [POSTED]
    sender.deliver(notification(key="again"))
    del there.asked[:]
    return Acknowledgements(sender)


def test_channel_has_a_name_slack_takes_who_declared_it_and_the_message(
    told: Acknowledgements, there: Provider
) -> None:
    there.answers[:] = [MADE, OK]

    room = told.room_for(notification().group_key, "U1")

    assert room == Room("slack", "#inc-made", "https://slack.com/app_redirect?channel=C9")
    asked = {path: one.json for one in there.asked for path in [one.path] if path != "/api/chat.postMessage"}
    assert list(asked) == ["/api/conversations.create", "/api/conversations.invite", "/api/conversations.setTopic"]
    name = asked["/api/conversations.create"]["name"]
    assert re.fullmatch(r"inc-\d{8}-\d{4}-[a-z0-9-]+", name)
    assert len(name) <= 80
    assert asked["/api/conversations.invite"] == {"channel": "C9", "users": "U1"}
    assert len(asked["/api/conversations.setTopic"]["topic"]) <= 250
    posted = [one.json for one in there.asked if one.path == "/api/chat.postMessage"]
    assert (posted[0]["channel"], bool(posted[0]["attachments"])) == ("C9", True)
    assert posted[1] == {"channel": "C0", "thread_ts": "17.1", "text": "<@U1> declared an incident: <#C9>"}
    assert {one.headers["authorization"] for one in there.asked} == {"Bearer xoxb-1"}


def test_a_name_that_is_taken_gets_a_number_and_what_fails_after_is_said(
    told: Acknowledgements, there: Provider
) -> None:
    taken = Told(200, {"ok": False, "error": "name_taken"})
    there.answers[:] = [taken, MADE, Told(200, {"ok": False, "error": "missing_scope"}), OK]

    room = told.room_for(notification().group_key, "U1")

    assert there.asked[1].json["name"] == there.asked[0].json["name"] + "-2"
    assert room is not None
    assert (room.name, room.problem) == ("#inc-made", "conversations.invite: Slack answered missing_scope")


def test_without_the_right_to_make_channels_it_says_so(told: Acknowledgements, there: Provider) -> None:
    there.answers[:] = [Told(200, {"ok": False, "error": "missing_scope"})]

    room = told.room_for(notification().group_key)

    assert room == Room("slack", "", "", "no channel could be made: Slack answered missing_scope")
    assert told.room_for("another group") is None
