"""The look back: which alerts are noise, flap, ring at night, and fire together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tocsin.alerts.review import review
from tocsin.model.alert import Alert
from tocsin.model.alert_state import AlertChange, Change, change_of

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
