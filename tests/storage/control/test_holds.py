"""Legal holds: placed and lifted with a reason, and the audit is where they stand."""

from __future__ import annotations

import pytest
from control_people import TurnedClock

from tocsin.model.control import SYSTEM
from tocsin.storage.control import ControlStore, InvalidInput, NotFound, Taken


def test_a_hold_stands_until_it_is_lifted_and_both_are_in_the_audit(store: ControlStore, clock: TurnedClock) -> None:
    placed = store.holds.place(SYSTEM, " acme ", "case 7")
    assert (placed.tenant, placed.reason, placed.placed_at, placed.placed_by) == (
        "acme",
        "case 7",
        clock(),
        SYSTEM.name,
    )
    assert store.holds.all() == [placed]
    assert store.holds.tenants() == {"acme"}
    store.holds.lift(SYSTEM, "acme", "case closed")
    assert store.holds.all() == []
    store.holds.place(SYSTEM, "acme", "case 8")
    assert [hold.reason for hold in store.holds.all()] == ["case 8"]
    entries = [(entry.action, entry.tenant, entry.detail["reason"]) for entry in store.audit.entries(object="acme")]
    assert entries == [
        ("hold.place", "acme", "case 8"),
        ("hold.lift", "acme", "case closed"),
        ("hold.place", "acme", "case 7"),
    ]


def test_holds_that_make_no_sense_are_refused(store: ControlStore) -> None:
    store.holds.place(SYSTEM, "acme", "case 7")
    with pytest.raises(Taken, match="lift that first"):
        store.holds.place(SYSTEM, "acme", "again")
    with pytest.raises(NotFound, match="'globex'"):
        store.holds.lift(SYSTEM, "globex", "over")
    with pytest.raises(InvalidInput, match="reason"):
        store.holds.lift(SYSTEM, "acme", " ")
    with pytest.raises(InvalidInput, match="tenant"):
        store.holds.place(SYSTEM, " ", "case 7")
