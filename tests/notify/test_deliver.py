"""Delivery: once, in order, tried again where that helps, told to the fallback where it does not."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.notify.conftest import Deliver
from tests.notify.providers import Told, alert, ended, notification, provider

from tocsin.model.notification import Outcome
from tocsin.model.notification_plain import notification_of, plain_notification
from tocsin.notify.channels import webhook
from tocsin.notify.contract import Pace
from tocsin.notify.pace import Bucket
from tocsin.notify.receivers import Integration
from tocsin.storage.control import ControlStore, NotFound
from waiting import eventually


def hook(url: str, id: str = "webhook[0]", **more: object) -> Integration:
    return Integration(id, "webhook", webhook.Settings(url=url), **more)  # type: ignore[arg-type]


def test_what_was_told_is_not_told_again(deliverer: Deliver) -> None:
    with provider() as there:
        first = deliverer({"default": [hook(there.url)]})
        assert first.deliver(notification()).outcome == Outcome.SENT
        assert first.deliver(notification()).outcome == Outcome.SENT
        first.close()
        after_restart = deliverer({"default": [hook(there.url)]})
        after_restart.start()
        assert after_restart.deliver(notification()).outcome == Outcome.SENT
        assert len(there.asked) == 1


def test_what_waited_when_the_server_stopped_is_told_after_the_start(deliverer: Deliver, control: ControlStore) -> None:
    with provider(Told(503)) as down:
        stopped = deliverer({"default": [hook(down.url)]})
        stopped.submit(notification())
        down.wait(1)
        stopped.close()
    with provider() as up:
        deliverer({"default": [hook(up.url)]}).start()
        up.wait(1)
        eventually(lambda: control.deliveries.newest()[0].outcome == Outcome.SENT, "it is sent", pause_seconds=0.02)
        assert up.asked[0].headers["webhook-id"] == "n-1"


def test_provider_that_fails_is_tried_again_until_it_takes_it(deliverer: Deliver, control: ControlStore) -> None:
    with provider(Told(503), Told(429, headers={"Retry-After": "0"}), Told(200)) as there:
        receipt = deliverer({"default": [hook(there.url)]}).deliver(notification())
    assert receipt.outcome == Outcome.SENT
    log = control.deliveries.attempts(control.deliveries.newest()[0].id)
    assert [attempt.outcome for attempt in log] == [Outcome.RETRYING, Outcome.RETRYING, Outcome.SENT]
    assert "503" in log[0].reason
    assert len({asked.headers["idempotency-key"] for asked in there.asked}) == 1


def test_retry_after_is_kept(deliverer: Deliver) -> None:
    with provider(Told(429, headers={"Retry-After": "0.4"}), Told(200)) as there:
        clock = threading.Event()
        sender = deliverer({"default": [hook(there.url)]})
        sender.submit(notification())
        there.wait(1)
        clock.wait(0.2)
        assert len(there.asked) == 1
        there.wait(2)


def test_wait_that_would_outlast_the_patience_is_a_failure_at_once(deliverer: Deliver) -> None:
    with provider(Told(429, headers={"Retry-After": "3000"})) as there:
        receipt = deliverer({"default": [hook(there.url)]}).deliver(notification())
    assert (receipt.outcome, len(there.asked)) == (Outcome.FAILED, 1)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410])
def test_refusal_for_good_is_not_tried_again(deliverer: Deliver, status: int) -> None:
    with provider(Told(status, b"no such hook")) as there:
        receipt = deliverer({"default": [hook(there.url)]}).deliver(notification())
    assert receipt.outcome == Outcome.FAILED
    assert f"{status}: no such hook" in receipt.reason
    assert len(there.asked) == 1


def test_failure_is_told_to_the_fallback(deliverer: Deliver) -> None:
    with provider(Told(404)) as gone, provider() as there:
        sender = deliverer({"default": [hook(gone.url)], "other": [hook(there.url)]}, fallback="other")
        sender.deliver(notification())
        asked = there.wait(1)[0].json
    assert asked["receiver"] == "other"


def test_fallback_that_fails_does_not_fall_back_to_itself(deliverer: Deliver, control: ControlStore) -> None:
    with provider(Told(404)) as gone:
        sender = deliverer({"default": [hook(gone.url)]}, fallback="default")
        sender.deliver(notification())
        assert len(control.deliveries.newest()) == 1


def test_receiver_that_hangs_holds_up_nobody_else(deliverer: Deliver) -> None:
    with provider(Told(hang_seconds=30)) as hanging, provider() as there:
        receivers = {"slow": [hook(hanging.url)], "default": [hook(there.url)]}
        sender = deliverer(receivers, urgent_give_up_seconds=2, timeout_seconds=0.5)
        for number in range(5):
            sender.submit(notification(key=f"slow-{number}", receiver="slow"))
        hanging.wait(1)
        for number in range(5):
            assert sender.deliver(notification(key=f"n-{number}")).outcome == Outcome.SENT
        assert sender.deliver(notification(key="slow-0", receiver="slow"), wait_seconds=10).outcome == Outcome.FAILED


def test_messages_to_one_receiver_stay_in_order(deliverer: Deliver) -> None:
    with provider(Told(503), Told(503), Told(200)) as there:
        sender = deliverer({"default": [hook(there.url)]})
        for number in range(4):
            sender.submit(notification(key=f"n-{number}"))
        eventually(lambda: sender.waiting() == 0, "nothing waits", pause_seconds=0.02)
    ids = [asked.headers["webhook-id"] for asked in there.asked]
    assert ids == ["n-0"] * 3 + ["n-1", "n-2", "n-3"]


def test_end_is_told_only_to_who_wants_it(deliverer: Deliver) -> None:
    with provider() as wants, provider() as does_not:
        sender = deliverer({"default": [hook(wants.url), hook(does_not.url, "webhook[1]", send_resolved=False)]})
        over = notification(resolved=(ended(alert()),), key="end")
        assert sender.deliver(over).outcome == Outcome.SENT
        mixed = notification(alert(), resolved=(ended(alert(tenant="globex")),), key="mixed")
        assert sender.deliver(mixed).outcome == Outcome.SENT
        assert [len(asked.json["alerts"]) for asked in wants.asked] == [1, 2]
        assert [asked.json["alerts"][0]["labels"]["tenant"] for asked in does_not.asked] == ["acme"]
        assert len(does_not.asked[0].json["alerts"]) == 1


def test_one_channel_of_a_receiver_fails_and_the_others_are_told(deliverer: Deliver) -> None:
    with provider() as there:
        broken = Integration("wechat[0]", "wechat", problem="wechat_configs is not supported here")
        sender = deliverer({"default": [broken, hook(there.url)]})
        receipt = sender.deliver(notification())
        assert receipt.outcome == Outcome.FAILED
        assert "wechat: wechat_configs is not supported" in receipt.reason
        assert len(there.wait(1)) == 1


def test_unknown_receiver_is_a_failure_in_the_log_and_falls_back(deliverer: Deliver, control: ControlStore) -> None:
    with provider() as there:
        sender = deliverer({"other": [hook(there.url)]}, fallback="other")
        receipt = sender.deliver(notification(receiver="nobody"))
        assert "there is no receiver 'nobody'" in receipt.reason
        there.wait(1)
    assert {row.receiver for row in control.deliveries.newest()} == {"nobody", "other"}


def test_failed_delivery_is_replayed_and_a_told_one_is_not(deliverer: Deliver, control: ControlStore) -> None:
    with provider(Told(404), Told(200)) as there:
        sender = deliverer({"default": [hook(there.url)]})
        sender.deliver(notification())
        id = control.deliveries.newest()[0].id
        sender.replay(id)
        eventually(lambda: control.deliveries.get(id).outcome == Outcome.SENT, "it is sent", pause_seconds=0.02)
        with pytest.raises(NotFound, match="it is sent"):
            sender.replay(id)
        assert len(there.asked) == 2


def test_message_told_by_another_call_meanwhile_is_not_told_again(deliverer: Deliver, control: ControlStore) -> None:
    with provider(Told(200, hang_seconds=0.2)) as there:
        one, two = deliverer({"default": [hook(there.url)]}), deliverer({"default": [hook(there.url)]})
        one.submit(notification())
        there.wait(1)
        stale = control.deliveries.newest()[0]
        eventually(lambda: one.waiting() == 0, "nothing waits", pause_seconds=0.02)
        two._queue(stale, notification(), hook(there.url))
        eventually(lambda: two.waiting() == 0, "nothing waits", pause_seconds=0.02)
        assert len(there.asked) == 1


def test_links_lead_to_the_configured_address_where_a_notification_has_none(deliverer: Deliver) -> None:
    with provider() as there:
        sender = deliverer({"default": [hook(there.url)]}, external_url="https://tocsin.acme.example")
        sender.deliver(replace(notification(), external_url=""))
        assert there.asked[0].json["externalURL"] == "https://tocsin.acme.example"


def test_listener_hears_of_every_end(deliverer: Deliver) -> None:
    heard = []
    with provider(Told(200), Told(404)) as there:
        sender = deliverer({"default": [hook(there.url)]}, told=lambda _, delivery: heard.append(delivery.outcome))
        sender.deliver(notification(key="a"))
        sender.deliver(notification(key="b"))
    assert heard == [Outcome.SENT, Outcome.FAILED]


def test_bucket_promises_tokens_in_order() -> None:
    now = [0.0]
    bucket = Bucket(Pace(2.0, burst=2), lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 2.0, 4.0]
    now[0] = 10.0
    assert [bucket.take() for _ in range(2)] == [0.0, 0.0]


def test_notification_kept_as_json_is_the_same_again() -> None:
    whole = notification(alert(), resolved=(ended(alert(tenant="globex")),), held_back=3, cause="the renderer is down")
    assert notification_of(plain_notification(whole)) == whole


def test_old_deliveries_are_pruned(deliverer: Deliver, control: ControlStore) -> None:
    with provider() as there:
        deliverer({"default": [hook(there.url)]}).deliver(notification())
    now = control.deliveries._database.clock()
    control.deliveries._database.clock = lambda: now + timedelta(days=91)
    control.prune()
    assert control.deliveries.newest() == []
