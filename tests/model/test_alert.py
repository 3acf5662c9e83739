"""Severities of every vocabulary on one scale, and what makes two alerts the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tocsin.model.alert import Alert
from tocsin.model.notification import Notification
from tocsin.model.severity import Severity, severity_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def alert(**labels: str) -> Alert:
    return Alert(labels, {"summary": "s"}, starts_at=NOW)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["emergency", "critical", "warning", "info"], [0, 1, 3, 4]),
        (["critical", "high", "medium", "low"], [1, 2, 3, 4]),
        (["P0", "p1", "P2", "p3", "P4"], [0, 1, 2, 3, 4]),
        (["", "odd"], [3, 3]),
    ],
)
def test_every_vocabulary_keeps_its_order_on_one_scale(words: list[str], expected: list[int]) -> None:
    assert [severity_of(word) for word in words] == expected


@pytest.mark.parametrize(
    ("vocabulary", "words"),
    [
        ("priority", ["P0", "P1", "P2", "P3", "P4"]),
        ("emergency", ["emergency", "critical", "warning", "info"]),
        ("prometheus", ["critical", "warning", "info"]),
        ("runbook", ["critical", "high", "medium", "low"]),
    ],
)
def test_a_word_comes_back_in_its_own_vocabulary(vocabulary: str, words: list[str]) -> None:
    assert [severity_of(word).named(vocabulary) for word in words] == words


def test_alerts_with_the_same_labels_are_the_same_alert() -> None:
    assert alert(a="1", b="2").fingerprint == alert(b="2", a="1").fingerprint
    assert alert(a="1", b="2").fingerprint != alert(a="12", b="").fingerprint


def test_an_alert_is_resolved_from_its_end_on() -> None:
    over = Alert({}, starts_at=NOW, ends_at=NOW + timedelta(minutes=1))
    assert not over.is_resolved(NOW)
    assert over.is_resolved(NOW + timedelta(minutes=1))
    assert not alert().is_resolved(NOW + timedelta(days=1))


def test_a_notification_is_as_severe_as_its_worst_firing_alert() -> None:
    def told(firing: list[Alert], resolved: list[Alert]) -> Notification:
        return Notification("k", "ops", "g", {}, tuple(firing), tuple(resolved), NOW)

    worst, mild = alert(severity="critical", team="a"), alert(severity="info", team="a")
    assert told([mild], [worst]).severity == Severity.P4
    assert told([mild, worst], []).severity == Severity.P1
    assert told([mild, worst], []).common_labels == {"team": "a"}
    assert (told([], [worst]).status, told([mild], []).status) == ("resolved", "firing")
