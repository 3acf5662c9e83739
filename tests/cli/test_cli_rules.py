"""`tocsin rules`: files checked and tested here, and what a server says of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from running import Run
from typer.testing import CliRunner

from tocsin.cli.commands import app

pytestmark = pytest.mark.xdist_group("commands")

GOOD = "groups: [{name: g, rules: [{alert: Up, expr: fleet_up > 0, labels: {severity: critical}}]}]\n"
TEST = """
rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series: [{series: fleet_up, values: 1x5}]
    alert_rule_test: [{eval_time: 2m, alertname: Up, exp_alerts: [{exp_labels: {severity: critical}}]}]
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(GOOD)
    (tmp_path / "test.yaml").write_text(TEST)
    return tmp_path


def here(*words: str) -> Result:
    """A command that asks no server."""
    return CliRunner().invoke(app, ["rules", *words])


def test_check_names_the_line(rules: Path) -> None:
    assert here("check", str(rules / "rules.yaml")).exit_code == 0
    (rules / "rules.yaml").write_text("groups:\n- name: g\n  rules:\n  - alrt: Up\n    expr: up\n")
    failed = here("check", str(rules / "rules.yaml"))
    assert failed.exit_code == 2
    assert "line 4, groups[0].rules[0].alrt: there is no field 'alrt'; did you mean 'alert'?" in failed.output


def test_test_tells_verdicts_by_its_exit_code(rules: Path) -> None:
    passed = here("test", str(rules / "test.yaml"))
    assert (passed.exit_code, "1 of 1 tests passed" in passed.output) == (0, True)
    (rules / "test.yaml").write_text(TEST.replace("critical", "warning"))
    failed = here("test", str(rules / "test.yaml"))
    assert failed.exit_code == 1
    assert "got: [Labels:" in failed.output


def test_server_lists_exports_and_backtests(run: Run, rules: Path) -> None:
    assert "High CPU" in run("rules", "list", "--json").output
    assert "alert: High CPU" in run("rules", "export", "packs/hosts").output
    found = run("rules", "backtest", str(rules / "rules.yaml"), "--since", "30m", "--json")
    assert found.exit_code == 0, found.output
    assert '"fires": 1' in found.output
    assert run("rules", "backtest", str(rules / "rules.yaml"), "--since", "30m", "--most-fires", "0").exit_code == 1


def test_why_says_value_and_threshold_at_an_instant(run: Run) -> None:
    found = run("rules", "why", "High CPU", "--at", "2026-03-02T03:12")
    assert found.exit_code == 0, found.output
    assert "High CPU at 2026-03-02T03:12:00 UTC: " in found.output
    assert "nothing was measured: no series match the expression at this time" in found.output
    assert "tocsin_spool_age_seconds > 60, for" in run("rules", "why", "TocsinIngestLate").output
    assert run("rules", "why", "nobody").exit_code == 2
    assert run("rules", "why", "High CPU", "--at", "teatime").exit_code == 2


def test_tune_looks_at_what_fired(run: Run) -> None:
    found = run("alerts", "tune", "--since", "30m", "--rule", "High CPU")
    assert found.exit_code == 0, found.output
    assert "nothing to change: 1 rules were tried over the last 30m" in found.output
    assert run("alerts", "tune", "--since", "soon").exit_code == 2
