"""The look back: which alerts are noise, flap, ring at night, and fire together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tocsin.alerts.review import review
from tocsin.model.alert import Alert
from tocsin.model.alert_state import AlertChange, Change, change_of
from tocsin.model.severity import Severity

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def change(minute: float, name: str, what: Change, **detail: str) -> AlertChange:
    at = NOON + timedelta(minutes=minute)
    return change_of(Alert({"alertname": name}, starts_at=at), at, what, **detail)


def test_flapping_alert_is_the_noisiest_and_gets_advice() -> None:
    changes = []
    for place in range(5):
        changes += [
            change(place * 10, "Flap", Change.FIRING),
            change(place * 10, "Flap", Change.NOTIFIED, key=f"f{place}"),
            change(place * 10 + 1, "Flap", Change.RESOLVED),
        ]
    changes += [change(0, "Solid", Change.FIRING), change(0, "Solid", Change.NOTIFIED, key="s")]
    changes += [change(3, "Solid", Change.ACKNOWLEDGED), change(40, "Solid", Change.RESOLVED)]
    made = review(changes, UTC)

    flap, solid = made.names
    assert (flap.name, flap.fired, flap.flaps, flap.median_seconds) == ("Flap", 5, 4, 60.0)
    assert "it flaps" in flap.advice
    assert (solid.median_acknowledge_seconds, solid.acknowledged_ratio, solid.advice) == (180.0, 1.0, "")
    assert (made.fired, made.notified) == (6, 6)


def test_night_is_that_of_the_reader() -> None:
    changes = [change(60 * 9.5, "Late", Change.NOTIFIED, key="k")]  # 21:30 UTC, 22:30 in Berlin

    assert review(changes, UTC).names[0].at_night == 0
    assert review(changes, ZoneInfo("Europe/Berlin")).names[0].at_night == 1


def test_names_that_begin_together_are_named() -> None:
    pairs = (("A", 0), ("B", 0.5))
    changes = [change(10 * place + offset, name, Change.FIRING) for place in range(3) for name, offset in pairs]

    assert review(changes, UTC).together == (("A", "B", 3),)


def test_mostly_false_rule_is_to_be_deleted() -> None:
    changes = [change(0, "Wolf", Change.FIRING), change(1, "Wolf", Change.FALSE_POSITIVE)]
    (wolf,) = review(changes, UTC).names

    assert wolf.false_positive_ratio == 1.0
    assert "most firings were false" in wolf.advice


def test_nothing_gives_nothing() -> None:
    assert review([], UTC).names == ()


def of(fingerprint: str, one: AlertChange, severity: Severity = Severity.P3, actor: str = "") -> AlertChange:
    return replace(one, fingerprint=fingerprint, severity=severity, actor=actor)


def test_share_that_made_somebody_act_and_who_was_late() -> None:
    changes = [of(key, change(0, "Slow", Change.FIRING)) for key in "abcd"]
    changes += [of("a", change(30, "Slow", Change.ACKNOWLEDGED)), of("a", change(31, "Slow", Change.ASSIGNED))]
    changes += [of("a", change(40, "Slow", Change.RESOLVED)), of("b", change(20, "Slow", Change.RESOLVED))]
    changes += [of("c", change(70, "Slow", Change.RESOLVED), actor="ada")]

    (slow,) = review(changes, UTC).names
    assert (slow.fired, slow.acted, slow.actionable_ratio, slow.late) == (4, 2, 0.5, 1)  # a P3: within an hour
    (slow,) = review(changes, UTC, now=NOON + timedelta(hours=2)).names
    assert slow.late == 2  # d still fires


def test_critical_alerts_are_judged_by_themselves() -> None:
    changes = [of(f"{place}", change(place, "Down", Change.FIRING), Severity.P1) for place in range(4)]
    changes += [of("0", change(1, "Down", Change.FALSE_POSITIVE), Severity.P1)]
    changes += [of("x", change(1, "Dull", Change.FIRING)), of("x", change(2, "Dull", Change.FALSE_POSITIVE))]
    made = review(changes, UTC)

    assert (made.critical_fired, made.critical_false, made.critical_false_ratio) == (4, 1, 0.25)
    assert {one.name: one.proposal for one in made.names} == {"Dull": "delete", "Down": ""}


def test_what_nobody_ever_touched_is_to_be_lowered() -> None:
    changes = [of(f"{place}", change(place * 100, "Dull", Change.FIRING)) for place in range(10)]

    assert [one.proposal for one in review(changes, UTC).names] == ["demote"]
