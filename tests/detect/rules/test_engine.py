"""Groups by the clock: what fires, what survives a restart, what is reloaded, and what goes wrong without the rest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruling import START, Bench, bench

from tocsin.alerts.intake import Refused
from tocsin.model.control import SYSTEM
from tocsin.query.promql.source import MemorySource, Series, is_stale

RULES = """
groups:
- name: load
  interval: 15s
  rules:
  - record: job:load:sum
    expr: sum by (job) (load)
  - alert: HighLoad
    expr: job:load:sum > 5
    for: 30s
    labels: {severity: warning}
    annotations: {summary: "{{ $labels.job }} has {{ $value }}"}
"""


def sent(found: Bench, seconds: float) -> list[tuple[str, bool]]:
    return [(alert.name, alert.ends_at is not None) for alert in found.at(seconds)]


def test_alert_is_pending_then_fires_then_is_resolved(tmp_path: Path) -> None:
    with bench(tmp_path, RULES) as found:
        found.gauge("load", 4, job="a", instance="1")
        found.gauge("load", 3, until=120, job="a", instance="2")

        assert sent(found, 15) == []
        assert found.state("HighLoad") == "pending"
        assert sent(found, 30) == []
        assert sent(found, 45) == [("HighLoad", False)]
        assert found.told[0].annotations == {"summary": "a has 7"}
        assert dict(found.told[0].labels) == {"alertname": "HighLoad", "job": "a", "severity": "warning"}
        assert sent(found, 60) == []
        assert sent(found, 60 * 8) == [("HighLoad", True)]


def test_rule_reads_what_the_rule_before_it_wrote_in_the_same_evaluation(tmp_path: Path) -> None:
    with bench(tmp_path, RULES) as found:
        found.gauge("load", 9, job="a")
        found.write = lambda written: None  # type: ignore[method-assign]  # as a store that shows samples later
        found.engine._write = found.write

        found.at(15)

        assert found.state("HighLoad") == "pending"


def test_alerts_series_say_state_and_since_when(tmp_path: Path) -> None:
    with bench(tmp_path, RULES) as found:
        found.gauge("load", 9, until=60, job="a")
        for second in (15, 30, 45, 60):
            found.at(second)

        states = [one.labels["alertstate"] for one in found.source.series if one.labels["__name__"] == "ALERTS"]
        assert states == ["pending", "pending", "firing", "pending", "firing"]
        pending = [one for one in found.source.series if one.labels.get("alertstate") == "pending"]
        assert [bool(is_stale(one.values)[0]) for one in pending] == [False, False, True]
        since = {float(one.values[0]) for one in found.source.series if one.labels["__name__"] == "ALERTS_FOR_STATE"}
        assert len(since) == 1
        assert 0 <= since.pop() - START <= 15


def test_recorded_series_that_is_gone_gets_a_stale_marker(tmp_path: Path) -> None:
    with bench(tmp_path, RULES) as found:
        found.gauge("load", 1, until=30, job="a")
        found.at(15)
        found.at(600)

        last = [one for one in found.source.series if one.labels["__name__"] == "job:load:sum"][-1]
        assert is_stale(last.values)[0]


def test_firing_alert_survives_a_restart_and_is_resolved_after_it(tmp_path: Path) -> None:
    with bench(tmp_path, RULES) as found:
        found.gauge("load", 9, until=300, job="a")
        for second in (15, 30, 45):
            found.at(second)
        assert len(found.told) == 1
    with bench(tmp_path, RULES) as found:
        found.gauge("load", 9, until=100, job="a")
        assert sent(found, 60) == []
        assert found.state("HighLoad") == "firing"
        assert sent(found, 600) == [("HighLoad", True)]


def test_time_in_which_nobody_looked_does_not_count_as_pending(tmp_path: Path) -> None:
    with bench(tmp_path, RULES) as found:
        found.gauge("load", 9, job="a")
        found.at(15)
    with bench(tmp_path, RULES, seconds=1000) as found:
        found.gauge("load", 9, job="a")
        assert sent(found, 1000) == []
        assert found.state("HighLoad") == "pending"
        assert sent(found, 1045) == [("HighLoad", False)]


def test_missed_evaluations_are_counted(tmp_path: Path) -> None:
    with bench(tmp_path, RULES) as found:
        found.at(15)
        found.at(30)
        assert found.engine.groups[0].missed == 0
        found.at(15 * 7)

        assert found.engine.groups[0].missed == 4
        assert found.engine.groups[0].iterations == 3


def test_failing_rule_does_not_stop_the_others_and_keeps_its_alerts(tmp_path: Path) -> None:
    text = """
groups:
- name: mixed
  rules:
  - alert: Twins
    expr: label_replace(load, "instance", "x", "", "")
  - alert: Fine
    expr: load > 0
"""
    with bench(tmp_path, text) as found:
        found.gauge("load", 1, job="a", instance="1")
        found.gauge("load", 1, job="a", instance="2")

        assert [alert.name for alert in found.at(15)] == ["Fine", "Fine"]
        [state, _] = found.engine.groups[0].states
        assert state.health == "err"
        assert "same labelset" in state.error


def test_limit_silences_the_rule_with_an_error(tmp_path: Path) -> None:
    text = "groups: [{name: g, limit: 1, rules: [{alert: Many, expr: load > 0}]}]"
    with bench(tmp_path, text) as found:
        found.gauge("load", 1, instance="1")
        found.gauge("load", 1, instance="2")

        assert found.at(15) == []
        assert found.engine.groups[0].states[0].error == "exceeded limit of 1 with 2 alerts"


def test_keep_firing_for_bridges_a_gap(tmp_path: Path) -> None:
    text = "groups: [{name: g, rules: [{alert: Held, expr: load > 0, keep_firing_for: 10m}]}]"
    with bench(tmp_path, text) as found:
        found.gauge("load", 1, until=30)
        found.at(15)
        assert found.at(330) == found.told[1:]
        assert found.state("Held") == "firing"
        found.at(800)
        found.at(1000)
        assert found.state("Held") == "inactive"


def test_what_the_sink_did_not_take_is_told_at_the_next_evaluation(tmp_path: Path) -> None:
    text = "groups: [{name: g, rules: [{alert: Up, expr: load > 0}]}]"
    with bench(tmp_path, text) as found:
        found.gauge("load", 1)
        found.is_sink_down = True
        assert found.at(15) == []
        found.is_sink_down = False
        assert [alert.name for alert in found.at(30)] == ["Up"]
        assert found.at(45) == []
        assert [alert.name for alert in found.at(105)] == ["Up"]


def test_broken_file_leaves_its_former_rules_and_says_why(tmp_path: Path) -> None:
    with bench(tmp_path, RULES) as found:
        (found.folder / "a.yaml").write_text(RULES.replace("expr: sum", "exrp: sum"))
        (found.folder / "b.yaml").write_text("groups: [{name: other, rules: [{alert: Other, expr: vector(1)}]}]")

        [bad] = found.engine.reload()

        assert bad.name == "a.yaml"
        assert "line 7" in bad.reason
        assert "did you mean 'expr'?" in bad.reason
        assert [run.name for run in found.engine.groups] == ["other", "load"]


def test_alert_of_a_rule_that_is_gone_is_resolved(tmp_path: Path) -> None:
    text = "groups: [{name: g, rules: [{alert: Up, expr: vector(1)}]}]"
    with bench(tmp_path, text) as found:
        found.at(15)
        (found.folder / "a.yaml").write_text("groups: []")
        found.engine.reload()

        assert [(alert.name, alert.ends_at is not None) for alert in found.told] == [("Up", False), ("Up", True)]
        assert found.engine._rules.states() == {}


def test_reload_keeps_what_is_pending(tmp_path: Path) -> None:
    with bench(tmp_path, RULES) as found:
        found.gauge("load", 9, job="a")
        found.at(15)
        (found.folder / "a.yaml").write_text(RULES.replace("> 5", "> 6"))
        os.utime(found.folder / "a.yaml", (1, 1))
        found.engine._look_for_changes()

        assert found.engine.groups[0].states[1].rule.expr == "job:load:sum > 6"
        assert found.state("HighLoad") == "pending"


def test_switched_off_rule_is_resolved_and_stays_off_after_a_restart(tmp_path: Path) -> None:
    text = "groups: [{name: g, rules: [{alert: Up, expr: vector(1)}]}]"
    with bench(tmp_path, text) as found:
        found.at(15)
        key = found.engine.groups[0].states[0].key
        assert found.engine.switch(SYSTEM, key, False)
        assert found.told[-1].ends_at is not None
        assert not found.engine.switch(SYSTEM, "nobody", False)
    with bench(tmp_path, text) as found:
        assert found.at(60) == []
        assert found.state("Up") == "off"


def test_rule_switched_off_while_it_is_evaluated_does_not_fire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(tmp_path, "groups: [{name: g, rules: [{alert: Up, expr: up > 0}]}]") as found:
        found.gauge("up", 1)
        key, select = found.engine.groups[0].states[0].key, MemorySource.select

        def switch_off_then_select(source: MemorySource, *asked: Any) -> list[Series]:
            found.engine.switch(SYSTEM, key, False)
            return select(source, *asked)

        monkeypatch.setattr(MemorySource, "select", switch_off_then_select)
        found.at(15)
        assert {one.state for one in found.engine.groups[0].states[0].alerts.values()} <= {"inactive"}
        assert [alert for alert in found.told if alert.ends_at is None] == []


def test_rule_that_waits_for_its_signal_is_loaded_and_off(tmp_path: Path) -> None:
    text = "groups: [{name: g, rules: [{alert: Later, expr: vector(1), tocsin: {waits_for: backups}}]}]"
    with bench(tmp_path, text) as found:
        assert found.at(15) == []
        assert found.state("Later") == "off"


@pytest.mark.parametrize("count", [40])
def test_groups_spread_over_their_interval(tmp_path: Path, count: int) -> None:
    groups = "\n".join(f"- {{name: g{at}, interval: 60s, rules: []}}" for at in range(count))
    with bench(tmp_path, f"groups:\n{groups}") as found:
        offsets = np.array([run.offset_ms for run in found.engine.groups])
        assert len(set(offsets // 10_000)) == 6
        assert (offsets < 60_000).all()


def test_alert_that_cannot_be_kept_is_said_and_the_others_go_on(tmp_path: Path) -> None:
    text = "groups: [{name: g, interval: 15s, rules: [{alert: Up, expr: load > 5}]}]"
    with bench(tmp_path, text) as found:
        found.gauge("load", 9, job="a")

        def refuse(alerts: Any) -> None:
            found.told += alerts
            raise Refused("cannot keep alert 'Up': 1 are kept already; raise alerting.most_alerts")

        found.engine.sink = refuse
        found.at(15)
        assert [one.name for one in found.told] == ["Up"]
        [run] = found.engine.groups
        assert run.errors == ["cannot keep alert 'Up': 1 are kept already; raise alerting.most_alerts"]
        assert sent(found, 30) == []  # it was handed over, and is again when it is due
        found.engine.sink = found.take
        found.at(90)
        assert run.errors == []
