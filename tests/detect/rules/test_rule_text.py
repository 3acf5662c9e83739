"""Rule files are read strictly, written faithfully, and what is exported promtool accepts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tocsin.detect.rules.rule_text import read_rules, unexportable, write_rules
from tocsin.model.yaml_text import TextError

# ruff: noqa: E501 - one fault a line
# In the shape of the rule files people have: a node pack, a database pack, recording rules of a latency histogram.
ECOSYSTEM = r"""
groups:
  - name: node.rules
    interval: 30s
    limit: 100
    rules:
      - alert: HostOutOfDiskSpace
        expr: |
          (node_filesystem_avail_bytes{fstype!~"^(fuse.*|tmpfs|cifs|nfs)"} / node_filesystem_size_bytes < .10
            and on (instance, device, mountpoint) node_filesystem_readonly == 0)
        for: 2m
        keep_firing_for: 5m
        labels:
          severity: critical
        annotations:
          summary: Host out of disk space (instance {{ $labels.instance }})
          description: "Disk is almost full (< 10% left)\n  VALUE = {{ $value }}\n  LABELS = {{ $labels }}"
      - alert: KubePodCrashLooping
        expr: max_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}[5m]) >= 1
        for: 15m
        annotations:
          description: 'Pod {{ $labels.namespace }}/{{ $labels.pod }} is in {{ with $labels.reason }}{{ . }}{{ end }}'
          runbook_url: https://example.com/runbooks/crashloop
  - name: latency
    rules:
      - record: job:http_request_duration_seconds:p99
        expr: histogram_quantile(0.99, sum by (le, job) (rate(http_request_duration_seconds_bucket[5m])))
        labels: {quantile: "0.99"}
      - alert: PostgresqlDown
        expr: pg_up == 0
        labels: {severity: page, team: '{{ $labels.team | toLower }}'}
        annotations:
          summary: '{{ range query "up" | sortByLabel "instance" }}{{ .Labels.instance }}={{ .Value }} {{ end }}'
          dashboard: '{{ $externalURL }}{{ graphLink "up == 0" }}'
"""


def problems_of(text: str) -> str:
    with pytest.raises(TextError) as raised:
        read_rules(text, "x.yaml")
    return "\n".join(str(problem) for problem in raised.value.problems)


def test_files_of_the_ecosystem_read_back_as_they_were() -> None:
    file = read_rules(ECOSYSTEM, "x.yaml")

    again = read_rules(write_rules(file), "x.yaml")

    assert [rule.name for rule in file.rules] == [
        "HostOutOfDiskSpace", "KubePodCrashLooping", "job:http_request_duration_seconds:p99", "PostgresqlDown",
    ]  # fmt: skip
    assert file.groups[0].interval_seconds == 30
    assert file.rules[0].keep_firing_for_seconds == 300
    assert [(rule.name, rule.expr, rule.labels, rule.annotations) for rule in again.rules] == [
        (rule.name, rule.expr, rule.labels, rule.annotations) for rule in file.rules
    ]


def test_promtool_accepts_what_is_exported(tmp_path: Path) -> None:
    text = (
        ECOSYSTEM
        + """
  - name: ours
    labels: {team: core}
    query_offset: 30s
    rules:
      - {alert: Waits, expr: vector(1), tocsin: {waits_for: a signal}}
      - {alert: Seen, tocsin: {events: {name: deployment}}}
"""
    )
    file = read_rules(text, "x.yaml")
    (tmp_path / "x.yaml").write_text(write_rules(file, classic=True))

    said = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "x.yaml"], capture_output=True, text=True, check=False
    )

    assert said.returncode == 0, said.stdout + said.stderr
    assert "5 rules found" in said.stdout
    assert [sentence.partition("'")[2].partition("'")[0] for sentence in unexportable(file)] == ["Seen", "Waits"]
    assert "team: core" in (tmp_path / "x.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("groups:\n- name: a\n  rules:\n  - alert: X\n    exrp: up\n", "line 5, groups[0].rules[0].exrp: there is no field 'exrp'; did you mean 'expr'?"),
        ("groups:\n- name: a\n  rules:\n  - alert: X\n    expr: sum(\n", "line 5, groups[0].rules[0].expr: could not parse expression: 1:5: parse error"),
        ("groups:\n- name: a\n- name: a\n", 'line 3, groups[1].name: groupname: "a" is repeated'),
        ("groups:\n- rules: []\n", "line 2, groups[0]: this group has no name"),
        ("groups:\n- name: a\n  rules:\n  - {alert: X, record: y, expr: up}\n", "only one of 'record' and 'alert'"),
        ("groups:\n- name: a\n  rules:\n  - {expr: up}\n", "one of 'record' or 'alert' must be set"),
        ("groups:\n- name: a\n  rules:\n  - {record: x, expr: up, for: 5m}\n", "a recording rule has no 'for'"),
        ("groups:\n- name: a\n  rules:\n  - {alert: X, expr: up, for: 5 minutes}\n", "write such as 30s, 5m or 1h"),
        ("groups:\n- name: a\n  rules:\n  - {alert: X, expr: 'up[5m]'}\n", "a rule needs a vector"),
        ("groups:\n- name: a\n  rules:\n  - {alert: X, expr: up, labels: {a-b: c}}\n", "invalid label name: a-b"),
        ("groups:\n- name: a\n  rules:\n  - {alert: X, expr: up, annotations: {s: '{{ $lables.x }}'}}\n", 'undefined variable "$lables"'),
        ("groups:\n- name: a\n  rules:\n  - {alert: X, expr: up, annotations: {s: '{{ humanise $value }}'}}\n", 'function "humanise" not defined'),
        ("groups:\n- name: a\n  rules:\n  - {alert: X, tocsin: {events: {nmae: y}}}\n", "did you mean 'name'?"),
        ("groups: &a\n- name: a\n  rules: *a\n", "the alias *a is not taken"),
        ("groups: [", "this is no YAML"),
    ],
)  # fmt: skip
def test_fault_is_told_with_its_line_and_remedy(text: str, said: str) -> None:
    assert said in problems_of(text)


def test_all_faults_of_a_file_are_told_at_once() -> None:
    text = "groups:\n- name: a\n  rules:\n  - {alert: X, expr: sum(}\n  - {alert: Y, expr: up, fro: 5m}\n"

    assert len(problems_of(text).splitlines()) == 2
