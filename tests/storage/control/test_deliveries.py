"""The delivery log, on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

import pytest
from control_people import TurnedClock
from tests.notify.providers import NOW, alert, ended, notification

from tocsin.model.notification import Outcome
from tocsin.storage.control import ControlStore, NotFound


def told(
    store: ControlStore, key: str, outcome: Outcome = Outcome.SENT, reference: str = "", over: bool = False
) -> int:
    resolved = (ended(alert()),) if over else ()
    row = store.deliveries.begin(notification(key=key, resolved=resolved), "ops", "slack[0]", "slack", "P1 down")
    store.deliveries.note(row.id, outcome, reason="", reference=reference, at=NOW, seconds=0.1)
    return row.id


def test_same_key_for_a_channel_is_one_delivery(store: ControlStore) -> None:
    ids = {store.deliveries.begin(notification(), "ops", place, "slack", "").id for place in ("a", "a", "b")}
    assert len(ids) == 2
    assert len(store.deliveries.of_key("n-1")) == 2


def test_outcome_is_that_of_the_last_attempt(store: ControlStore) -> None:
    id = told(store, "a", Outcome.RETRYING)
    assert [row.id for row in store.deliveries.waiting()] == [id]
    store.deliveries.note(id, Outcome.FAILED, reason="gone", reference="", at=NOW, seconds=0.2)
    row = store.deliveries.get(id)
    assert (row.outcome, row.attempts, row.reason) == (Outcome.FAILED, 2, "gone")
    assert [attempt.attempt for attempt in store.deliveries.attempts(id)] == [1, 2]
    assert store.deliveries.reopen(id).outcome == Outcome.RETRYING
    with pytest.raises(NotFound, match="it is retrying"):
        store.deliveries.reopen(id)


def test_thread_ends_with_its_group(store: ControlStore) -> None:
    group = notification().group_key
    told(store, "a", reference="C1:17.5")
    told(store, "b", Outcome.FAILED, reference="never")
    assert store.deliveries.open_reference(group, "ops", "slack[0]") == "C1:17.5"
    assert [row.key for row in store.deliveries.open_of(group)] == ["a"]
    told(store, "c", over=True)
    assert store.deliveries.open_reference(group, "ops", "slack[0]") == ""
    assert store.deliveries.open_of(group) == []


def test_acknowledgement_is_news_once(store: ControlStore) -> None:
    id = told(store, "a", reference="r")
    since = NOW - timedelta(hours=1)
    assert [row.id for row in store.deliveries.unacknowledged(["slack"], since)] == [id]
    assert store.deliveries.acknowledge(id, "ada", NOW)
    assert not store.deliveries.acknowledge(id, "otto", NOW)
    assert store.deliveries.unacknowledged(["slack"], since) == []


def test_counts_and_lists(store: ControlStore) -> None:
    ids = [told(store, key, outcome) for key, outcome in (("a", Outcome.SENT), ("b", Outcome.FAILED))]
    place = ("ops", "slack[0]")
    assert store.deliveries.counts(NOW - timedelta(days=1))[place] == {Outcome.SENT: 1, Outcome.FAILED: 1}
    assert store.deliveries.last_of_each()[place].id == ids[1]
    assert [row.key for row in store.deliveries.newest(outcome="failed")] == ["b"]
    assert [row.key for row in store.deliveries.newest(before_id=ids[1])] == ["a"]
    assert store.deliveries.newest(without_title="P1") == []


def test_old_ones_are_pruned_with_their_attempts(store: ControlStore, clock: TurnedClock) -> None:
    id = told(store, "a")
    clock.now = NOW + timedelta(days=91)
    store.prune()
    assert store.deliveries.attempts(id) == []
    with pytest.raises(NotFound):
        store.deliveries.get(id)
