"""The pure stages: matchers, inhibition, silences, time intervals, cooldown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tocsin.alerts.cooldown import cooldown_key, cooldown_seconds, is_cooling
from tocsin.alerts.inhibit import Inhibitor, InhibitRule, cycles
from tocsin.alerts.matcher_text import MatcherError, all_match, read_matchers
from tocsin.alerts.silence import Silencer, checked
from tocsin.model.alert import Alert
from tocsin.model.silence import LabelMatcher, Silence
from tocsin.model.time_interval import IntervalError, time_interval_of
from tocsin.model.told import Cooldown
from tocsin.storage.control import InvalidInput

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday


def alert(ends_at: datetime | None = None, **labels: str) -> Alert:
    return Alert(labels, starts_at=NOW, ends_at=ends_at)


READ = {
    'a="b"': [("a", "=", "b")],
    "a=b": [("a", "=", "b")],
    ' a != "b c" ': [("a", "!=", "b c")],
    '{a=~"x|y",b!~z}': [("a", "=~", "x|y"), ("b", "!~", "z")],
    'a="b,c", d="e"': [("a", "=", "b,c"), ("d", "=", "e")],
    '{"name with space"="x"}': [("name with space", "=", "x")],
    'a="q\\"uote"': [("a", "=", 'q"uote')],
    "größe=x": [("größe", "=", "x")],
    "{a=b,}": [("a", "=", "b")],
    "a=": [("a", "=", "")],  # classic only
    "a=x y": [("a", "=", "x y")],  # classic only
    "{}": [],
}


@pytest.mark.parametrize("text", READ)
def test_matchers_are_read_in_both_syntaxes(text: str) -> None:
    assert [(each.name, each.operator, each.value) for each in read_matchers(text)] == READ[text]


@pytest.mark.parametrize("text", ["a", '="b"', 'a="b', '{a="b"', 'a=~"("', 'a="b" c="d"', '""="x"'])
def test_unreadable_matchers_are_refused(text: str) -> None:
    with pytest.raises(MatcherError):
        read_matchers(text)


def test_missing_label_is_empty() -> None:
    assert all_match(read_matchers('a!="b"'), {})
    assert not all_match(read_matchers('a=~".+"'), {})


def rule(source: str, target: str, *equal: str) -> InhibitRule:
    return InhibitRule(read_matchers(source), read_matchers(target), equal)


def test_source_inhibits_target_with_equal_labels() -> None:
    source = alert(severity="page", cluster="a")
    inhibitor = Inhibitor.over((rule("severity=page", "severity=warning", "cluster"),), [source])

    assert inhibitor.inhibited_by({"severity": "warning", "cluster": "a"}, NOW) == [source]
    assert inhibitor.inhibited_by({"severity": "warning", "cluster": "b"}, NOW) == []
    assert inhibitor.inhibited_by({"severity": "warning"}, NOW) == []


def test_labels_that_both_lack_are_equal() -> None:
    source = alert(severity="page")
    inhibitor = Inhibitor.over((rule("severity=page", "severity=warning", "cluster"),), [source])

    assert inhibitor.inhibited_by({"severity": "warning", "cluster": ""}, NOW) == [source]


def test_resolved_source_inhibits_nothing() -> None:
    over = alert(NOW - timedelta(seconds=1), severity="page")

    assert (
        Inhibitor.over((rule("severity=page", "severity=warning"),), [over]).inhibited_by({"severity": "warning"}, NOW)
        == []
    )


def test_alert_on_both_sides_is_not_inhibited_by_its_like() -> None:
    one, other = alert(role="x", id="1"), alert(role="x", id="2")
    inhibitor = Inhibitor.over((rule("role=x", "role=x"),), [one, other])

    assert inhibitor.inhibited_by(one.labels, NOW) == []


def test_alerts_that_inhibit_each_other_are_a_fault() -> None:
    one, other = alert(team="a"), alert(team="b")
    inhibitor = Inhibitor.over((rule("team=a", "team=b"), rule("team=b", "team=a")), [one, other])

    found = cycles({each.fingerprint: each for each in (one, other)}, inhibitor, NOW)
    assert found == [tuple(sorted((one.fingerprint, other.fingerprint)))]


def silence(*matchers: LabelMatcher, start: float = -60, end: float = 60) -> Silence:
    times = NOW + timedelta(seconds=start), NOW + timedelta(seconds=end)
    return Silence("s1", matchers, *times, "ada", "why", NOW)


def test_silence_hides_matching_alert_within_its_time() -> None:
    matcher = LabelMatcher("tenant", "acme|initech", is_regex=True)

    assert Silencer.over([silence(matcher)]).silenced_by({"tenant": "acme"}, NOW)
    assert Silencer.over([silence(matcher)]).silenced_by({"tenant": "globex"}, NOW) == []
    assert Silencer.over([silence(matcher, start=10)]).silenced_by({"tenant": "acme"}, NOW) == []
    assert Silencer.over([silence(matcher, end=-1)]).silenced_by({"tenant": "acme"}, NOW) == []


@pytest.mark.parametrize(
    "matcher", [LabelMatcher("a", ".*", is_regex=True), LabelMatcher("a", "("  , is_regex=True), LabelMatcher("", "x")]
)  # fmt: skip
def test_silence_of_everything_and_of_nothing_readable_is_refused(matcher: LabelMatcher) -> None:
    with pytest.raises(InvalidInput):
        checked([matcher])


TIMES: list[tuple[dict[str, Any], str, bool]] = [
    ({"times": [{"start_time": "09:00", "end_time": "17:00"}]}, "2026-03-02T09:00:00Z", True),
    ({"times": [{"start_time": "09:00", "end_time": "17:00"}]}, "2026-03-02T17:00:00Z", False),
    ({"times": [{"start_time": "17:00", "end_time": "24:00"}]}, "2026-03-02T23:59:59Z", True),
    ({"weekdays": ["monday:friday"]}, "2026-03-06T12:00:00Z", True),
    ({"weekdays": ["monday:friday", "sunday"]}, "2026-03-07T12:00:00Z", False),
    ({"days_of_month": ["-3:-1"]}, "2026-02-26T12:00:00Z", True),
    ({"days_of_month": ["-3:-1"]}, "2026-02-25T12:00:00Z", False),
    ({"days_of_month": ["31"]}, "2026-02-28T12:00:00Z", False),
    ({"days_of_month": ["20:-5"]}, "2026-02-24T12:00:00Z", True),
    ({"months": ["january:march", "12"]}, "2026-12-01T00:00:00Z", True),
    ({"months": ["january:march"]}, "2026-04-01T00:00:00Z", False),
    ({"years": ["2020:2026"]}, "2026-04-01T00:00:00Z", True),
    ({"weekdays": ["tuesday"], "location": "Europe/Berlin"}, "2026-03-02T22:30:00Z", False),
    ({"weekdays": ["tuesday"], "location": "Europe/Berlin"}, "2026-03-02T23:30:00Z", True),
    ({}, "2026-03-02T23:30:00Z", True),
]  # fmt: skip


@pytest.mark.parametrize(("plain", "at", "holds"), TIMES)
def test_interval_contains_what_alertmanager_says(plain: dict[str, Any], at: str, holds: bool) -> None:
    assert time_interval_of(plain).contains(datetime.fromisoformat(at)) is holds


@pytest.mark.parametrize(
    "plain",
    [
        {"times": [{"start_time": "17:00", "end_time": "09:00"}]},
        {"times": [{"start_time": "25:00", "end_time": "26:00"}]},
        {"weekdays": ["friday:monday"]},
        {"days_of_month": ["0"]},
        {"days_of_month": ["-1:5"]},
        {"months": ["13"]},
        {"location": "Nowhere/City"},
        {"days": ["1"]},
    ],
)
def test_impossible_interval_is_refused(plain: dict[str, Any]) -> None:
    with pytest.raises(IntervalError):
        time_interval_of(plain)


def test_cooldown_holds_what_comes_back_but_not_what_is_worse() -> None:
    warned = alert(alertname="HighCpu", severity="warning", cooldown="15m")
    last = Cooldown(NOW - timedelta(minutes=5), int(warned.severity))

    assert cooldown_seconds(warned, {}) == 900
    assert is_cooling(warned, last, 900, NOW)
    assert not is_cooling(alert(alertname="HighCpu", severity="critical"), last, 900, NOW)
    assert not is_cooling(warned, last, 900, NOW + timedelta(minutes=10))


def test_cooldown_is_of_the_alert_whatever_its_severity() -> None:
    one, other = alert(alertname="A", severity="warning"), alert(alertname="A", severity="critical")

    assert cooldown_key("team", one) == cooldown_key("team", other)
    assert cooldown_key("team", one) != cooldown_key("boss", one)


def test_cooldown_that_is_no_duration_hides_nothing() -> None:
    assert cooldown_seconds(alert(alertname="A", cooldown="soon"), {}) == 0
    assert cooldown_seconds(alert(alertname="A"), {"A": 60.0}) == 60
