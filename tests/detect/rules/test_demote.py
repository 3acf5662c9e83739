"""Rules that people mostly called false are told lower, also over reloads and restarts, and never while they fire."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ruling import Bench, bench

from tocsin.detect.rules.alerting import RuleState
from tocsin.detect.rules.demote import demoted_from, judge
from tocsin.detect.rules.marks import marks_by_rule
from tocsin.detect.rules.rule import Rule
from tocsin.model.severity import Severity
from tocsin.storage.control.alerts import Marks

WOLF = """
groups:
- name: load
  interval: 15s
  rules:
  - {alert: Wolf, expr: load > 5, labels: {severity: critical}}
  - {alert: Steady, expr: load > 5, labels: {severity: critical}}
  - {record: load:max, expr: max(load)}
"""
GONE = "http://tocsin.example/rules/0123456789abcdef"
FALSE = Marks("Wolf", fired=6, false_positives=5, acknowledged=0, notified=6, source=GONE)


def state_of(severity: str) -> RuleState:
    return RuleState("k", Rule(alert="Wolf", expr="x > 1"), {"severity": severity, "team": "a"} if severity else {})


@pytest.mark.parametrize(
    ("severity", "lower"),
    [("critical", "high"), ("P1", "high"), ("high", "warning"), ("warning", "info"), ("info", ""), ("emergency", ""),
     ("page", ""), ("", ""), ("{{ if $value }}critical{{ end }}", "")],
)  # fmt: skip
def test_severity_goes_one_step_down_and_a_p0_stays(severity: str, lower: str) -> None:
    state = state_of(severity)
    own = dict(state.labels)
    judge([state], {"k": FALSE}, least=5, ratio=0.5)
    assert dict(state.labels) == ({**own, "severity": lower, "demoted_from": severity} if lower else own)
    judge([state], {"k": FALSE}, least=5, ratio=0.5)
    assert state.labels.get("severity", "") == (lower or severity)
    judge([state], {}, least=5, ratio=0.5)
    assert dict(state.labels) == own


@pytest.mark.parametrize(
    ("fired", "false", "least", "is_lower"), [(6, 5, 5, True), (20, 5, 5, False), (4, 4, 5, False), (6, 5, 0, False)]
)
def test_few_false_alarms_and_a_switch_at_zero_demote_nothing(
    fired: int, false: int, least: int, is_lower: bool
) -> None:
    state = state_of("critical")
    judge([state], {"k": Marks("Wolf", fired, false, 0, 0)}, least, 0.5)
    assert (demoted_from(state.labels) is Severity.P1) is is_lower


def severities(found: Bench, seconds: float) -> dict[str, str]:
    return {one.name: one.labels["severity"] for one in found.at(seconds) if one.ends_at is None}


def test_alert_that_fires_keeps_its_severity_and_the_next_is_lower(tmp_path: Path) -> None:
    with bench(tmp_path, WOLF) as found:
        found.gauge("load", 9, until=60)
        assert severities(found, 15) == {"Wolf": "critical", "Steady": "critical"}
        found.engine._marks_of = lambda: [FALSE]
        found.engine.reload()
        assert severities(found, 15 + 75)["Wolf"] == "critical"  # told again, as it fires

        found.at(600)
        found.engine.reload()
        found.gauge("load", 9, until=1200, instance="b")
        assert severities(found, 700) == {"Wolf": "high", "Steady": "critical"}
        assert "critical" in {one.labels.get("demoted_from") for one in found.told}
    with bench(tmp_path, WOLF, seconds=700) as after:  # nothing is known of false alarms, but it fires so
        after.gauge("load", 9, until=1200, instance="b")
        after.engine.reload()
        assert severities(after, 800)["Wolf"] == "high"


def test_rules_of_one_name_in_two_files_are_judged_apart(tmp_path: Path) -> None:
    with bench(tmp_path, WOLF) as found:
        (found.folder / "b.yaml").write_text(WOLF.replace("load > 5", "load > 5, for: 15s"))
        found.engine.reload()
        keys = {run.file: run.states[0].key for run in found.engine.groups}
        false = replace(FALSE, source=f"http://tocsin.example/rules/{keys['b.yaml']}")
        found.engine._marks_of = lambda: [false]
        found.engine.reload()

        told = {run.file: demoted_from(run.states[0].labels) for run in found.engine.groups}
        assert told == {"a.yaml": None, "b.yaml": Severity.P1}


def test_marks_of_a_rule_that_is_gone_count_for_its_name_and_those_of_others_for_none() -> None:
    names = {"a" * 16: "Wolf", "b" * 16: "Wolf", "c" * 16: "Steady"}
    mine, gone, foreign = (
        replace(FALSE, source=source)
        for source in ("/rules/" + "a" * 16, GONE, "http://prometheus.example/graph?g0.expr=up")
    )
    found = marks_by_rule([mine, gone, foreign], names)
    assert {key: one.false_positives for key, one in found.items()} == {"a" * 16: 10, "b" * 16: 5}
