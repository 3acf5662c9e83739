"""An alertmanager.yml is read as it is, and every fault has its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.alerts.config import (
    DEFAULT_TEXT,
    AlertConfigError,
    load_alert_config,
    read_alert_config,
    with_route_for,
)
from tocsin.alerts.route import all_routes, group_key, group_labels, route_alert

REAL = """
global:
  smtp_smarthost: 'localhost:25'
  resolve_timeout: 3m
templates: ['/etc/alertmanager/template/*.tmpl']
route:
  group_by: ['alertname', 'cluster', 'service']
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 3h
  receiver: team-X-mails
  routes:
    - matchers:
        - service=~"foo1|foo2|baz"
      receiver: team-X-mails
      routes:
        - matchers: [severity="critical"]
          receiver: team-X-pager
          group_wait: 5s
          active_time_intervals: [office]
    - match: {service: database}
      receiver: team-DB-pager
      group_by: [...]
      continue: true
inhibit_rules:
  - source_matchers: [severity="critical"]
    target_matchers: [severity="warning"]
    equal: [alertname, cluster, service]
receivers:
  - name: team-X-mails
    email_configs: [{to: team-X+alerts@example.org}]
  - name: team-X-pager
    pagerduty_configs: [{routing_key: abc}]
  - name: team-DB-pager
time_intervals:
  - name: office
    time_intervals:
      - weekdays: ['monday:friday']
        times: [{start_time: '09:00', end_time: '17:00'}]
        location: Europe/Berlin
"""


def test_real_file_is_read_with_what_routes_inherit() -> None:
    config = read_alert_config(REAL)
    root, team, pager, database = all_routes(config.route)

    assert (root.receiver, root.repeat_interval_seconds) == ("team-X-mails", 3 * 3600)
    assert (pager.receiver, pager.group_wait_seconds, pager.group_interval_seconds) == ("team-X-pager", 5, 300)
    assert pager.key == '{}/{service=~"foo1|foo2|baz"}/{severity="critical"}'
    assert pager.active_times == ("office",)
    assert (team.group_by, database.group_by) == (frozenset({"alertname", "cluster", "service"}), None)
    assert database.continues
    assert config.resolve_timeout_seconds == 180
    assert [receiver.sends_resolved for receiver in config.receivers] == [False, True, False]


def test_default_sends_the_worst_at_once() -> None:
    config = read_alert_config(DEFAULT_TEXT)

    assert [route.group_wait_seconds for route in route_alert(config.route, {"severity": "page"})] == [0]
    assert [route.group_wait_seconds for route in route_alert(config.route, {"severity": "warning"})] == [10]


def test_default_tells_the_least_together_and_rarely() -> None:
    (low,) = route_alert(
        read_alert_config(DEFAULT_TEXT).route, {"alertname": "Slow", "severity": "low", "tenant": "acme"}
    )

    assert (low.group_by, low.group_wait_seconds, low.group_interval_seconds) == (frozenset({"tenant"}), 300, 4 * 3600)


def test_group_key_is_that_of_alertmanager() -> None:
    route = read_alert_config(REAL).route
    labels = group_labels(route, {"alertname": 'A"b', "cluster": "x", "other": "1"})

    assert group_key(route, labels) == '{}:{alertname="A\\"b", cluster="x"}'


FAULTS = {
    "no root": ("receivers: []", "there is no root route"),
    "no receiver": ("route: {}\nreceivers: [{name: a}]", "line 1, route.receiver: it names no receiver"),
    "unknown receiver": ("route: {receiver: b}\nreceivers: [{name: a}]", "line 1, route.receiver: there is no"),
    "two receivers": ("route: {receiver: a}\nreceivers:\n- name: a\n- name: a", "line 4, receivers[1]: there are two"),
    "unknown key": ("route:\n  receiver: a\n  group_bye: [x]\nreceivers: [{name: a}]", "line 3, route.group_bye"),
    "matchers at the root": ("route: {receiver: a, match: {x: y}}\nreceivers: [{name: a}]", "takes every alert"),
    "bad duration": ("route: {receiver: a, group_wait: soon}\nreceivers: [{name: a}]", "'soon' is no duration"),
    "zero interval": ("route: {receiver: a, group_interval: 0s}\nreceivers: [{name: a}]", "it cannot be zero"),
    "bad matcher": ("route: {receiver: a, routes: [{matchers: ['x=~\"(\"']}]}\nreceivers: [{name: a}]", "missing )"),
    "every label and one": ("route: {receiver: a, group_by: ['...', x]}\nreceivers: [{name: a}]", "stands alone"),
    "unknown interval": (
        "route: {receiver: a, routes: [{mute_time_intervals: [night]}]}\nreceivers: [{name: a}]",
        "no time interval 'night'",
    ),
    "bad interval": (
        "route: {receiver: a}\nreceivers: [{name: a}]\n"
        "time_intervals:\n- name: n\n  time_intervals:\n  - weekdays: [freeday]",
        "line 6, time_intervals[0].time_intervals[0].weekdays[0]: 'freeday' is no value",
    ),
    "no YAML": ("route: [", "this is no YAML"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_named_with_its_place(name: str) -> None:
    text, said = FAULTS[name]

    with pytest.raises(AlertConfigError) as caught:
        read_alert_config(text)
    assert said in str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(AlertConfigError) as caught:
        read_alert_config("route: {receiver: b, group_wait: x, sound: loud}\nreceivers: [{name: a}]")
    assert str(caught.value).count("\n") == 3


def test_what_is_not_carried_out_is_reported() -> None:
    config = read_alert_config("route: {receiver: a}\nreceivers: [{name: a}]\ntracing: {endpoint: x}")

    assert config.ignored == ("tracing: not carried out",)


def test_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(AlertConfigError, match="cannot read alert configuration"):
        load_alert_config(str(tmp_path / "none.yml"))


def test_a_route_of_ones_own_comes_first_and_takes_only_its_label() -> None:
    config = with_route_for(read_alert_config(REAL), "tocsin_path_check", "log")
    (taken,) = route_alert(config.route, {"tocsin_path_check": "ab", "severity": "critical", "service": "foo1"})
    assert (taken.receiver, taken.group_wait_seconds, taken.group_by) == ("log", 0.0, None)
    assert config.receiver("log").name == "log"
    others = route_alert(config.route, {"severity": "critical", "service": "foo1"})
    assert [route.receiver for route in others] == ["team-X-pager"]
