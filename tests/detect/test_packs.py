"""The shipped rule files, judged by Prometheus' own tool."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from tocsin.detect.rules.library import packs
from tocsin.detect.rules.rule import Rule
from tocsin.detect.rules.rule_text import write_rules
from tocsin.detect.rules.unit_test import loader_beside, run_tests
from tocsin.model.severity import is_known
from tocsin.model.threshold_profiles import DEFAULT_PROFILE, PROFILE_NAMES, PROFILES, with_figures

PACKS = Path(str(files("tocsin.detect") / "packs"))
PACK, ISOLATION = PACKS / "tocsin.yaml", PACKS / "isolation.yaml"
WELL = {
    'up{job="tocsin", instance="a"}': "1x60",
    'tocsin_spool_age_seconds{instance="a"}': "1x60",
    'tocsin_writer_is_failing{instance="a"}': "0x60",
    'tocsin_writer_rejected_messages_total{instance="a", signal="traces"}': "3x60",
    'tocsin_ingest_requests_total{instance="a", signal="traces", outcome="200"}': "0+100x60",
    'tocsin_ingest_requests_total{instance="a", signal="traces", outcome="503"}': "7x60",
    'tocsin_ingest_requests_total{instance="a", signal="traces", outcome="401"}': "7x60",
    'tocsin_paging_path_checks_total{instance="a", outcome="arrived"}': "0+1x60",
    'tocsin_paging_path_checks_total{instance="a", outcome="lost"}': "2x60",
    'tocsin_rule_group_last_duration_seconds{instance="a", rule_group="packs/slo;slo"}': "2x60",
    'tocsin_rule_group_interval_seconds{instance="a", rule_group="packs/slo;slo"}': "30x60",
    'tocsin_rule_group_iterations_missed_total{instance="a", rule_group="packs/slo;slo"}': "3x60",
    'tocsin_rule_evaluation_failures_total{instance="a", rule_group="packs/slo;slo"}': "3x60",
    'tocsin_notification_duration_seconds_sum{instance="a", channel="email"}': "0+2x60",
    'tocsin_notification_duration_seconds_count{instance="a", channel="email"}': "0+1x60",
    'tocsin_store_bytes{instance="a", table="spans"}': "20e9+1e6x60",
    'tocsin_sdk_shed_level{job="shop", instance="s1"}': "0x60",
}
TROUBLE = {
    "TocsinDown": ('up{job="tocsin", instance="a"}', "0x60"),
    "TocsinIngestLate": ('tocsin_spool_age_seconds{instance="a"}', "90x60"),
    "TocsinWriterFailing": ('tocsin_writer_is_failing{instance="a"}', "1x60"),
    "TocsinRejectedMessages": ('tocsin_writer_rejected_messages_total{instance="a", signal="traces"}', "0+1x60"),
    "TocsinSendersRefused": ('tocsin_ingest_requests_total{instance="a", signal="traces", outcome="503"}', "0+9x60"),
    "TocsinSendersUnauthorized": (
        'tocsin_ingest_requests_total{instance="a", signal="traces", outcome="401"}',
        "0+9x60",
    ),
    "TocsinRulesLate": (
        'tocsin_rule_group_last_duration_seconds{instance="a", rule_group="packs/slo;slo"}',
        "45x60",
    ),
    "TocsinRulesFailing": (
        'tocsin_rule_evaluation_failures_total{instance="a", rule_group="packs/slo;slo"}',
        "0+1x60",
    ),
    "TocsinNotifierSlow": ('tocsin_notification_duration_seconds_sum{instance="a", channel="email"}', "0+50x60"),
    "TocsinSdkShedding": ('tocsin_sdk_shed_level{job="shop", instance="s1"}', "2x60"),
    "TocsinPagingPathUnreliable": ('tocsin_paging_path_checks_total{instance="a", outcome="lost"}', "0x20 1x40"),
}


_OF = 'job="shop"'
APART = {
    f'tenant_isolation_statements_total{{{_OF}, tenant="acme", result="scoped"}}': "0+90x200",
    f'tenant_isolation_statements_total{{{_OF}, tenant="acme", result="exempt"}}': "0+900x200",
    f'tenant_isolation_statements_total{{{_OF}, tenant="acme", result="not_checked", reason="sampled"}}': "0+900x200",
    f'tenant_isolation_statements_total{{{_OF}, result="not_checked", reason="no_tenant"}}': "0+9x200",
    # Of a crossing that was mended long ago.
    f'tenant_isolation_crossings_total{{{_OF}, tenant="acme", table="reports", role="reader"}}': "3x200",
    f'tenant_isolation_crossings_total{{{_OF}, tenant="globex", table="reports", role="owner"}}': "3x200",
    f'tenant_isolation_suspicions_total{{{_OF}, tenant="acme", table="reports", role="reader"}}': "3x200",
}
MIXED = {
    "more of a crossing": (
        "TenantIsolationBroken",
        f'tenant_isolation_crossings_total{{{_OF}, tenant="acme", table="reports", role="reader"}}',
        "3x165 4x40",
    ),
    "the first of a crossing": (
        "TenantIsolationBroken",
        f'tenant_isolation_crossings_total{{{_OF}, tenant="acme", table="orders", role="reader"}}',
        "_x165 1x40",
    ),
    "a suspicion": (
        "TenantIsolationSuspected",
        f'tenant_isolation_suspicions_total{{{_OF}, tenant="acme", table="reports", role="reader"}}',
        "3x150 5x50",
    ),
    "nothing is known": (
        "TenantIsolationUnchecked",
        f'tenant_isolation_statements_total{{{_OF}, tenant="acme", result="not_checked", reason="unknown_key"}}',
        "0+300x200",
    ),
}


JOBS = PACK.with_name("jobs.yaml")
MAIL = 'job="worker", job_name="mail", queue="urgent", system="rq"'
NIGHT = 'job="worker", job_name="nightly", schedule="0 3 * * *", system="own"'
# Times are seconds since the test's start; a step is half a minute.
JOBS_WELL = {
    f'job_runs_total{{{MAIL}, outcome="success", tenant="acme"}}': "0+9x60",
    f'job_runs_total{{{MAIL}, outcome="failure", tenant="acme"}}': "0+1x60",
    f'job_runs_total{{{MAIL}, outcome="failure", tenant="globex"}}': "0x60",
    # A small tenant's two bad addresses, minutes after others were well.
    f'job_runs_total{{{MAIL}, outcome="failure", tenant="initech"}}': "0x44 1 2 2x14",
    f'job_runs_total{{{MAIL}, outcome="success", tenant="initech"}}': "0+1x37 37x22",
    f'job_retries_total{{{MAIL}, tenant="acme"}}': "0+4x60",
    'job_oldest_age_seconds{job="worker", queue="urgent", system="rq"}': "20x60",
    f'job_last_run_timestamp_seconds{{{NIGHT}, instance="old"}}': "0x10",
    f'job_last_run_timestamp_seconds{{{NIGHT}, instance="new"}}': "600x20 1200x40",
    f"job_last_success_timestamp_seconds{{{NIGHT}}}": "600x20 1200x40",
    f"job_expected_interval_seconds{{{NIGHT}}}": "900x60",
    f"job_scheduled_since_timestamp_seconds{{{NIGHT}}}": "0x60",
    'job_scheduled_since_timestamp_seconds{job="worker", job_name="fresh", schedule="1h", system="own"}': "1200x60",
    'job_expected_interval_seconds{job="worker", job_name="fresh", schedule="1h", system="own"}': "3600x60",
    'job_last_run_timestamp_seconds{job="worker", job_name="gone", schedule="1m", system="own"}': "0x60",
    'job_expected_interval_seconds{job="worker", job_name="gone", schedule="1m", system="own"}': "0x60",
}
JOBS_TROUBLE = {
    "missed": ("JobMissed", f'job_last_run_timestamp_seconds{{{NIGHT}, instance="new"}}', "60x60"),
    "missed since its process ended": (
        "JobMissed",
        f'job_last_run_timestamp_seconds{{{NIGHT}, instance="new"}}',
        "60x4 _x60",
    ),
    "never run": (
        "JobMissed",
        'job_expected_interval_seconds{job="worker", job_name="fresh", schedule="1h", system="own"}',
        "60x60",
    ),
    "failing for a tenant": (
        "JobFailing",
        f'job_runs_total{{{MAIL}, outcome="failure", tenant="globex"}}',
        "0x30 0+1x30",
    ),
    "failing once a night": ("JobFailing", f"job_last_success_timestamp_seconds{{{NIGHT}}}", "600x60"),
    "retry storm": ("JobRetryStorm", f'job_retries_total{{{MAIL}, tenant="acme"}}', "0+8x60"),
    "queue": ("JobQueueOld", 'job_oldest_age_seconds{job="worker", queue="urgent", system="rq"}', "0+20x60"),
}


def firing(
    series: dict[str, str],
    folder: Path,
    pack: Path = PACK,
    at: str = "25m",
    names: Sequence[str] = tuple(TROUBLE),
) -> set[str]:
    """The alerts of the pack that fire after 25 minutes of `series`."""
    document: dict[str, Any] = {
        "rule_files": [str(pack)],
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "30s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": at,
                        "exp_samples": [{"labels": '{alertname="none of ours"}', "value": 0}],
                    }
                ],
            }
        ],
    }
    file = folder / "cases.json"
    file.write_text(json.dumps(document))
    said = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    # promtool prints what it got instead of our impossible expectation.
    got = (said.stdout + said.stderr).partition("got:")[2]
    return {name for name in names if f'alertname="{name}"' in got}


@pytest.mark.parametrize("pack", [PACK, ISOLATION, JOBS])
def test_promtool_accepts_the_pack(pack: Path) -> None:
    subprocess.run(["promtool", "check", "rules", pack], check=True, capture_output=True)


def of_isolation(series: dict[str, str], folder: Path) -> set[str]:
    names = sorted({alert for alert, *_ in MIXED.values()})
    return firing(series, folder, ISOLATION, "85m", names)


def test_tenants_kept_apart_raise_no_alert_nor_do_crossings_of_the_past(tmp_path: Path) -> None:
    assert of_isolation(APART, tmp_path) == set()


@pytest.mark.parametrize("case", list(MIXED))
def test_mixed_tenants_raise_the_alert_and_no_other(case: str, tmp_path: Path) -> None:
    alert, series, values = MIXED[case]
    assert of_isolation(APART | {series: values}, tmp_path) == {alert}


def of_jobs(series: dict[str, str], folder: Path) -> set[str]:
    names = sorted({alert for alert, *_ in JOBS_TROUBLE.values()})
    return firing(series, folder, JOBS, names=names)


def test_nothing_fires_while_all_is_well(tmp_path: Path) -> None:
    assert firing(WELL, tmp_path) == set()


@pytest.mark.parametrize("alert", list(TROUBLE))
def test_alert_fires_on_its_trouble_and_alone(alert: str, tmp_path: Path) -> None:
    series, values = TROUBLE[alert]

    assert firing(WELL | {series: values}, tmp_path) == {alert}


def test_no_alert_about_jobs_fires_while_all_is_well(tmp_path: Path) -> None:
    assert of_jobs(JOBS_WELL, tmp_path) == set()


@pytest.mark.parametrize("trouble", list(JOBS_TROUBLE))
def test_alert_about_jobs_fires_on_its_trouble_and_alone(trouble: str, tmp_path: Path) -> None:
    alert, series, values = JOBS_TROUBLE[trouble]

    assert of_jobs(JOBS_WELL | {series: values}, tmp_path) == {alert}


def test_store_that_doubled_within_a_day_is_told(tmp_path: Path) -> None:
    series = {'tocsin_store_bytes{instance="a", table="spans"}': "6e9x2900 30e9x60"}

    assert firing(series, tmp_path, at="1465m", names=["TocsinStoreGrowing"]) == {"TocsinStoreGrowing"}


PACKS = PACK.parent
TESTS = sorted((PACKS / "tests").glob("*.yaml"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packs and their tests with the default figures, as any Prometheus reads them."""
    folder = tmp_path_factory.mktemp("packs")
    (folder / "tests").mkdir()
    for loaded in packs(DEFAULT_PROFILE):
        file = loaded.file
        (folder / f"{file.name.removeprefix('packs/')}.yaml").write_text(write_rules(file, classic=True))
    for test in TESTS:
        (folder / "tests" / test.name).write_text(test.read_text())
    return folder


def test_promtool_accepts_every_exported_pack(exported: Path) -> None:
    said = subprocess.run(
        ["promtool", "check", "rules", *sorted(exported.glob("*.yaml"))], capture_output=True, text=True, check=False
    )

    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.stem)
def test_tests_of_a_pack_pass(test: Path) -> None:
    ours = run_tests(test.read_text(), test.name, loader_beside(test, lambda text: with_figures(text, DEFAULT_PROFILE)))

    assert ours
    assert [outcome for outcome in ours if outcome.failures] == []


@pytest.mark.parametrize("test", [test for test in TESTS if test.stem != "events"], ids=lambda test: test.stem)
def test_promtool_passes_the_tests_of_a_pack(test: Path, exported: Path) -> None:
    said = subprocess.run(
        ["promtool", "test", "rules", exported / "tests" / test.name], capture_output=True, text=True, check=False
    )

    assert said.returncode == 0, said.stdout + said.stderr


def test_every_shipped_alert_has_a_test_that_fires_and_one_that_does_not() -> None:
    fires: set[tuple[str, str]] = set()
    stays: set[tuple[str, str]] = set()
    for test in TESTS:
        document = yaml.safe_load(test.read_text())
        pack = Path(document["rule_files"][0]).stem
        for case in document["tests"]:
            for one in case["alert_rule_test"]:
                severities = {alert["exp_labels"]["severity"] for alert in one["exp_alerts"]}
                fires |= {(pack, one["alertname"] + severity) for severity in severities}
                known = {rule.labels["severity"] for rule in _rules(pack) if rule.alert == one["alertname"]}
                stays |= {(pack, one["alertname"] + severity) for severity in known - severities}
    wanted = {
        (name, rule.alert + rule.labels["severity"])
        for name in (
            "application",
            "hosts",
            "security",
            "product",
            "tiers",
            "runbook",
            "platform",
            "slo",
            "events",
            "neighbours",
        )
        for rule in _rules(name)
        if rule.is_alerting
    }
    assert wanted - fires == set()
    assert wanted - stays == set()


def _rules(pack: str) -> list[Rule]:
    return next(loaded.file.rules for loaded in packs(DEFAULT_PROFILE) if loaded.file.name == f"packs/{pack}")


def test_every_alert_has_a_known_severity_a_summary_and_a_runbook() -> None:
    root = Path(__file__).parents[2]
    for loaded in packs(DEFAULT_PROFILE):
        for rule in loaded.file.rules:
            if rule.is_alerting:
                assert is_known(rule.labels["severity"]), rule.name
                assert rule.annotations["summary"], rule.name
            if rule.is_alerting and loaded.file.name != "packs/tocsin":
                assert (root / rule.annotations["runbook_url"]).is_file(), rule.name


def test_profile_of_the_runbook_has_its_numbers() -> None:
    figures = PROFILES["runbook-004"]
    bands = {
        "api_p95": (3, 10), "api_p99": (7, 15), "api_avg": (2, 5), "query": (0.1, 0.5),
    }  # fmt: skip
    for name, (warn, critical) in bands.items():
        assert (figures[f"{name}_warn_seconds"], figures[f"{name}_seconds"]) == (warn, critical)
    targets = [figures[f"api_{name}_target_seconds"] for name in ("p95", "p99", "avg")]
    assert targets == [2, 5, 1]
    ratios = {
        "error_ratio": (0.01, 0.05), "cpu": (0.70, 0.85), "memory": (0.80, 0.90), "disk": (0.80, 0.90),
        "pool": (0.80, 0.90), "automation_success": (0.95, 0.90), "sync_success": (0.98, 0.95),
        "sign_in_success": (0.99, 0.95),
    }  # fmt: skip
    for name, (warn, critical) in ratios.items():
        assert (figures[f"{name}_warn"], figures[name]) == (warn, critical)
    assert (figures["client_error_ratio"], figures["server_error_ratio"]) == (0.02, 0.005)


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_packs_read_with_every_profile(profile: str) -> None:
    bands = [rule for loaded in packs(profile) for rule in loaded.file.rules if rule.name == "API p95 Band"]

    assert [rule.is_on_with(profile) for rule in bands] == [profile == "runbook-004"] * 2
