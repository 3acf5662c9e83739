"""Unit tests of rules have the verdicts of promtool on shared cases, good and bad."""
# ruff: noqa: E501 - one case a line

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tocsin.detect.rules.unit_test import UnitTestError, loader_beside, run_tests

RULES = """
groups:
- name: g
  interval: 5m
  rules:
  - record: job:up:count
    expr: count by (job) (up)
  - alert: InstanceDown
    expr: up == 0
    for: 5m
    keep_firing_for: 3m
    labels: {severity: page, where: "{{ $externalLabels.region }}"}
    annotations: {summary: "{{ $labels.instance }} of {{ $labels.job }} down at {{ $value }}"}
"""
DOWN = {"series": 'up{job="api", instance="a"}', "values": "1x4 0x20 1x20"}
WHOLE = {"series": 'up{job="api", instance="b"}', "values": "1x45"}
LABELS = {"severity": "page", "where": "eu", "instance": "a", "job": "api"}
WORDS = {"summary": "a of api down at 0"}
CASES: dict[str, dict[str, Any]] = {
    "fires": {"alert_rule_test": [{"eval_time": "12m", "alertname": "InstanceDown", "exp_alerts": [{"exp_labels": LABELS, "exp_annotations": WORDS}]}]},
    "pending is not firing": {"alert_rule_test": [{"eval_time": "8m", "alertname": "InstanceDown", "exp_alerts": []}]},
    "pending is expected to fire": {"alert_rule_test": [{"eval_time": "8m", "alertname": "InstanceDown", "exp_alerts": [{"exp_labels": LABELS, "exp_annotations": WORDS}]}]},
    "kept firing": {"alert_rule_test": [{"eval_time": "27m", "alertname": "InstanceDown", "exp_alerts": [{"exp_labels": LABELS, "exp_annotations": WORDS}]}]},
    "resolved": {"alert_rule_test": [{"eval_time": "32m", "alertname": "InstanceDown", "exp_alerts": []}]},
    "wrong words": {"alert_rule_test": [{"eval_time": "12m", "alertname": "InstanceDown", "exp_alerts": [{"exp_labels": LABELS, "exp_annotations": {"summary": "x"}}]}]},
    "missing label": {"alert_rule_test": [{"eval_time": "12m", "alertname": "InstanceDown", "exp_alerts": [{"exp_labels": {"job": "api"}, "exp_annotations": WORDS}]}]},
    "unexpected": {"alert_rule_test": [{"eval_time": "12m", "alertname": "InstanceDown", "exp_alerts": []}]},
    "between evaluations": {"alert_rule_test": [{"eval_time": "12m30s", "alertname": "InstanceDown", "exp_alerts": [{"exp_labels": LABELS, "exp_annotations": WORDS}]}]},
    "recorded": {"promql_expr_test": [{"expr": "job:up:count", "eval_time": "10m", "exp_samples": [{"labels": 'job:up:count{job="api"}', "value": 2}]}]},
    "recorded wrongly": {"promql_expr_test": [{"expr": "job:up:count", "eval_time": "10m", "exp_samples": [{"labels": 'job:up:count{job="api"}', "value": 3}]}]},
    "alerts series": {"promql_expr_test": [{"expr": 'count(ALERTS{alertstate="pending"})', "eval_time": "7m", "exp_samples": [{"labels": "{}", "value": 1}]}]},
    "since when": {"promql_expr_test": [{"expr": "max(ALERTS_FOR_STATE)", "eval_time": "12m", "exp_samples": [{"labels": "{}", "value": 300}]}]},
    "nothing": {"promql_expr_test": [{"expr": "nothing", "eval_time": "12m", "exp_samples": []}]},
    "scalar": {"promql_expr_test": [{"expr": "scalar(sum(up))", "eval_time": "4m", "exp_samples": [{"value": 2}]}]},
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_verdict_is_that_of_promtool(name: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    test = {"interval": "1m", "input_series": [DOWN, WHOLE], "external_labels": {"region": "eu"}, **CASES[name]}
    text = json.dumps({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]})
    (tmp_path / "test.yaml").write_text(text)

    [ours] = run_tests(text, "test.yaml", loader_beside(tmp_path / "test.yaml"))

    theirs = subprocess.run(["promtool", "test", "rules", tmp_path / "test.yaml"], capture_output=True, check=False)
    assert (not ours.failures) == (theirs.returncode == 0), (ours.failures, theirs.stdout)
    assert (not ours.failures) == (
        name not in {"pending is expected to fire", "wrong words", "missing label", "unexpected", "recorded wrongly"}
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "expected a mapping"),
        ("{rule_files: [none.yaml], tests: []}", "cannot read rule file"),
        ("{tests: [{input_series: [{series: 'a b', values: '1'}]}]}", "cannot read input_series"),
        ("{evaluation_interval: soon, tests: []}", "cannot read 'soon' as a duration"),
    ],
)
def test_file_that_cannot_be_run_says_why(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UnitTestError, match=said.replace("[", r"\[")):
        run_tests(text, "x.yaml", loader_beside(tmp_path / "x.yaml"))
