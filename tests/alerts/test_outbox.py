"""Each receiver has a queue of its own, the worst first; one that hangs or breaks holds up no other."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from tocsin.alerts.outbox import Outbox
from tocsin.model.alert import Alert
from tocsin.model.clock import utc_now
from tocsin.model.notification import Notification, Outcome, Receipt
from waiting import PATIENCE_SECONDS, eventually

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def notification(receiver: str, severity: str) -> Notification:
    alert = Alert({"alertname": severity, "severity": severity}, starts_at=NOW)
    return Notification(f"{receiver}{severity}", receiver, "g", {}, (alert,), (), NOW)


def wait_for(told: list[str], count: int) -> None:
    eventually(lambda: told, f"{count} are told", pause_seconds=0.02, is_it=lambda told: len(told) >= count)


def test_receiver_that_hangs_holds_up_no_other_and_the_worst_goes_first() -> None:
    let_go, told = threading.Event(), list[str]()

    def deliver(one: Notification) -> Receipt:
        if one.receiver == "slow":
            let_go.wait(PATIENCE_SECONDS)
        told.append(one.key)
        return Receipt(Outcome.SENT, utc_now())

    outbox = Outbox(deliver, lambda one, receipt: None, utc_now)
    for receiver, severity in (("slow", "warning"), ("slow", "info"), ("slow", "page"), ("quick", "info")):
        outbox.put(notification(receiver, severity))
    wait_for(told, 1)
    assert told == ["quickinfo"]
    let_go.set()
    wait_for(told, 4)
    outbox.close()

    assert told[1:] == ["slowwarning", "slowpage", "slowinfo"]


def test_delivery_that_raises_is_a_failure_with_its_reason() -> None:
    ended: list[Receipt] = []

    def deliver(one: Notification) -> Receipt:
        raise ValueError("no such channel")

    outbox = Outbox(deliver, lambda one, receipt: ended.append(receipt), utc_now)
    outbox.put(notification("team", "page"))
    outbox.close()

    assert [(one.outcome, one.reason) for one in ended] == [(Outcome.FAILED, "ValueError: no such channel")]


def test_closed_outbox_leaves_the_rest_in_the_store() -> None:
    told: list[str] = []
    outbox = Outbox(lambda one: Receipt(Outcome.SENT, utc_now()), lambda one, _: told.append(one.key), utc_now)
    outbox.close()
    outbox.put(notification("team", "page"))

    assert told == []
    assert outbox.waiting == 0
