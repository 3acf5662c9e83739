"""Side by side with the real Alertmanager: same configuration, same alerts, same messages at the same times."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
from beside import Both, both, ended, fired

from tocsin.alerts.config import read_alert_config
from tocsin.alerts.route import route_alert
from tocsin.model.clock import utc_now

TEXT = """
route:
  receiver: base
  group_by: [alertname]
  group_wait: 2s
  group_interval: 4s
  repeat_interval: 9s
  routes:
    - matchers: ['team="db"']
      receiver: db
      group_by: [alertname, cluster]
      continue: true
      routes:
        - match_re: {severity: "page|critical"}
          receiver: db-page
          group_wait: 1s
    - match: {team: db}
      receiver: audit
      group_by: ['...']
      repeat_interval: 1h
    - matchers: [kind=muted]
      receiver: muted
      mute_time_intervals: [always]
    - matchers: ['{kind="active",x!="1"}']
      receiver: active
      active_time_intervals: [never]
    - matchers: [kind=open]
      receiver: open
      active_time_intervals: [always]
      mute_time_intervals: [never]
    - matchers: [kind=quiet]
      receiver: quiet
receivers:
  - name: base
    webhook_configs: [{url: RECEIVER_URL}]
  - name: db
    webhook_configs: [{url: RECEIVER_URL}]
  - name: db-page
    webhook_configs: [{url: RECEIVER_URL}]
  - name: audit
    webhook_configs: [{url: RECEIVER_URL}]
  - name: muted
    webhook_configs: [{url: RECEIVER_URL}]
  - name: active
    webhook_configs: [{url: RECEIVER_URL}]
  - name: open
    webhook_configs: [{url: RECEIVER_URL}]
  - name: quiet
    webhook_configs: [{url: RECEIVER_URL, send_resolved: false}]
inhibit_rules:
  - source_matchers: [severity="page"]
    target_matchers: ['severity=~"warn.*"']
    equal: [alertname, cluster]
  - source_match: {role: both}
    target_match: {role: both}
    equal: [alertname]
time_intervals:
  - name: always
    time_intervals: [{times: [{start_time: "00:00", end_time: "24:00"}]}]
  - name: never
    time_intervals: [{years: ["1999"]}]
"""
TOLERANCE_SECONDS = 2.5  # a busy machine, two processes that each wait for a timer


def test_same_alerts_make_the_same_messages(tmp_path: Path) -> None:
    with both(tmp_path, TEXT) as side:
        _play(side)
        time.sleep(8)
        theirs, ours = side.theirs.by_group(), side.ours.by_group()

    for key in ours.keys() | theirs.keys():
        assert [one.said for one in ours.get(key, ())] == [one.said for one in theirs.get(key, ())], key
    apart = [abs(one.at - other.at) for key in ours for one, other in zip(ours[key], theirs[key], strict=True)]
    assert max(apart) < TOLERANCE_SECONDS
    assert {receiver for receiver, _ in ours} == {"base", "db", "db-page", "audit", "open", "quiet"}


def _play(side: Both) -> None:
    """Twelve seconds of alerts that come, are held back and go."""
    start = utc_now().replace(microsecond=0)
    database = [
        fired("1", alertname="Down", team="db", cluster="a", severity="page"),
        fired("2", alertname="Down", team="db", cluster="a", severity="warning"),  # inhibited by 1
        fired("3", alertname="Down", team="db", cluster="b", severity="warning"),
    ]
    others = [
        fired("4", alertname="Slow", severity="warning"),
        fired("5", alertname="Slow", severity="page", cluster="z"),
        fired("6", alertname="Mute", kind="muted"),
        fired("7", alertname="Late", kind="active"),
        fired("8", alertname="Open", kind="open"),
        fired("9", alertname="Quiet", kind="quiet"),
        fired("10", alertname="Loop", role="both"),
        fired("11", alertname="Loop", role="both", cluster="b"),
        fired("12", alertname="Old", at=start - timedelta(minutes=5)),  # told without a wait
        fired("13", alertname="Silent"),
    ]
    side.silence("alertname", "Silent", start + timedelta(hours=1))
    side.send(*database, *others)
    time.sleep(3.2)
    side.send(fired("14", alertname="Slow", severity="info"))
    time.sleep(4)
    side.send(*ended([database[0], others[5], others[4], others[1]]))  # 2 is no longer inhibited
    time.sleep(1)
    side.send(fired("15", alertname="Quiet", kind="quiet"))


VALUES = {"team": ("db", "web", ""), "severity": ("page", "warning", "info"), "env": ("prod", "dev")}


def _random_route(chance: random.Random, depth: int) -> str:
    indent = "  " * (depth * 2)
    name = chance.choice(list(VALUES))
    value = chance.choice(VALUES[name])
    matcher = chance.choice([f'{name}="{value}"', f'{name}!="{value}"', f'{name}=~"{value}|x.*"', f'{name}!~"{value}"'])
    text = f"{indent}- receiver: r{chance.randrange(9)}\n{indent}  matchers: ['{matcher}']\n"
    text += f"{indent}  continue: true\n" if chance.random() < 0.4 else ""
    if depth < 3 and chance.random() < 0.6:
        text += f"{indent}  routes:\n" + "".join(_random_route(chance, depth + 1) for _ in range(2))
    return text


@pytest.mark.parametrize("seed", range(3))
def test_random_trees_route_as_amtool_says(tmp_path: Path, seed: int) -> None:
    if shutil.which("amtool") is None:
        pytest.skip("amtool is not installed; routing was not compared with Alertmanager's own")
    chance = random.Random(seed)
    routes = "".join(_random_route(chance, 1) for _ in range(5))
    receivers = "".join(f"  - name: r{number}\n" for number in range(9))
    text = f"route:\n  receiver: r0\n  routes:\n{routes}receivers:\n{receivers}"
    (tmp_path / "am.yml").write_text(text)
    config = read_alert_config(text)

    for _ in range(15):
        labels = {name: chance.choice(values) for name, values in VALUES.items()}
        given = [f"{name}={value}" for name, value in labels.items() if value]
        said = subprocess.run(
            ["amtool", "config", "routes", "test", f"--config.file={tmp_path}/am.yml", *given],
            capture_output=True,
            text=True,
            check=True,
        )
        ours = [route.receiver for route in route_alert(config.route, labels)]
        assert said.stdout.strip().split(",") == ours, f"{labels} in\n{text}"
