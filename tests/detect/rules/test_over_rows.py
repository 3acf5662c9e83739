"""Rules over events and traces: read, tested, evaluated over the store, replayed, explained, and written again."""

from __future__ import annotations

from typing import Any

import pytest

from otlp import NOW_NS, SECOND_NS, log_record, log_request, span, trace_request
from tocsin.detect.rules.alerting import RuleState
from tocsin.detect.rules.evaluation import Surroundings, evaluate_group
from tocsin.detect.rules.over_rows import described, range_of, rows_of, vector_of
from tocsin.detect.rules.planted import UnitTestError
from tocsin.detect.rules.replay import backtest, explain, grid_for, replay
from tocsin.detect.rules.rule_text import read_rules, unexportable, write_rules
from tocsin.detect.rules.unit_test import run_tests
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.yaml_text import TextError
from tocsin.query.promql.source import Grid, MemorySource
from tocsin.storage.telemetry.store import TelemetryStore

RULES = """
groups:
- name: orders
  interval: 15s
  rules:
  - record: tenant:failed_orders:count5m
    tocsin: {traces: {route: /orders, is_error: true, by: [tenant], within: 5m}}
  - alert: OrdersFail
    for: 15s
    labels: {severity: critical}
    annotations: {summary: "{{ $value }} orders of {{ $labels.tenant }} failed at {{ $labels.http_route }}"}
    tocsin: {traces: {service: shop, route: /orders, is_error: true, by: [tenant, http.route], count: 3, within: 5m}}
  - alert: OrderSlow
    labels: {severity: warning}
    tocsin: {traces: {name: place order, min_duration: 2s, where: {plan: gold}, by: [service]}}
  - alert: Deployed
    labels: {severity: warning}
    tocsin: {events: {name: deployment, where: {is_canary: true}, by: [service], count: 2, within: 1m}}
"""
TEST = """
rule_files: [a.yaml]
evaluation_interval: 15s
tests:
- input_spans:
  - {name: place order, service: shop, route: /orders, tenant: acme, is_error: true, at: 10s 20s 25s}
  - {name: place order, service: shop, route: /orders, tenant: globex, status_code: 503, at: 10s 20s}
  - {name: place order, service: shop, attributes: {http.route: /orders, plan: gold}, duration: 3s, at: 5m}
  - {name: place order, service: shop, tenant: acme, attributes: {plan: gold}, duration: 1999ms, at: 1m}
  input_events:
  - {name: deployment, service: shop, attributes: {is_canary: true}, at: 1m 70s}
  - {name: deployment, service: shop, attributes: {is_canary: false}, at: 50s}
  alert_rule_test:
  - {eval_time: 30s, alertname: OrdersFail}
  - eval_time: 45s
    alertname: OrdersFail
    exp_alerts:
    - exp_labels: {tenant: acme, http_route: /orders, severity: critical}
      exp_annotations: {summary: 3 orders of acme failed at /orders}
  - {eval_time: 315s, alertname: OrdersFail}
  - {eval_time: 285s, alertname: OrderSlow}
  - {eval_time: 300s, alertname: OrderSlow, exp_alerts: [{exp_labels: {service: shop, severity: warning}}]}
  - {eval_time: 60s, alertname: Deployed}
  - {eval_time: 75s, alertname: Deployed, exp_alerts: [{exp_labels: {service: shop, severity: warning}}]}
  - {eval_time: 120s, alertname: Deployed}
  promql_expr_test:
  - expr: tenant:failed_orders:count5m
    eval_time: 60s
    exp_samples:
    - {labels: 'tenant:failed_orders:count5m{tenant="acme"}', value: 3}
    - {labels: 'tenant:failed_orders:count5m{tenant="globex"}', value: 2}
"""
NOW_MS = NOW_NS // 1_000_000


def failed(tenant: str, count: int) -> Any:
    """Orders that failed in the last seconds."""
    return trace_request(
        [
            span(tenant=tenant, route="/orders", status=2, start_ns=NOW_NS - at * SECOND_NS, seconds=0.5)
            for at in range(1, count + 1)
        ]
    )


def around(store: TelemetryStore, scope: Scope = PLATFORM) -> Surroundings:
    return Surroundings(MemorySource(), count_rows=rows_of(store, scope))


def test_rules_over_spans_and_events_are_tested_with_planted_ones() -> None:
    [outcome] = run_tests(TEST, "t.yaml", lambda name: read_rules(RULES, name))
    assert outcome.failures == []
    for right, wrong in (("3 orders", "4 orders"), ("duration: 3s", "duration: 1s"), ("at: 1m 70s", "at: 1m")):
        [broken] = run_tests(TEST.replace(right, wrong), "t.yaml", lambda name: read_rules(RULES, name))
        assert len(broken.failures) == 1, wrong


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        ("{nmae: x, at: 1s}", "did you mean 'name'"),
        ("{name: x}", "'at'; write such as"),
        ("{name: x, at: soon}", "cannot read input_spans of test 1"),
        ("x", "expected a mapping"),
    ],
)
def test_what_cannot_be_planted_is_said(planted: str, words: str) -> None:
    with pytest.raises(UnitTestError, match=words):
        run_tests(f"tests: [{{input_spans: [{planted}]}}]", "t.yaml", lambda name: read_rules(RULES, name))


def test_rules_over_traces_are_evaluated_over_the_store_within_their_scope(store: TelemetryStore, put: Any) -> None:
    put(failed("acme", 3), failed("globex", 2))
    [group] = read_rules(RULES, "a.yaml").groups
    for scope, recorded in ((PLATFORM, {"acme": 3.0, "globex": 2.0}), (Scope.of("globex"), {"globex": 2.0})):
        states = [RuleState(str(place), rule, rule.labels) for place, rule in enumerate(group.rules)]
        written: list[Any] = []
        for at_ms in (NOW_MS, NOW_MS + 15_000):
            evaluate_group(group, states, around(store, scope), at_ms, written.extend)
        assert {state.error for state in states} == {""}
        # globex has only two, and three are asked for.
        fires = [(one.labels["tenant"], one.labels["http_route"], one.state) for one in states[1].alerts.values()]
        assert fires == ([("acme", "/orders", "firing")] if scope == PLATFORM else [])
        assert {
            one.labels["tenant"]: one.value for one in written if one.labels["__name__"].startswith("tenant:")
        } == recorded


def test_an_alert_over_events_waits_for_as_many_as_it_asks_for(store: TelemetryStore, put: Any) -> None:
    deployed = [
        log_record("", time_ns=NOW_NS + at, event_name="deployment", attrs={"is_canary": True}) for at in (0, 1)
    ]
    condition = read_rules(RULES, "a.yaml").rules[3].notes.condition
    assert condition is not None
    put(log_request(deployed[:1]))
    assert vector_of(around(store).count_rows, condition, NOW_MS + 1000) == []
    put(log_request(deployed[1:]))
    assert vector_of(around(store).count_rows, condition, NOW_MS + 1000) == [({"service": "shop"}, 2.0)]


def test_counts_over_a_grid_are_those_at_each_of_its_times(store: TelemetryStore, put: Any) -> None:
    put(failed("acme", 40))
    condition = read_rules(RULES, "a.yaml").rules[1].notes.condition
    assert condition is not None
    count = around(store).count_rows
    for step in (7_000, 15_000, 300_000, 420_000):
        grid = Grid(NOW_MS - 15_000, NOW_MS + 600_000, step)
        at_each = {at: vector_of(count, condition, at) for at in grid.times.tolist()}
        found = [
            (at, value)
            for one in range_of(count, condition, grid, 3)
            for at, value in zip(one.times, one.values, strict=True)
        ]
        assert found == [(at, value) for at, vector in at_each.items() for _, value in vector], step
        assert found


def test_rules_over_traces_are_replayed_and_explained(store: TelemetryStore, put: Any) -> None:
    put(failed("acme", 3), failed("globex", 1))
    file = read_rules(RULES, "a.yaml")
    group, rule = file.groups[0], file.rules[1]
    made = replay(group, rule, around(store), grid_for(NOW_MS - 60_000, NOW_MS + 600_000, 15))
    [period] = made.periods
    assert (period.labels["tenant"], period.worst) == ("acme", 3.0)
    assert period.ended_at_ms is not None
    verdicts = explain(group, rule, around(store), NOW_MS + 60_000, 15)
    assert [(one.labels["tenant"], one.state, one.reason) for one in verdicts] == [
        ("acme", "firing", "3 >= 3"), ("globex", "inactive", "1 is not >= 3"),
    ]  # fmt: skip
    tested = backtest(file, around(store), NOW_MS - 60_000, NOW_MS + 600_000, 15)
    assert [(one.error, len(one.fires)) for one in tested] == [("", 0), ("", 1), ("", 0), ("", 0)]


def test_they_are_written_as_they_were_read_and_left_out_for_prometheus() -> None:
    file = read_rules(RULES, "a.yaml")
    again = read_rules(write_rules(file), "a.yaml")
    assert [rule.notes.condition for rule in again.rules] == [rule.notes.condition for rule in file.rules]
    assert "service: shop" in write_rules(file)
    assert "count: 3\n" in write_rules(file)
    assert "orders" not in write_rules(file, classic=True)
    lost = unexportable(file)
    assert ["over traces" in sentence for sentence in lost] == [True, True, True, False]
    assert "over events" in lost[3]


def test_what_is_counted_is_told_in_words() -> None:
    said = [described(rule.notes.condition) for rule in read_rules(RULES, "a.yaml").rules if rule.notes.condition]
    assert said[1:] == [
        "spans: service is shop, route is /orders, failed; by tenant, http.route within 5m",
        "spans: place order, plan is gold, 2s or longer; by service within 5m",
        "events: deployment, is_canary is true; by service within 1m",
    ]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("alert: X, tocsin: {traces: {rotue: /a}}", "line 3, .*rotue: there is no field 'rotue'; did you mean 'route'"),
        ("alert: X, tocsin: {traces: {by: [tenant]}}", "it would count every span; add service"),
        ("alert: X, tocsin: {traces: {service: a, is_error: maybe}}", "expected true or false, found 'maybe'"),
        ("alert: X, tocsin: {traces: {service: a, min_duration: long}}", "traces.min_duration: .*write such as 30s"),
        ("alert: X, tocsin: {traces: {service: a, count: 0}}", "expected a number from 1 on, found '0'"),
        ("alert: X, expr: up, tocsin: {traces: {service: a}}", "a rule over traces has no 'expr'; remove one of both"),
        ("alert: X, tocsin: {source: logs, traces: {service: a}}", "a rule over traces has no 'source'"),
        ("alert: X, tocsin: {events: {name: a}, traces: {service: a}}", "over events or over traces; make two"),
        ("alert: X, tocsin: {events: {name: a, is_error: true}}", "there is no field 'is_error'"),
        ("alert: X, tocsin: {trace: {service: a}}", "there is no field 'trace'; did you mean 'traces'"),
        ("record: x, for: 5m, tocsin: {traces: {service: a}}", "a recording rule has no 'for'"),
    ],
)  # fmt: skip
def test_what_is_no_such_rule_is_said(rule: str, words: str) -> None:
    with pytest.raises(TextError, match=words):
        read_rules(f"groups:\n- name: a\n  rules: [{{{rule}}}]\n", "a.yaml")
