"""Who acknowledges at Pushover has acknowledged here, once, also after a restart."""

from __future__ import annotations

from tests.notify.conftest import Deliver
from tests.notify.providers import NOW, Told, alert, ended, notification, provider
from tests.notify.wired import WIRED, settings_of

from tocsin.model.delivery import Acknowledgement
from tocsin.notify.acknowledge import Acknowledgements
from tocsin.notify.receivers import Integration
from tocsin.storage.control import ControlStore


def test_acknowledgement_flows_back_once(deliverer: Deliver, control: ControlStore) -> None:
    heard: list[Acknowledgement] = []
    seen = {"status": 1, "acknowledged": 1, "acknowledged_at": NOW.timestamp(), "acknowledged_by_device": "phone"}
    with provider(WIRED["pushover"].good, Told(503), Told(200, seen)) as there:
        phone = Integration("pushover[0]", "pushover", settings_of("pushover", there.url))
        sender = deliverer({"default": [phone]})
        asking = Acknowledgements(sender)
        asking.listeners.append(heard.append)
        sender.deliver(notification())
        for _ in range(4):
            asking.ask()
        assert len(there.asked) == 3
    told = notification()
    assert heard == [Acknowledgement(told.key, told.group_key, "default", "pushover", "phone", NOW)]
    row = control.deliveries.newest()[0]
    assert (row.acknowledged_by, row.acknowledged_at) == ("phone", NOW)


def test_what_is_over_is_not_asked_about(deliverer: Deliver) -> None:
    with provider(WIRED["pushover"].good) as there:
        phone = Integration("pushover[0]", "pushover", settings_of("pushover", there.url))
        sender = deliverer({"default": [phone]})
        sender.deliver(notification(resolved=(ended(alert()),)))
        Acknowledgements(sender).ask()
        assert [asked.path for asked in there.asked] == ["/1/messages.json"]


def test_what_is_acknowledged_here_is_told_where_the_group_is_open(deliverer: Deliver) -> None:
    with provider(WIRED["pagerduty"].good) as there, provider(Told(202, {"requestId": "r"})) as other:
        pager = Integration("pagerduty[0]", "pagerduty", settings_of("pagerduty", there.url))
        closed = Integration("opsgenie[0]", "opsgenie", settings_of("opsgenie", other.url))
        sender = deliverer({"default": [pager], "other": [closed]})
        sender.deliver(notification())
        sender.deliver(notification(receiver="other"))
        sender.deliver(notification(receiver="other", resolved=(ended(alert()),), key="end"))
        group = notification().group_key
        assert Acknowledgements(sender).tell(group) == []
        assert [asked.json["event_action"] for asked in there.asked] == ["trigger", "acknowledge"]
        assert not any(asked.path.endswith("/acknowledge?identifierType=alias") for asked in other.asked)
        there.answers[:] = [Told(500)]
        assert Acknowledgements(sender).tell(group) == ["pagerduty of default: it answered 500: ok"]
