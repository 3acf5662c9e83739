"""Rules over a span at once: periods, back-tests that feed recorded series, and verdicts at an instant."""

from __future__ import annotations

import pytest

from tocsin.detect.rules.evaluation import Surroundings
from tocsin.detect.rules.replay import backtest, explain, grid_for, measured, replay
from tocsin.detect.rules.rule_text import read_rules
from tocsin.query.promql.source import MemorySource

MINUTE = 60_000
RULES = """
groups:
- name: g
  interval: 1m
  rules:
  - record: job:load:sum
    expr: sum by (job) (load)
  - alert: HighLoad
    expr: job:load:sum > 5
    for: 5m
    labels: {severity: critical}
"""


@pytest.fixture
def around() -> Surroundings:
    """job a breaches from minute 60 to 90 and for two minutes at 120; job b never does."""
    source = MemorySource()
    values = [(9.0 if 60 <= minute < 90 or 120 <= minute < 122 else 1.0) for minute in range(180)]
    source.add({"__name__": "load", "job": "a"}, [(at * MINUTE, value) for at, value in enumerate(values)])
    source.add({"__name__": "load", "job": "b"}, [(at * MINUTE, 2.0) for at in range(180)])
    return Surroundings(source)


def test_backtest_feeds_recorded_series_to_alerts(around: Surroundings) -> None:
    [_, found] = backtest(read_rules(RULES, "x"), around, 0, 179 * MINUTE, 60)

    assert found.error == ""
    [long, short] = found.periods
    assert (long.pending_at_ms, long.fired_at_ms, long.ended_at_ms) == (60 * MINUTE, 65 * MINUTE, 90 * MINUTE)
    assert (long.labels["job"], long.worst) == ("a", 9.0)
    assert (short.pending_at_ms, short.fired_at_ms, short.ended_at_ms) == (120 * MINUTE, None, 122 * MINUTE)
    assert found.fires == [long]


def test_backtest_goes_on_after_a_rule_that_fails(around: Surroundings) -> None:
    text = RULES.replace("sum by (job) (load)", 'label_replace(load, "job", "x", "", "")')
    found = backtest(read_rules(text, "x"), around, 0, 10 * MINUTE, 60)

    assert found[0].error
    assert found[1].periods == []


def test_explanation_tells_value_threshold_and_how_long(around: Surroundings) -> None:
    file = read_rules(RULES.replace("job:load:sum > 5", "sum by (job) (load) > 5"), "x")
    group, rule = file.groups[0], file.groups[0].rules[1]

    def verdicts(minute: int) -> dict[str, tuple[str, str]]:
        found = explain(group, rule, around, minute * MINUTE, 60)
        return {one.labels["job"]: (one.state, one.reason) for one in found}

    assert verdicts(50) == {"a": ("inactive", "1 is not > 5"), "b": ("inactive", "2 is not > 5")}
    assert verdicts(62)["a"] == ("pending", "9 > 5, but for 120 s of the 300 s it has to")
    assert verdicts(70)["a"] == ("firing", "9 > 5")
    assert verdicts(95)["a"] == ("inactive", "1 is not > 5")


def test_long_spans_take_larger_steps_and_stay_affordable(around: Surroundings) -> None:
    grid = grid_for(0, 30 * 86_400_000, 15)
    assert len(grid) <= 10_001
    file = read_rules(RULES.replace("job:load:sum > 5", "load > 5"), "x")
    assert replay(file.groups[0], file.groups[0].rules[1], around, grid).error == ""


@pytest.mark.parametrize(
    ("expr", "parts"),
    [
        ("rate(x[5m]) > 3", ("rate(x[5m])", ">", 3)),
        ("3 < sum(x)", ("sum(x)", ">", 3)),
        ("x < -1 and y > 2", ("x", "<", -1)),
        ("x > 1 unless y", ("x", ">", 1)),
        ("up == 0", ("up", "==", 0)),
        ("absent(up)", ("absent(up)", "", None)),
        ("a > b", ("a > b", "", None)),
    ],
)
def test_expression_is_taken_apart_into_what_is_measured_and_its_threshold(
    expr: str, parts: tuple[str, str, float | None]
) -> None:
    found = measured(expr)

    assert (found.text, found.operator, found.threshold) == parts
