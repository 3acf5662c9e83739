"""The shipped rule files, judged by Prometheus' own tool."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

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
}


_OF = 'service="shop", environment="production"'
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
