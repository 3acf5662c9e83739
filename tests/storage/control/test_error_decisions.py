"""Decisions about errors: who took them, when they end, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from control_people import TurnedClock

from tocsin.model.control import SYSTEM
from tocsin.model.errors import ErrorDecision, ErrorState, state_of
from tocsin.storage.control import ControlStore, InvalidInput, NotFound

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def decision(is_resolved: bool, **more: object) -> ErrorDecision:
    return ErrorDecision("f", is_resolved, NOW, "ada", **more)  # type: ignore[arg-type]


def test_the_last_decision_holds_and_each_is_in_the_audit(store: ControlStore, clock: TurnedClock) -> None:
    store.errors.resolve(SYSTEM, "f1", kind="ValueError", releases=["1.0"], note=" fixed ")
    found = store.errors.find("f1")
    assert found is not None
    assert (found.is_resolved, found.releases, found.note, found.decided_by) == (True, ("1.0",), "fixed", SYSTEM.name)
    assert found.decided_at == clock()
    store.errors.ignore(SYSTEM, "f1", kind="ValueError", occurrences=5, occurrences_then=7)
    found = store.errors.all()["f1"]
    assert (found.is_resolved, found.releases, found.occurrences, found.occurrences_then) == (False, (), 5, 7)
    store.errors.reopen(SYSTEM, "f1", kind="ValueError")
    assert store.errors.find("f1") is None
    told = [(entry.action, entry.detail["type"]) for entry in store.audit.entries(object="f1")]
    assert told == [("error.reopen", "ValueError"), ("error.ignore", "ValueError"), ("error.resolve", "ValueError")]


def test_what_makes_no_sense_is_refused(store: ControlStore, clock: TurnedClock) -> None:
    with pytest.raises(NotFound, match="it is open"):
        store.errors.reopen(SYSTEM, "f", kind="")
    with pytest.raises(InvalidInput, match="that is over"):
        store.errors.ignore(SYSTEM, "f", kind="", until=clock() - HOUR)
    with pytest.raises(InvalidInput, match="1 to 1000000000"):
        store.errors.ignore(SYSTEM, "f", kind="", occurrences=0)
    with pytest.raises(InvalidInput, match="longer than 500"):
        store.errors.resolve(SYSTEM, "f", kind="", note="x" * 501)
    assert store.errors.all() == {}


def test_an_open_group_stays_open() -> None:
    assert state_of(None, NOW, 5, {"1": NOW}, NOW) is ErrorState.OPEN


@pytest.mark.parametrize(("seen", "state"), [(-HOUR, ErrorState.RESOLVED), (HOUR, ErrorState.REGRESSED)])
def test_a_resolved_group_that_is_seen_later_has_regressed(seen: timedelta, state: ErrorState) -> None:
    assert state_of(decision(True), NOW + seen, 5, {"1": NOW + seen}, NOW + HOUR) is state


def test_resolved_in_the_next_release_only_a_later_release_regresses() -> None:
    fixed = decision(True, releases=("1.0",))
    later = NOW + HOUR
    assert state_of(fixed, later, 5, {"1.0": later}, later) is ErrorState.RESOLVED
    assert state_of(fixed, later, 5, {"1.0": later, "1.1": later}, later) is ErrorState.REGRESSED
    assert state_of(fixed, later, 5, {"1.0": later, "0.9": NOW - HOUR}, later) is ErrorState.RESOLVED


def test_ignored_until_a_time_or_a_number_of_occurrences() -> None:
    until = decision(False, until=NOW + HOUR)
    assert state_of(until, NOW, 5, {}, NOW) is ErrorState.IGNORED
    assert state_of(until, NOW, 5, {}, NOW + HOUR) is ErrorState.OPEN
    often = decision(False, occurrences=10, occurrences_then=5)
    assert state_of(often, NOW, 14, {}, NOW) is ErrorState.IGNORED
    assert state_of(often, NOW, 15, {}, NOW) is ErrorState.OPEN
    assert state_of(decision(False), NOW, 10**9, {}, NOW + 1000 * HOUR) is ErrorState.IGNORED
