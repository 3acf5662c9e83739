"""Scrapes targets in time and hands their samples to the same gate that senders use.

One task a target, spread over its interval. What a target showed last is remembered, so that a series it no longer
shows, or all of them when it does not answer, end with Prometheus' stale marker.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import structlog

from tocsin.collect.discovery import Discovery, Target, headers_of, http_client
from tocsin.collect.exposition import OPENMETRICS, About, Exposition, ExpositionError, read_exposition, series_labels
from tocsin.collect.relabel import relabelled
from tocsin.collect.scrape_config import Job, ScrapeConfig, load_scrape_config
from tocsin.ingest.gate import Refused
from tocsin.ingest.scraped import STALE, ScrapedSample, read_scraped
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.settings import setting

log = structlog.get_logger("tocsin.scrape")

ACCEPT = (
    "application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.7,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
LARGEST_BODY = 256 * 1024**2  # where body_size_limit sets none
LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class ScrapeSettings:
    """Scraping of Prometheus targets."""

    config_file: str = setting("", help="A prometheus.yml whose scrape_configs are carried out; empty scrapes nothing.")


@dataclass(slots=True)
class TargetState:
    """How a target is doing."""

    target: Target
    health: str = "unknown"  # up, down
    error: str = ""
    last_scrape: float = 0.0  # unix seconds
    duration_seconds: float = 0.0
    samples: int = 0


class ScrapeError(Exception):
    """A scrape failed; the message says why."""


@dataclass(slots=True)
class _Shown:
    """What a target showed last: labels by the text of a series, None for what relabelling drops."""

    labels: dict[str, Labels | None] = field(default_factory=dict)
    live: set[Labels] = field(default_factory=set)


Submit = Callable[[Any, Any, Any], tuple[Any, Any]]
"""The gate's `admit_samples`."""


class TargetScraper:
    """One target."""

    def __init__(self, job: Job, target: Target, submit: Submit, clock: Callable[[], float] = time.time) -> None:
        self.state = TargetState(target)
        self._job = job
        self._target = target
        self._submit = submit
        self._clock = clock
        self._shown = _Shown()
        self._own = dict(target.labels)
        self._client: httpx2.AsyncClient

    async def run(self) -> None:
        """Scrape until cancelled, at the same offset within every interval."""
        interval = self._target.interval_seconds
        digest = hashlib.sha256(f"{self._target.url}{self._target.labels}".encode()).digest()
        offset = int.from_bytes(digest[:4], "big") / 2**32 * interval
        async with self.connection():
            while True:
                await asyncio.sleep(interval - (self._clock() - offset) % interval)
                await self.scrape()

    async def scrape(self) -> None:
        """One scrape, whatever comes of it, and a report about it."""
        at_ms, started = round(self._clock() * 1000), time.perf_counter()
        samples: list[ScrapedSample] = []
        shown, kept, added = 0, 0, 0
        metadata: Mapping[str, About] = {}
        before = self._shown.live
        try:
            exposition = await self._fetched()
            samples = self._labelled(exposition, at_ms)
            metadata = exposition.metadata
            live = {sample.labels for sample in samples if sample.time_ms == at_ms}
            shown, kept, added = len(exposition.samples), len(samples), len(live - before)
            self._shown.live = live
            self.state.health, self.state.error = "up", ""
        except ScrapeError as error:
            self._shown.live = set()
            self.state.health, self.state.error = "down", str(error)
        samples += [ScrapedSample(labels, STALE, at_ms) for labels in before - self._shown.live]
        seconds = time.perf_counter() - started
        samples += self._report(at_ms, seconds, shown, kept, added)
        self.state.last_scrape, self.state.duration_seconds, self.state.samples = at_ms / 1000, seconds, shown
        await self._store(samples, metadata)

    async def end(self) -> None:
        """The target is no more: end all its series."""
        at_ms = round(self._clock() * 1000)
        labels = self._shown.live | {sample.labels for sample in self._report(at_ms, 0.0, 0, 0, 0)}
        await self._store([ScrapedSample(entry, STALE, at_ms) for entry in labels], {})

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[None]:
        """Scrapes happen inside of it."""
        async with http_client(self._job.access, self._target.timeout_seconds) as self._client:
            yield

    async def _fetched(self) -> Exposition:
        seconds = self._target.timeout_seconds
        limit = self._job.body_size_limit or LARGEST_BODY
        try:
            headers = {"accept": ACCEPT, "x-prometheus-scrape-timeout-seconds": f"{seconds:g}"}
            async with asyncio.timeout(seconds):
                own = {**headers, **headers_of(self._job.access)}
                async with self._client.stream("GET", self._target.url, headers=own) as answer:
                    if answer.status_code != 200:
                        raise ScrapeError(f"server returned HTTP status {answer.status_code}")
                    body = bytearray()
                    async for part in answer.aiter_bytes():
                        body += part
                        if len(body) > limit:
                            raise ScrapeError(f"the answer is larger than {limit} bytes (body_size_limit)")
                    content_type = answer.headers.get("content-type", "")
        except TimeoutError:
            raise ScrapeError(f"the answer did not end within {seconds:g} s (scrape_timeout)") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise ScrapeError(f"cannot reach {self._target.url}: {error or type(error).__name__}") from error
        try:
            text = body.decode()
            return await asyncio.to_thread(read_exposition, text, is_openmetrics=content_type.startswith(OPENMETRICS))
        except UnicodeDecodeError as error:
            raise ScrapeError(f"cannot read the answer: it is not UTF-8 ({error})") from error
        except ExpositionError as error:
            raise ScrapeError(str(error)) from error

    def _labelled(self, exposition: Exposition, at_ms: int) -> list[ScrapedSample]:
        known, current = self._shown.labels, {}
        samples = []
        for exposed in exposition.samples:
            labels = known[exposed.series] if exposed.series in known else self._labels(exposed.series)
            current[exposed.series] = labels
            if labels is not None:
                honored = exposed.time_ms if self._job.honor_timestamps else None
                time_ms = at_ms if honored is None else honored
                samples.append(ScrapedSample(labels, exposed.value, time_ms, exposed.exemplar))
        self._shown.labels = current
        limit = self._job.sample_limit
        if limit and len(samples) > limit:
            raise ScrapeError(f"it shows {len(samples)} samples, sample_limit is {limit}")
        return samples

    def _labels(self, series: str) -> Labels | None:
        """The labels a series is stored under; None when it is dropped. Raises ScrapeError."""
        job = self._job
        try:
            exposed = series_labels(series)
        except ExpositionError as error:
            raise ScrapeError(f"cannot read series {series[:120]!r}: {error}") from error
        merged = dict(exposed)
        for name, value in self._own.items():
            if not merged.get(name):
                merged[name] = value
            elif not job.honor_labels:
                exported = f"exported_{name}"
                while exported in merged or exported in self._own:
                    exported = f"exported_{exported}"
                merged[exported], merged[name] = merged[name], value
        labels = relabelled(merged, job.metric_rules)
        if labels is None or not labels.get(METRIC_NAME):
            return None
        self._check_limits(labels, series)
        return tuple(sorted(labels.items()))

    def _check_limits(self, labels: Mapping[str, str], series: str) -> None:
        job = self._job
        if job.label_limit and len(labels) > job.label_limit:
            raise ScrapeError(f"series {series[:120]!r} has {len(labels)} labels, label_limit is {job.label_limit}")
        for limit, key, texts in (
            (job.label_name_length_limit, "label_name_length_limit", labels),
            (job.label_value_length_limit, "label_value_length_limit", labels.values()),
        ):
            if limit and any(len(text) > limit for text in texts):
                raise ScrapeError(f"series {series[:120]!r} has a label beyond {key} {limit}")

    def _report(self, at_ms: int, seconds: float, shown: int, kept: int, added: int) -> list[ScrapedSample]:
        figures = {
            "up": 1.0 if self.state.health == "up" else 0.0,
            "scrape_duration_seconds": seconds,
            "scrape_samples_scraped": float(shown),
            "scrape_samples_post_metric_relabeling": float(kept),
            "scrape_series_added": float(added),
        }
        return [
            ScrapedSample(tuple(sorted({METRIC_NAME: name, **self._own}.items())), value, at_ms)
            for name, value in figures.items()
        ]

    async def _store(self, samples: list[ScrapedSample], metadata: Mapping[str, About]) -> None:
        try:
            stored, collected = await asyncio.to_thread(self._submit, read_scraped, (samples, metadata), None)
            await asyncio.wrap_future(stored)
        except (Refused, OSError) as error:
            self.state.error = f"cannot store the samples: {error}"
            log.warning("scrape.not_stored", url=self._target.url, error=str(error))
            return
        if collected.problems:
            self.state.error = collected.explanation


def config_of(settings: ScrapeSettings) -> ScrapeConfig:
    """What is to be scraped. Raises ScrapeConfigError; what in the file is not carried out is logged."""
    if not settings.config_file:
        return ScrapeConfig((), ())
    config = load_scrape_config(Path(settings.config_file))
    for sentence in config.ignored:
        log.warning("scrape.ignored", file=settings.config_file, part=sentence)
    return config


class Scraper:
    """All jobs of a configuration, on an event loop and a thread of their own."""

    def __init__(self, config: ScrapeConfig, submit: Submit, local: Sequence[TargetScraper] = ()) -> None:
        self.config = config
        self._local = local
        self.dropped: dict[str, list[Mapping[str, str]]] = {}
        self.problems: dict[str, str] = {}
        self._submit = submit
        self._running: dict[tuple[str, str, Labels], tuple[TargetScraper, asyncio.Task[None]]] = {}
        self._loop = asyncio.new_event_loop()
        self._main: asyncio.Task[Any] | None = None
        self._thread = threading.Thread(target=self._run, name="tocsin-scrape", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop; series go on after the next start, so none is ended."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(lambda: self._main.cancel() if self._main else None)
            self._thread.join()

    @property
    def job_names(self) -> list[str]:
        return sorted({*(scraper.state.target.job for scraper in self._local), *(job.name for job in self.config.jobs)})

    def states(self) -> list[TargetState]:
        """Every target and how it is doing, by job and address."""
        states = [scraper.state for scraper, _ in list(self._running.values())]
        return sorted(states, key=lambda state: (state.target.job, state.target.url, state.target.labels))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._main = self._loop.create_task(self._look_forever())
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass  # closed
        finally:
            tasks = [task for _, task in self._running.values()]
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    async def _look_forever(self) -> None:
        for scraper in self._local:
            key = (scraper.state.target.job, scraper.state.target.url, scraper.state.target.labels)
            self._running[key] = scraper, self._loop.create_task(scraper.run())
        looks = [Discovery(job) for job in self.config.jobs]
        while True:
            for look in looks:
                await self._update(look)
            await asyncio.sleep(LOOK_SECONDS)

    async def _update(self, look: Discovery) -> None:
        """Start what is new and end what is gone."""
        job = look.job
        try:
            found = await look.look()
            if job.target_limit and len(found.targets) > job.target_limit:
                raise ValueError(f"it has {len(found.targets)} targets, target_limit is {job.target_limit}")
            self.problems.pop(job.name, None)
        except ValueError as error:
            self.problems[job.name] = f"cannot scrape job '{job.name}': {error}"
            log.warning("scrape.job", problem=self.problems[job.name])
            found_targets = []
        else:
            self.dropped[job.name] = found.dropped
            found_targets = found.targets
        self.problems |= look.problems
        wanted = {(job.name, target.url, target.labels): target for target in found_targets}
        for key in [key for key in self._running if key[0] == job.name and key not in wanted]:
            scraper, task = self._running.pop(key)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await scraper.end()
        for key, target in wanted.items():
            if key not in self._running:
                scraper = TargetScraper(job, target, self._submit)
                self._running[key] = scraper, self._loop.create_task(scraper.run())
