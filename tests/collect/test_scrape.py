"""Targets of a prometheus.yml are scraped as Prometheus would."""

from __future__ import annotations

import asyncio
import json
import math
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import yaml

from collect.targets import Shown, target
from tocsin.collect.discovery import Discovery
from tocsin.collect.scrape import Scraper, TargetScraper
from tocsin.collect.scrape_config import ScrapeConfigError, load_scrape_config
from tocsin.ingest.gate import Gate
from tocsin.ingest.sample_batch import Collected
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.query.promql.source import Hints, Matcher
from tocsin.query.series import StoreSource
from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.spool import Spool
from tocsin.storage.telemetry.store import TelemetryStore
from tocsin.storage.telemetry.writer import Writer
from waiting import eventually

STALE = "stale"
Values = dict[str, float | str]


@pytest.fixture
def shown() -> Iterator[Shown]:
    with target() as shown:
        yield shown


class Scraped:
    """One target of a job, scraped when asked; each scrape gives its samples as text and value."""

    def __init__(self, folder: Path, shown: Shown, **job: Any) -> None:
        path = folder / "prometheus.yml"
        entry = {"job_name": "shop", "static_configs": [{"targets": [shown.address]}], **job}
        path.write_text(yaml.safe_dump({"scrape_configs": [entry]}))
        self.config = load_scrape_config(path)
        self.seen: Values = {}
        self.times: dict[str, int] = {}
        job_ = self.config.jobs[0]
        (found,) = asyncio.run(Discovery(job_).look()).targets
        self.scraper = TargetScraper(job_, found, self._submit)

    def scrape(self) -> Values:
        async def run() -> None:
            async with self.scraper.connection():
                await self.scraper.scrape()

        self.seen, self.times = {}, {}
        asyncio.run(run())
        return self.seen

    def _submit(self, read: Any, body: Any, key: Any) -> Any:
        for sample in body[0]:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels if name not in ("instance", "job"))
            bits = struct.unpack("<Q", struct.pack("<d", sample.value))[0]
            self.seen[labels] = STALE if bits == 0x7FF0000000000002 else sample.value
            self.times[labels] = sample.time_ms
        done: Future[bool] = Future()
        done.set_result(True)
        return done, Collected()


def metrics(values: Values) -> Values:
    return {name: value for name, value in values.items() if "__name__=scrape_" not in name}


Make = Callable[..., Scraped]


@pytest.fixture
def scraped(tmp_path: Path, shown: Shown) -> Make:
    return lambda **job: Scraped(tmp_path, shown, **job)


def test_a_scrape_reports_about_itself(scraped: Make, shown: Shown) -> None:
    shown.text = 'm{a="1"} 1\nm{a="2"} 2\n'
    job = scraped(metric_relabel_configs=[{"source_labels": ["a"], "regex": "2", "action": "drop"}])
    found = job.scrape()
    assert metrics(found) == {"__name__=m,a=1": 1, "__name__=up": 1}
    assert found["__name__=scrape_samples_scraped"] == 2
    assert found["__name__=scrape_samples_post_metric_relabeling"] == 1
    assert found["__name__=scrape_series_added"] == 1
    assert isinstance(found["__name__=scrape_duration_seconds"], float)
    assert job.scrape()["__name__=scrape_series_added"] == 0
    assert (job.scraper.state.health, job.scraper.state.samples) == ("up", 2)


def test_what_is_shown_no_more_ends(scraped: Make, shown: Shown) -> None:
    job = scraped()
    shown.text = "a 1\nb 2\n"
    job.scrape()
    shown.text = "a 1\n"
    assert metrics(job.scrape()) == {"__name__=a": 1, "__name__=b": STALE, "__name__=up": 1}
    shown.status = 500
    assert metrics(job.scrape()) == {"__name__=a": STALE, "__name__=up": 0}
    assert job.scraper.state.error == "server returned HTTP status 500"
    assert metrics(job.scrape()) == {"__name__=up": 0}
    shown.status = 200
    assert metrics(job.scrape()) == {"__name__=a": 1, "__name__=up": 1}


def test_labels_of_the_target_win_unless_they_are_honored(scraped: Make, shown: Shown) -> None:
    shown.text = 'm{job="theirs",env="x"} 1\n'
    targets = [{"targets": [shown.address], "labels": {"env": "prod"}}]
    assert "__name__=m,env=prod,exported_env=x,exported_job=theirs" in scraped(static_configs=targets).scrape()
    assert "__name__=m,env=x" in scraped(static_configs=targets, honor_labels=True).scrape()


def test_times_of_the_target_are_honored_unless_told_otherwise(scraped: Make, shown: Shown) -> None:
    shown.text = "m 1 1600000000000\n"
    job = scraped()
    job.scrape()
    assert job.times["__name__=m"] == 1_600_000_000_000
    job = scraped(honor_timestamps=False)
    job.scrape()
    assert job.times["__name__=m"] == job.times["__name__=up"]


def test_a_target_that_never_ends_is_cut_off(scraped: Make, shown: Shown) -> None:
    shown.is_endless = True
    job = scraped(scrape_timeout="300ms")
    started = time.monotonic()
    assert metrics(job.scrape()) == {"__name__=up": 0}
    assert time.monotonic() - started < 5
    assert job.scraper.state.error == "the answer did not end within 0.3 s (scrape_timeout)"
    assert metrics(scraped(body_size_limit="1KB").scrape()) == {"__name__=up": 0}


@pytest.mark.parametrize(
    ("text", "job", "error"),
    [
        ("a 1\nb 1\n", {"sample_limit": 1}, "it shows 2 samples, sample_limit is 1"),
        ('a{b="1"} 1\n', {"label_limit": 3}, "has 4 labels, label_limit is 3"),
        ('a{b="12345678901234567890123"} 1\n', {"label_value_length_limit": 22}, "beyond label_value_length_limit 22"),
        ("a 1\n!! broken\n", {}, "cannot read line 2 '!! broken'"),
        ('a{b="1",b="2"} 1\n', {}, "label 'b' is there twice"),
        ("a \xff\n", {}, None),
    ],
)
def test_limits_and_faults_fail_the_whole_scrape(
    scraped: Make, shown: Shown, text: str, job: dict[str, Any], error: str | None
) -> None:
    shown.text = text
    made = scraped(**job)
    assert metrics(made.scrape()) == {"__name__=up": 0}
    assert error is None or error in made.scraper.state.error


def test_parameters_and_credentials_are_sent(scraped: Make, shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    scraped(params={"module": ["http"]}, metrics_path="/probe", authorization={"credentials_file": "secret"}).scrape()
    path, headers = shown.requests[-1]
    assert (path, headers["authorization"]) == ("/probe?module=http", "Bearer s3cret")
    scraped(basic_auth={"username": "ann", "password": "pw"}).scrape()
    assert shown.requests[-1][1]["authorization"] == "Basic YW5uOnB3"


def test_relabelling_makes_the_target(scraped: Make, shown: Shown) -> None:
    rules = [
        {"source_labels": ["__address__"], "target_label": "__param_target"},
        {"source_labels": ["__param_target"], "target_label": "instance"},
        {"target_label": "__address__", "replacement": shown.address},
    ]
    job = scraped(relabel_configs=rules, static_configs=[{"targets": ["https//example"[:5] + ".example"]}])
    job.scrape()
    assert shown.requests[-1][0] == "/metrics?target=https.example"
    assert dict(job.scraper.state.target.labels)["instance"] == "https.example"


def test_what_is_not_carried_out_is_said(tmp_path: Path) -> None:
    path = tmp_path / "prometheus.yml"
    path.write_text(
        "global: {scrape_interval: 30s, query_log_file: x}\nrule_files: [a.yml]\nscrape_configs:\n"
        "- {job_name: k8s, kubernetes_sd_configs: [{role: pod}], tls_config: {min_version: TLS12, ca: a}}\n"
    )
    config = load_scrape_config(path)
    assert config.jobs[0].interval_seconds == 30
    assert config.ignored == (
        "rule_files: not for scraping; rules.folder names the rules",
        "global.query_log_file: not carried out",
        "job k8s: kubernetes_sd_configs is not carried out",
        "job k8s: tls_config.ca is not carried out",
    )


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("scrape_configs: [{}]", "it has no job_name"),
        ("scrape_configs: [{job_name: a, scheme: ftp}]", "scheme 'ftp'"),
        ("scrape_configs: [{job_name: a, scrape_interval: 15}]", "15 is no duration"),
        ("scrape_configs: [{job_name: a}, {job_name: a}]", "it is there twice"),
        ("scrape_configs: [{job_name: a, relabel_configs: [{action: x}]}]", "action 'x'"),
        ("scrape_configs: [{job_name: a, tls_config: {min_version: TLS9}}]", "tls_config.min_version is 'TLS9'"),
        ("- a", "it is no mapping"),
        ("a: [", "cannot read scrape configuration"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(tmp_path: Path, text: str, cause: str) -> None:
    (tmp_path / "prometheus.yml").write_text(text)
    with pytest.raises(ScrapeConfigError, match=cause):
        load_scrape_config(tmp_path / "prometheus.yml")


def test_targets_come_and_go_with_their_lists(store: TelemetryStore, engine: ChdbEngine, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    gate = Gate(spool, lambda secret: None)
    with target() as acme, target() as globex, target() as lists:
        lists.text = json.dumps([{"targets": [globex.address], "labels": {"tenant": "globex"}}])
        file = tmp_path / "targets.json"
        file.write_text(json.dumps([{"targets": [acme.address], "labels": {"tenant": "acme"}}]))
        (tmp_path / "prometheus.yml").write_text(
            f"global: {{scrape_interval: 100ms}}\nscrape_configs:\n- job_name: shop\n"
            f"  file_sd_configs: [{{files: ['*.json']}}]\n  http_sd_configs: [{{url: 'http://{lists.address}/'}}]\n"
        )
        scraper = Scraper(load_scrape_config(tmp_path / "prometheus.yml"), gate.admit_samples)
        scraper.start()
        eventually(lambda: [state.health for state in scraper.states()] == ["up", "up"], "both are up")
        file.write_text("[]")
        eventually(lambda: len(scraper.states()) == 1, "one target is left")
        scraper.close()
    Writer(spool, engine, tmp_path / "rejected").drain()
    spool.close()
    now = round(time.time() * 1000)

    def ups(scope: Scope) -> dict[str, float]:
        found = StoreSource(store, scope).select([Matcher("__name__", "=", "up")], now - 60_000, now, Hints(0, 0, 0, 0))
        return {series.labels["tenant"]: series.values[-1] for series in found}

    assert ups(Scope.of("globex")) == {"globex": 1.0}
    everything = ups(PLATFORM)
    assert math.isnan(everything["acme"])  # it ended with its target
    assert everything["globex"] == 1.0
