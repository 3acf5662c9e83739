"""What this process can tell without asking over HTTP: its own metrics, and what the collectors find."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from tocsin.collect.discovery import Target
from tocsin.collect.exposition import Exposition, ExpositionError, read_exposition
from tocsin.collect.scrape import ScrapeError, Submit, TargetScraper
from tocsin.collect.scrape_config import plain_job
from tocsin.registry import plugins
from tocsin.sdk.exposition import render

Read = Callable[[], str]
"""Gives metrics in Prometheus' text format."""


class LocalScraper(TargetScraper):
    """A target in this process; apart from how it is read it is one like all others."""

    def __init__(self, name: str, read: Read, interval_seconds: float, submit: Submit) -> None:
        labels = (("instance", socket.gethostname()), ("job", name))
        target = Target(name, f"local:{name}", labels, labels, interval_seconds, interval_seconds)
        super().__init__(plain_job(name, interval_seconds), target, submit)
        self._read = read

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[None]:
        yield

    async def _fetched(self) -> Exposition:
        try:
            return await asyncio.to_thread(lambda: read_exposition(self._read()))
        except (ExpositionError, OSError) as error:
            raise ScrapeError(str(error)) from error


def collector_settings() -> dict[str, type]:
    """The settings class of every collector by its section."""
    return {f"collect_{name}": module.Settings for name, module in plugins("tocsin.collect.collectors")}


def collectors(settings_of: Callable[[type], Any], submit: Submit) -> Iterator[LocalScraper]:
    """The collectors that are switched on."""
    for name, module in plugins("tocsin.collect.collectors"):
        settings = settings_of(module.Settings)
        if settings.is_on:
            yield LocalScraper(name, _reader(module, settings), settings.interval_seconds, submit)


def _reader(module: Any, settings: Any) -> Read:
    return lambda: render(module.collect(settings), openmetrics=False)
