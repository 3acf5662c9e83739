"""What is wrong with alerting is said on the Alerts page: each fault once, by its file's, rule's or receiver's name."""

from __future__ import annotations

import pytest

from tocsin.detect.rules.alerting import RuleState
from tocsin.detect.rules.evaluation import Surroundings, evaluate_group
from tocsin.detect.rules.group_run import GroupRun
from tocsin.detect.rules.library import Loaded, Unreadable
from tocsin.detect.rules.rule_text import read_rules
from tocsin.query.promql.source import MemorySource
from tocsin.web.alert_problems import rule_faults, untold

TEXT = """groups:
  - name: mine
    rules:
      - {alert: Worded, expr: vector(1), annotations: {summary: '{{ query "sum(" }}'}}
      - alert: Twice
        expr: label_replace(vector(1), "a", "1", "", "") or label_replace(vector(1), "a", "2", "", "")
        labels: {a: b}
      - {alert: Fine, expr: vector(1)}
"""


@pytest.fixture
def evaluated() -> GroupRun:
    file = read_rules(TEXT, "mine.yml")
    (group,) = file.groups
    states = [RuleState(rule.name, rule, rule.labels) for rule in group.rules]
    evaluate_group(group, states, Surroundings(MemorySource()), 60_000, lambda written: None)
    return GroupRun(Loaded(file, "folder", TEXT), group, 15_000, states)


def test_a_rule_that_fails_and_one_whose_words_fail_are_named_with_the_cause(evaluated: GroupRun) -> None:
    failing, unfilled = rule_faults([evaluated], [])

    assert failing.startswith("rule 'Twice' cannot be evaluated: vector contains metrics with the same labelset")
    assert unfilled.startswith("words of rule 'Worded' cannot be filled: error executing query 'sum('")


def test_a_file_that_cannot_be_read_is_named_with_its_line() -> None:
    (said,) = rule_faults([], [Unreadable("mine.yml", "folder", "line 5: there is no field 'exrp'")])

    assert said == "rule file 'mine.yml' cannot be read: line 5: there is no field 'exrp'; its former rules go on"


def test_a_receiver_that_fails_again_and_again_leaves_room_for_the_others() -> None:
    failures = [("liar", "no")] * 9 + [("hanger", "silent")] + [(f"r{number}", "away") for number in range(5)]

    found = untold(failures)

    assert found[:2] == ["receiver 'liar' could not be told: no", "receiver 'hanger' could not be told: silent"]
    assert found[5:] == ["2 faults more of receivers, see Channels"]
