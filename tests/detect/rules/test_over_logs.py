"""Rules over logs: LogQL below `tocsin: {source: logs}`, read, tested, evaluated over the store, and written again."""

from __future__ import annotations

from typing import Any

import pytest

from otlp import NOW_NS, SECOND_NS, log_record, log_request
from tocsin.detect.rules.alerting import RuleError, RuleState
from tocsin.detect.rules.evaluation import Surroundings, evaluate_group
from tocsin.detect.rules.over_logs import threshold_of
from tocsin.detect.rules.replay import explain, grid_for, replay
from tocsin.detect.rules.rule_text import read_rules, unexportable, write_rules
from tocsin.detect.rules.unit_test import run_tests
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.yaml_text import TextError
from tocsin.query.log_source import LogSource
from tocsin.query.promql.source import MemorySource
from tocsin.storage.telemetry.store import TelemetryStore

RULES = """
groups:
- name: payments
  interval: 15s
  rules:
  - record: tenant:payment_failures:count5m
    expr: sum by (tenant) (count_over_time({service_name="shop"} |= "payment" |= "failed" [5m]))
    tocsin: {source: logs}
  - alert: PaymentsFail
    expr: sum by (tenant) (count_over_time({service_name="shop"} |= "payment" |= "failed" [5m])) > 2
    for: 15s
    labels: {severity: critical}
    annotations: {summary: "{{ $value }} payments of {{ $labels.tenant }} failed"}
    tocsin: {source: logs}
"""
TEST = """
rule_files: [a.yaml]
evaluation_interval: 15s
tests:
- input_logs:
  - {stream: '{service_name="shop", tenant="acme"}', line: payment 7 failed, at: 10s 20s 25s}
  - {stream: '{service_name="shop", tenant="globex"}', line: payment 8 failed, at: 10s}
  - {stream: '{service_name="shop", tenant="acme"}', line: payment 9 captured, at: 10s 11s 12s}
  alert_rule_test:
  - eval_time: 30s
    alertname: PaymentsFail
  - eval_time: 45s
    alertname: PaymentsFail
    exp_alerts:
    - exp_labels: {tenant: acme, severity: critical}
      exp_annotations: {summary: 3 payments of acme failed}
  - {eval_time: 400s, alertname: PaymentsFail}
  promql_expr_test:
  - expr: tenant:payment_failures:count5m
    eval_time: 60s
    exp_samples:
    - {labels: 'tenant:payment_failures:count5m{tenant="acme"}', value: 3}
    - {labels: 'tenant:payment_failures:count5m{tenant="globex"}', value: 1}
"""
NOW_MS = NOW_NS // 1_000_000


def failed(tenant: str, count: int) -> Any:
    attrs = {"tocsin.tenant": tenant}
    return log_request(
        [log_record(f"payment {at} failed", time_ns=NOW_NS - at * SECOND_NS, attrs=attrs) for at in range(1, count + 1)]
    )


def test_rules_over_logs_are_tested_like_others() -> None:
    [outcome] = run_tests(TEST, "t.yaml", lambda name: read_rules(RULES, name))
    assert outcome.failures == []
    [wrong] = run_tests(TEST.replace("3 payments", "4 payments"), "t.yaml", lambda name: read_rules(RULES, name))
    assert len(wrong.failures) == 1


def test_rules_over_logs_are_evaluated_over_the_store_within_their_scope(store: TelemetryStore, put: Any) -> None:
    put(failed("acme", 3), failed("globex", 5))
    [group] = read_rules(RULES, "a.yaml").groups
    for scope, tenants in ((PLATFORM, {"acme", "globex"}), (Scope.of("acme"), {"acme"})):
        around = Surroundings(MemorySource(), open_lines=lambda scope=scope: LogSource(store, scope))  # type: ignore[misc]
        states = [RuleState(str(place), rule, rule.labels) for place, rule in enumerate(group.rules)]
        written: list[Any] = []
        for at_ms in (NOW_MS, NOW_MS + 15_000):
            evaluate_group(group, states, around, at_ms, written.extend)
        assert [state.error for state in states] == ["", ""]
        assert {one.labels["tenant"] for one in states[1].alerts.values()} == tenants
        assert {one.state for one in states[1].alerts.values()} == {"firing"}
        assert {one.labels["tenant"]: one.value for one in written if one.labels["__name__"].startswith("tenant:")} == {
            tenant: {"acme": 3.0, "globex": 5.0}[tenant] for tenant in tenants
        }


def test_rules_over_logs_are_replayed_and_explained(store: TelemetryStore, put: Any) -> None:
    put(failed("acme", 3), failed("globex", 1))
    [group] = read_rules(RULES, "a.yaml").groups
    around = Surroundings(MemorySource(), open_lines=lambda: LogSource(store, PLATFORM))
    found = replay(group, group.rules[1], around, grid_for(NOW_MS - 60_000, NOW_MS + 600_000, 15))
    [period] = found.periods
    assert period.labels["tenant"] == "acme"
    assert period.ended_at_ms is not None
    verdicts = explain(group, group.rules[1], around, NOW_MS + 60_000, 15)
    assert [(one.labels["tenant"], one.state, one.reason) for one in verdicts] == [
        ("acme", "firing", "3 > 2"), ("globex", "inactive", "1 is not > 2"),
    ]  # fmt: skip


def test_they_are_written_as_they_were_read_and_left_out_for_prometheus() -> None:
    file = read_rules(RULES, "a.yaml")
    again = read_rules(write_rules(file), "a.yaml")
    assert [(rule.expr, rule.notes.source) for rule in again.rules] == [(r.expr, "logs") for r in file.rules]
    assert "count_over_time" not in write_rules(file, classic=True)
    assert "Loki's ruler" in unexportable(file)[0]


@pytest.mark.parametrize(
    ("expr", "source", "words"),
    [
        ('{service_name="shop"}', "logs", "these are lines; count them"),
        ("count_over_time({a=", "logs", "could not parse expression"),
        ("up > 1", "lgos", "there is no source 'lgos'; write logs"),
    ],
)
def test_what_is_no_rule_over_logs_is_said(expr: str, source: str, words: str) -> None:
    text = f"groups: [{{name: a, rules: [{{alert: X, expr: '{expr}', tocsin: {{source: {source}}}}}]}}]"
    with pytest.raises(TextError, match=words):
        read_rules(text, "a.yaml")


def test_thresholds_are_told_apart_from_what_is_measured() -> None:
    assert threshold_of('3 < count_over_time({a="b"}[5m])') == ('count_over_time({a="b"} [5m])', ">", 3.0)
    assert threshold_of('count_over_time({a="b"}[5m])') is None
    with pytest.raises(RuleError):
        threshold_of("nonsense(")
