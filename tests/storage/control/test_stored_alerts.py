"""Alerts, silences, maintenance and notifications in the control store, on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from control_people import TurnedClock

from tocsin.model.alert import Alert
from tocsin.model.alert_state import Change, Handling, KnownAlert, change_of
from tocsin.model.control import SYSTEM
from tocsin.model.notification import Notification, Outcome, Receipt
from tocsin.model.silence import LabelMatcher
from tocsin.model.tenant import Scope
from tocsin.model.told import Cooldown, GroupLog, Told
from tocsin.storage.control import ControlStore, InvalidInput, NotFound
from tocsin.storage.control.notifications import Writing


def alert(at: datetime, name: str = "Down", **labels: str) -> KnownAlert:
    made = Alert({"alertname": name, **labels}, {"summary": "é"}, starts_at=at, ends_at=at + timedelta(minutes=5))
    return KnownAlert(made, at, is_timeout=True)


def notification(clock: TurnedClock, key: str = "k1", **changes: object) -> Notification:
    told = (alert(clock(), tenant="acme").alert,)
    made = Notification(key, "team", "{}:{}", {"a": "b"}, told, (), clock(), cause="why")
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of the test's choice


def test_alert_comes_back_as_it_was_kept(store: ControlStore, clock: TurnedClock) -> None:
    known = replace(alert(clock(), tenant="acme"), handling=Handling(acknowledged_by="ada"), suppressed_by="silence:1")
    store.alerts.save([known], [change_of(known.alert, clock(), Change.FIRING)])

    assert store.alerts.open() == [known]
    assert store.alerts.find(known.fingerprint) == known
    assert store.alerts.found([known.fingerprint, "none"]) == {known.fingerprint: known}
    store.alerts.save([replace(known, is_open=False)])
    assert store.alerts.open() == []


def test_scope_sees_its_tenants_alerts_only(store: ControlStore, clock: TurnedClock) -> None:
    alerts = [alert(clock(), tenant=tenant) for tenant in ("acme", "globex")] + [alert(clock())]
    store.alerts.save(alerts, [change_of(each.alert, clock(), Change.FIRING) for each in alerts])
    acme = Scope.of("acme")

    assert [each.alert.tenant for each in store.alerts.listed(acme)] == ["acme"]
    assert [change.tenant for change in store.alerts.history(acme)] == ["acme"]
    assert store.alerts.history(Scope.of()) == []
    assert [marks.fired for marks in store.alerts.marks(acme, start=clock())] == [1]


def test_marks_tell_rules_of_one_name_apart(store: ControlStore, clock: TurnedClock) -> None:
    for file in ("one", "two"):
        known = alert(clock(), file=file)
        known = replace(known, alert=replace(known.alert, generator_url=f"/rules/{file}"))
        store.alerts.save([known], [change_of(known.alert, clock(), Change.FIRING)])
        if file == "one":
            store.alerts.handle(SYSTEM, known, Handling(false_positive_by="ada"), Change.FALSE_POSITIVE)

    marks = {one.source: (one.name, one.fired, one.false_positives) for one in store.alerts.marks(start=clock())}
    assert marks == {"/rules/one": ("Down", 1, 1), "/rules/two": ("Down", 1, 0)}


def test_handling_is_in_history_and_audit(store: ControlStore, clock: TurnedClock) -> None:
    known = alert(clock(), tenant="acme")
    store.alerts.save([known])
    store.alerts.handle(SYSTEM, known, Handling(acknowledged_by="tocsin"), Change.ACKNOWLEDGED, note="on it")

    (change,) = store.alerts.history()
    assert (change.change, change.actor, change.detail) == (Change.ACKNOWLEDGED, "tocsin", {"note": "on it"})
    (entry,) = store.audit.entries()
    assert (entry.action, entry.tenant) == ("alert.acknowledged", "acme")
    with pytest.raises(NotFound):
        store.alerts.handle(SYSTEM, alert(clock(), "Other"), Handling(), Change.ACKNOWLEDGED)


def test_silence_is_changed_in_place_or_replaced_as_alertmanager_does(store: ControlStore, clock: TurnedClock) -> None:
    matchers = [LabelMatcher("a", "b")]
    start, end = clock(), clock() + timedelta(hours=1)
    made = store.silences.set(SYSTEM, matchers=matchers, starts_at=start, ends_at=end, comment="one")
    clock.turn(10)
    longer = store.silences.set(
        SYSTEM, matchers=matchers, starts_at=made.starts_at, ends_at=end + timedelta(hours=1), comment="two", id=made.id
    )
    assert (longer.id, longer.comment) == (made.id, "two")

    other = store.silences.set(
        SYSTEM, matchers=[LabelMatcher("a", "c")], starts_at=made.starts_at, ends_at=end, comment="", id=made.id
    )
    assert other.id != made.id
    assert [silence.id for silence in store.silences.unexpired()] == [other.id]
    assert {silence.state(clock()) for silence in store.silences.all()} == {"active", "expired"}
    store.silences.expire(SYSTEM, other.id)
    assert store.silences.unexpired() == []
    with pytest.raises(NotFound):
        store.silences.expire(SYSTEM, "none")
    with pytest.raises(InvalidInput):
        store.silences.set(SYSTEM, matchers=matchers, starts_at=start, ends_at=start, comment="")


def test_maintenance_expires_by_itself(store: ControlStore, clock: TurnedClock) -> None:
    store.maintenances.begin(SYSTEM, ends_at=clock() + timedelta(hours=2), reason="upgrade")
    assert len(store.maintenances.running()) == 1
    clock.turn(7201)
    assert store.maintenances.running() == []
    assert store.maintenances.end(SYSTEM) == []
    with pytest.raises(InvalidInput):
        store.maintenances.begin(SYSTEM, ends_at=clock(), reason="")


def test_notification_of_a_key_is_written_once(store: ControlStore, clock: TurnedClock) -> None:
    told = Told(clock(), frozenset({"x"}), frozenset())
    log = GroupLog("team", "{}:{}", 1, told)
    cooldowns = {"c": Cooldown(clock(), 2)}
    writing = Writing(log, None, clock(), notification(clock), cooldowns=cooldowns)
    other = Writing(GroupLog("team", "other", 1), None, clock(), notification(clock, "k2", group_key="other"))

    assert store.notifications.write([writing]) == {"k1"}
    assert store.notifications.write([writing, other]) == {"k2"}
    assert store.notifications.log(log.id) == log
    assert store.notifications.cooldowns() == cooldowns
    assert [one.key for one in store.notifications.pending()] == ["k1", "k2"]
    assert store.notifications.pending()[0] == notification(clock)


def test_failure_puts_back_what_the_group_was_told(store: ControlStore, clock: TurnedClock) -> None:
    before = Told(clock(), frozenset(), frozenset({"y"}))
    log = GroupLog("team", "{}:{}", 2, Told(clock(), frozenset({"x"}), frozenset()))
    store.notifications.write([Writing(log, before, clock(), notification(clock))])
    store.notifications.end("k1", Receipt(Outcome.FAILED, clock(), "503"))
    store.notifications.end("k1", Receipt(Outcome.SENT, clock()))  # a second word changes nothing

    assert store.notifications.log(log.id) == replace(log, told=before)
    (stored,) = store.notifications.recent()
    assert (stored.state, stored.reason) == ("failed", "503")


def test_held_notifications_wait_until_a_digest_stands_for_them(store: ControlStore, clock: TurnedClock) -> None:
    log = GroupLog("team", "{}:{}", 1)
    store.notifications.write([Writing(log, None, clock(), notification(clock), is_held=True)])
    assert [one.key for one in store.notifications.held()] == ["k1"]
    digest = notification(clock, "digest", group_key="digest")
    store.notifications.write([Writing(GroupLog("team", "digest", 1), None, clock(), digest, digests=["k1"])])

    assert store.notifications.held() == []
    assert [one.key for one in store.notifications.pending()] == ["digest"]


def test_what_is_old_is_forgotten(store: ControlStore, clock: TurnedClock) -> None:
    known = replace(alert(clock()), is_open=False)
    store.alerts.save([known], [change_of(known.alert, clock(), Change.FIRING)])
    store.notifications.write([Writing(GroupLog("team", "{}:{}", 1), None, clock(), notification(clock))])
    store.notifications.end("k1", Receipt(Outcome.SENT, clock()))
    clock.turn(86_400)
    store.alerts.prune(clock())
    store.notifications.prune(clock())
    store.silences.prune(clock())

    assert store.alerts.listed() == []
    assert store.alerts.history() == []
    assert store.notifications.recent() == []
    assert store.notifications.logs() == []
