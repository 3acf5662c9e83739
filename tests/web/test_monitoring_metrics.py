"""/api/v1/monitoring/metrics over a running server: the numbers are those of PromQL, and for administrators alone."""

from __future__ import annotations

import pytest
from served import Served

from tocsin.collect.exposition import read_exposition
from waiting import eventually

pytestmark = pytest.mark.xdist_group("metered")

ROOT = "/api/v1/monitoring/metrics"


def test_application_figures_are_what_their_queries_give(metered: Served) -> None:
    said = metered.administrator.get(f"{ROOT}/application").json()
    assert said["figures"]["request_rate"]["values"][0]["value"] == pytest.approx(3.0)
    assert said["figures"]["error_ratio"]["values"][0]["value"] == pytest.approx(0.2 / 3)
    tenants = said["figures"]["request_rate_by_tenant"]["values"]
    assert {one["labels"]["tenant"]: one["value"] for one in tenants} == pytest.approx({"acme": 2.0, "globex": 1.0})
    for name, figure in said["figures"].items():
        asked = {"query": figure["query"], "time": said["time"]}
        found = metered.administrator.get("/prometheus/api/v1/query", params=asked).json()["data"]["result"]
        assert [(row["metric"], float(row["value"][1])) for row in found] == [
            (one["labels"], pytest.approx(one["value"], nan_ok=True)) for one in figure["values"]
        ], name


def test_system_figures_tell_of_the_machine(metered: Served) -> None:
    figures = eventually(
        lambda: metered.administrator.get(f"{ROOT}/system", params={"range": "2m"}).json()["figures"],
        "the memory is told",
        pause_seconds=0.5,
        is_it=lambda figures: figures["memory_used_ratio"]["values"],
    )
    assert 0 < figures["memory_used_ratio"]["values"][0]["value"] < 1
    assert figures["memory_limit"]["values"][0]["value"] > 1e8
    assert figures["cpu_cores"]["values"][0]["value"] > 0


def test_answers_are_kept_for_a_second(metered: Served) -> None:
    one = metered.administrator.get(f"{ROOT}/application", params={"range": "4m"}).json()["time"]
    other = metered.administrator.get(f"{ROOT}/application", params={"range": "4m"}).json()["time"]
    assert other == one or other - one >= 1


def test_both_parts_come_as_json_and_the_servers_own_metrics_as_text(metered: Served) -> None:
    assert set(metered.administrator.get(ROOT).json()) == {"application", "system"}
    text = metered.administrator.get(ROOT, headers={"Accept": "text/plain"})
    assert text.headers["content-type"].startswith("text/plain")
    assert "tocsin_spool_bytes" in text.text
    open_metrics = metered.administrator.get(ROOT, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    read = read_exposition(open_metrics.text, is_openmetrics=True)
    assert {"tocsin_spool_bytes", "tocsin_up_seconds"} <= {sample.series for sample in read.samples}


def test_a_range_that_is_none_is_refused(metered: Served) -> None:
    assert metered.administrator.get(ROOT, params={"range": "5m]) or vector(1"}).status_code == 422


def test_only_administrators_are_told(metered: Served) -> None:
    for part in ("", "/application", "/system"):
        assert metered.tom.get(ROOT + part).status_code == 403
