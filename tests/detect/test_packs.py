"""The shipped rule files, judged by Prometheus' own tool."""

from __future__ import annotations

import json
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

PACK = Path(str(files("tocsin.detect") / "packs" / "tocsin.yaml"))
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


def firing(series: dict[str, str], folder: Path) -> set[str]:
    """The alerts of the pack that fire after 25 minutes of `series`."""
    names = list(TROUBLE)
    document: dict[str, Any] = {
        "rule_files": [str(PACK)],
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "30s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": "25m",
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


def test_promtool_accepts_the_pack() -> None:
    subprocess.run(["promtool", "check", "rules", PACK], check=True, capture_output=True)


def test_nothing_fires_while_all_is_well(tmp_path: Path) -> None:
    assert firing(WELL, tmp_path) == set()


@pytest.mark.parametrize("alert", list(TROUBLE))
def test_alert_fires_on_its_trouble_and_alone(alert: str, tmp_path: Path) -> None:
    series, values = TROUBLE[alert]

    assert firing(WELL | {series: values}, tmp_path) == {alert}
