"""What an Alertmanager outside hears of rules, held against the specification of alert generators.

The facts are those of github.com/prometheus/compliance (alert_generator/specification.md and its four cases): samples
every 15 s, groups every 30 s, told again after a minute, resolved ones for a quarter of an hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from ruling import START, Bench, bench
from tests.notify.providers import Provider, provider

from tocsin.detect.rules.evaluation import Written
from tocsin.model.control import SYSTEM
from tocsin.query.promql.engine import instant
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import Series
from tocsin.web.api import prometheus_rules
from tocsin.web.auth import current_principal

STEP, INTERVAL, RESEND, KEPT = 15, 30, 60, 900


@dataclass(frozen=True)
class Heard:
    """One alert in one request. Times in seconds since START; `at` is that of the evaluation that told it."""

    at: float
    starts: float
    ends: float
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def is_resolved(self) -> bool:
        return self.ends <= self.at


@dataclass
class Suite:
    """An engine under a clock, an Alertmanager that listens to it, and Prometheus' API over it."""

    found: Bench
    receiver: Provider
    api: TestClient
    heard: list[Heard] = field(default_factory=list)

    @property
    def first(self) -> float:
        """The first time at which the only group is evaluated."""
        [run] = self.found.engine.groups
        return (run.offset_ms - START * 1000) % run.interval_ms / 1000

    def evaluated_from(self, seconds: float) -> float:
        """The first evaluation that sees a sample of this time."""
        return round(self.first + max(0, -(-(seconds - self.first) // INTERVAL)) * INTERVAL, 3)

    def run_to(self, seconds: float) -> None:
        """Evaluates at each time that is due until then, and waits for what is on its way."""
        while self.found.seconds < seconds:
            self.at(self.evaluated_from(self.found.seconds + 0.001))

    def at(self, seconds: float) -> None:
        had = sum(len(one.json) for one in self.receiver.asked)
        news = [one for one in self.found.at(seconds) if not self._is_failing(one.name)]
        if not news:
            return
        self.receiver.wait_for(lambda asked: sum(len(one.json) for one in asked) >= had + len(news))
        alerts = [alert for one in self.receiver.asked for alert in one.json]
        self.heard += [_heard(alert, seconds) for alert in alerts[had:]]

    def _is_failing(self, name: str) -> bool:
        return any(one.error and one.rule.name == name for run in self.found.engine.groups for one in run.states)

    def of(self, name: str) -> list[Heard]:
        return [one for one in self.heard if one.labels["alertname"] == name]

    def rule(self, name: str) -> dict[str, Any]:
        groups = self.api.get("/prometheus/api/v1/rules").json()["data"]["groups"]
        return next(rule for group in groups for rule in group["rules"] if rule["name"] == name)

    def alerts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get("/prometheus/api/v1/alerts").json()["data"]["alerts"]
        return found

    def states(self) -> dict[str, set[str]]:
        """By name, the states in which ALERTS has it now."""
        result = instant(self.found.source, "ALERTS", round((START + self.found.seconds) * 1000), QuerySettings())
        found: dict[str, set[str]] = {}
        for one in result.series:
            found.setdefault(one.labels["alertname"], set()).add(one.labels["alertstate"])
        return found


def _heard(alert: Mapping[str, Any], at: float) -> Heard:
    return Heard(at, _seconds(alert["startsAt"]), _seconds(alert["endsAt"]), alert["labels"], alert["annotations"])


def _seconds(text: str) -> float:
    return round(datetime.fromisoformat(text).timestamp() - START, 3)


@contextmanager
def suite(folder: Path, rules: str, begins: float = 0.0) -> Iterator[Suite]:
    with provider() as receiver, bench(folder, rules, begins, alertmanagers=(receiver.url,)) as found:
        found.engine._write = partial(_keep, found)
        app = FastAPI()
        app.include_router(prometheus_rules.router)
        app.state.tocsin = SimpleNamespace(rules=found.engine)
        app.dependency_overrides[current_principal] = lambda: SYSTEM
        with TestClient(app) as api:
            yield Suite(found, receiver, api)


def _keep(found: Bench, written: Sequence[Written]) -> None:
    """As a store does: what is written of a series belongs to it, though each comes by itself."""
    known = {tuple(sorted(one.labels.items())): place for place, one in enumerate(found.source.series)}
    for one in written:
        place = known.get(tuple(sorted(one.labels.items())))
        if place is None:
            found.source.series = [
                *found.source.series,
                Series(one.labels, np.array([one.time_ms]), np.array([one.value])),
            ]
            continue
        there = found.source.series[place]
        times, values = np.append(there.timestamps, one.time_ms), np.append(there.values, one.value)
        found.source.series[place] = Series(there.labels, times, values)


def every_minute(begin: float, end: float) -> list[float]:
    return [round(begin + RESEND * place, 3) for place in range(int(max(0, -(-round(end - begin, 3) // RESEND))))]


def samples(suite: Suite, runs: Sequence[tuple[float, float]], until: float, **labels: str) -> None:
    """A gauge that has each value from its second on, every 15 seconds."""
    points = []
    for second in range(0, int(until), STEP):
        value = next(value for begin, value in reversed(runs) if begin <= second)
        points.append((round((START + second) * 1000), value))
    suite.found.source.add({"__name__": "queue_length", **labels}, points)


LIFE = """
groups:
- name: life
  interval: 30s
  rules:
  - alert: QueueGrows
    expr: queue_length > 10
    for: 6m
    labels: {team: exports}
    annotations: {said: "as it was written", now: "{{ $value }} and {{ .Value }}"}
"""
ACTIVE, OTHER, THIRD, OVER, AGAIN, OVER_AGAIN = 120, 315, 795, 1035, 1335, 2010
LIFE_RUNS = [(0, 3.0), (60, 9.0), (ACTIVE, 11), (OTHER, 15), (THIRD, 19), (OVER, 9), (AGAIN, 15), (OVER_AGAIN, 8)]


def test_alert_is_told_while_it_fires_and_a_quarter_of_an_hour_after(tmp_path: Path) -> None:
    with suite(tmp_path, LIFE) as made:
        samples(made, LIFE_RUNS, OVER_AGAIN + 1200)
        made.run_to(OVER_AGAIN + 1100)

        fires = made.evaluated_from(ACTIVE + 360)
        over, again = made.evaluated_from(OVER), made.evaluated_from(AGAIN)
        fires_again, over_again = made.evaluated_from(AGAIN + 360), made.evaluated_from(OVER_AGAIN)
        firing = [one for one in made.heard if not one.is_resolved]
        resolved = [one for one in made.heard if one.is_resolved]
        assert [one.at for one in firing] == every_minute(fires, over) + every_minute(fires_again, over_again)
        # The first was still told when the alert became pending anew, which ended that.
        assert [one.at for one in resolved] == every_minute(over, again) + every_minute(over_again, over_again + KEPT)
        assert {one.starts for one in made.heard} == {fires, fires_again}
        assert {round(one.ends - one.at, 3) for one in firing} == {4 * RESEND}
        assert {one.ends for one in resolved} == {over, over_again}
        changed = made.evaluated_from(THIRD)
        for one in made.heard:
            value = "19" if changed <= one.at < fires_again else "15"
            assert one.annotations == {"said": "as it was written", "now": f"{value} and {value}"}
            assert one.labels == {"alertname": "QueueGrows", "team": "exports"}


def test_api_and_series_say_each_state(tmp_path: Path) -> None:
    with suite(tmp_path, LIFE) as made:
        samples(made, LIFE_RUNS, OVER_AGAIN + 600)
        pending = made.evaluated_from(ACTIVE)
        # when, its state, its value, and since when
        course = [
            (pending - INTERVAL, "inactive", "", None),
            (pending, "pending", "1.1e+01", pending),
            (made.evaluated_from(OTHER), "pending", "1.5e+01", pending),
            (pending + 360 - INTERVAL, "pending", "1.5e+01", pending),
            (pending + 360, "firing", "1.5e+01", pending),
            (made.evaluated_from(THIRD), "firing", "1.9e+01", pending),
            (made.evaluated_from(OVER), "inactive", "", None),
            (made.evaluated_from(AGAIN), "pending", "1.5e+01", made.evaluated_from(AGAIN)),
        ]
        for at, state, value, since in course:
            made.run_to(at)
            rule = made.rule("QueueGrows")
            assert (rule["state"], rule["health"], rule["duration"], rule["type"]) == (state, "ok", 360, "alerting")
            assert rule["query"] == "queue_length > 10"
            assert (rule["labels"], rule["annotations"]["now"]) == (
                {"team": "exports"},
                "{{ $value }} and {{ .Value }}",
            )
            assert "lastError" not in rule
            assert _seconds(rule["lastEvaluation"]) == pytest.approx(at)
            assert rule["alerts"] == made.alerts()
            assert made.states() == ({} if since is None else {"QueueGrows": {state}})
            told = [(one["state"], one["value"], _seconds(one["activeAt"])) for one in rule["alerts"]]
            assert told == ([] if since is None else [(state, value, pytest.approx(since))])


def test_pending_alert_that_ends_is_told_to_nobody(tmp_path: Path) -> None:
    with suite(tmp_path, LIFE) as made:
        samples(made, [(0, 3.0), (ACTIVE, 11), (285, 9)], 300)
        samples(made, [(0, 3.0), (ACTIVE, 11)], 150, instance="that-ends")  # beyond the lookback it is gone
        made.run_to(240)
        assert made.states() == {"QueueGrows": {"pending"}}
        assert len(made.alerts()) == 2
        made.run_to(1500)

        assert made.heard == []
        assert made.rule("QueueGrows")["state"] == "inactive"


SHORT = """
groups:
- name: short
  interval: 30s
  rules:
  - alert: AtOnce
    expr: queue_length{kind="work"} > 10
    labels: {team: exports}
    annotations:
      words: >-
        {{ humanize 2048576 }} {{ humanize1024 3145728 }} {{ humanizeDuration 125.5 }} {{ humanizePercentage 0.25 }}
        {{ humanizeTimestamp 1700000040 }}
      asked: >-
        {{ define "both" }}{{ .arg0 }}-{{ .arg1 }}{{ end }}{{ template "both" (args "a" 7) }}
        {{ with query "queue_length{kind='other'}" }}{{ . | sortByLabel "id" | first | label "id" }}:
        {{ range sortByLabel "id" . }}{{ . | label "id" }}={{ . | value }}/{{ . | strvalue }};{{ end }}{{ end }}
  - alert: NextTime
    expr: queue_length{kind="work"} > 13
    for: 15s
    annotations:
      words: >-
        {{ title "two words" }} {{ toUpper "up" }} {{ toLower "LOW" }} {{ stripPort "[::1]:9090" }}
        {{ stripPort "10.0.0.1:80" }} {{ parseDuration "1h30m5s" }}
        {{ if match "^[0-9]+$" "12" }}{{ reReplaceAll "a(.)" "$1" "abac" }}{{ end }}
        {{- if match "^[0-9]+$" "12a" }} never{{ end }}
"""


def test_without_for_it_fires_at_once_and_with_a_short_one_at_the_next_evaluation(tmp_path: Path) -> None:
    begins, over, again = 120, 315, 1395
    with suite(tmp_path, SHORT) as made:
        samples(made, [(0, 3.0), (begins, 15), (over, 9), (again, 11), (again + 180, 9)], again + 200, kind="work")
        for id, value in (("102", 2), ("101", 1)):
            samples(made, [(0, value), (600, 2 * value)], again + 600, kind="other", id=id, __value__=f"v{value}")
        fires, ends, fires_again = (made.evaluated_from(one) for one in (begins, over, again))
        ends_again = made.evaluated_from(again + 180)
        made.run_to(fires)
        assert made.states() == {"AtOnce": {"firing"}, "NextTime": {"pending"}}
        made.run_to(ends_again)

        words = made.of("AtOnce")[0].annotations
        assert words["words"] == "2.049M 3Mi 2m 5s 25% 2023-11-14 22:14:00 +0000 UTC"
        assert words["asked"] == "a-7 101: 101=1/v1;102=2/v2;"
        assert made.of("AtOnce")[-1].annotations["asked"] == "a-7 101: 101=2/v1;102=4/v2;"
        assert made.of("NextTime")[0].annotations["words"] == "Two Words UP low ::1 10.0.0.1 5405 bc"
        told = {name: [one.at for one in made.of(name) if not one.is_resolved] for name in ("AtOnce", "NextTime")}
        assert told["AtOnce"] == every_minute(fires, ends) + every_minute(fires_again, ends_again)
        assert told["NextTime"] == every_minute(fires + INTERVAL, ends)
        # Nothing more is said of it after a quarter of an hour.
        assert [one.at for one in made.of("NextTime") if one.is_resolved] == every_minute(ends, ends + KEPT)


def test_alert_without_data_is_resolved(tmp_path: Path) -> None:
    with suite(tmp_path, SHORT) as made:
        samples(made, [(0, 12.0)], 60, kind="work")
        made.run_to(600)

        [over] = {one.ends for one in made.heard if one.is_resolved}
        assert over == made.evaluated_from(45 + 300)  # the lookback behind the last sample


CHAIN = """
groups:
- name: chain
  interval: 30s
  rules:
  - alert: Part
    expr: queue_length > 10
    for: 3m
    labels: {team: exports}
    annotations: {said: more may come}
  - alert: Both
    expr: sum without (variant) (ALERTS{alertname="Part", alertstate="firing"}) == 2
    labels: {team: platform, level: high}
    annotations: {said: "{{ $labels.alertname }} of {{ .Labels.team }}"}
"""


def test_rule_sees_in_the_same_evaluation_what_the_one_before_it_says(tmp_path: Path) -> None:
    first, second, over = 120, 480, 1080
    with suite(tmp_path, CHAIN) as made:
        samples(made, [(0, 1.0), (first, 11), (over, 9)], over + 300, variant="one")
        samples(made, [(0, 1.0), (second, 11), (over, 9)], over + 300, variant="two")
        both = made.evaluated_from(second + 180)
        made.run_to(both - INTERVAL)
        assert made.states() == {"Part": {"firing", "pending"}}
        assert [one["labels"]["variant"] for one in made.alerts()] == ["one", "two"]
        made.run_to(both)
        assert made.states() == {"Part": {"firing"}, "Both": {"firing"}}
        made.run_to(over + 60)

        told = made.of("Both")
        ends = made.evaluated_from(over)
        assert [one.at for one in told if not one.is_resolved] == every_minute(both, ends)
        assert told[0].labels == {"alertname": "Both", "alertstate": "firing", "team": "platform", "level": "high"}
        assert told[0].annotations == {"said": "Part of exports"}
        assert {one.ends for one in told if one.is_resolved} == {ends}


SAME = """
groups:
- name: same
  interval: 30s
  rules:
  - alert: OneName
    expr: queue_length > 10
    labels: {instance: one}
"""


def test_rule_with_two_alerts_of_the_same_labels_fails_and_tells_nobody(tmp_path: Path) -> None:
    with suite(tmp_path, SAME) as made:
        samples(made, [(0, 11.0)], 900, instance="a")
        samples(made, [(0, 1.0), (120, 11), (480, 1)], 900, instance="b")
        fails, well = made.evaluated_from(120), made.evaluated_from(480)
        made.run_to(fails)
        rule = made.rule("OneName")
        assert (rule["health"], rule["state"]) == ("err", "firing")
        assert "same labelset" in rule["lastError"]
        made.run_to(840)

        assert not [one for one in made.heard if fails <= one.at < well]
        assert [one for one in made.heard if one.at >= well]
        # Here it goes on as it was: our own receivers are not told that it is over.
        assert not [alert for alert in made.found.told if alert.ends_at is not None]


def test_alert_of_a_slow_group_outlasts_the_time_between_two_evaluations(tmp_path: Path) -> None:
    with suite(tmp_path, SAME.replace("interval: 30s", "interval: 10m")) as made:
        samples(made, [(0, 11.0)], 3600, instance="a")
        made.at(made.first + 1200)

        [one] = made.heard
        assert one.ends - one.starts == 4 * 600


def test_restart_neither_tells_early_nor_late(tmp_path: Path) -> None:
    with suite(tmp_path, SAME) as made:
        samples(made, [(0, 11.0)], 900, instance="a")
        made.run_to(made.first + 90)
        told, slot = [one.at for one in made.heard], made.found.seconds
    with suite(tmp_path, SAME, slot + 1) as made:
        samples(made, [(0, 11.0)], 900, instance="a")
        made.run_to(slot + 240)

        assert [*told, *(one.at for one in made.heard)] == every_minute(told[0], made.found.seconds + 1)
        assert {one.starts for one in made.heard} == {told[0]}


def test_alertmanagers_are_named_as_prometheus_names_them(tmp_path: Path) -> None:
    with suite(tmp_path, SAME) as made:
        said = made.api.get("/prometheus/api/v1/alertmanagers").json()["data"]
        assert said == {
            "activeAlertmanagers": [{"url": f"{made.receiver.url}/api/v2/alerts"}],
            "droppedAlertmanagers": [],
        }
