"""Metrics for the pages and routes: who may read which series, and evaluation that ends when the reader leaves."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio.to_thread
from starlette.requests import HTTPConnection, Request

from tocsin.model.labels import ENVIRONMENT
from tocsin.model.tenant import Scope
from tocsin.query.metric_reader import ExemplarPoint, Labels, MetricMetadata, MetricReader, Selector
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import Hints, Matcher, Series
from tocsin.storage.telemetry.residency import free_memory
from tocsin.web.state import state_of

Answer = TypeVar("Answer")

MOST_AT_ONCE = 4
"""Queries evaluated at a time: both the engine and NumPy use every core, so more would wait for each other."""

LARGE_SECONDS = 0.2
"""A query that took so long has used memory that is worth giving back when no other needs it."""


def reader_for(request: HTTPConnection, scope: Scope) -> MetricReader:
    """The series of a scope."""
    reader: MetricReader = request.app.state.tocsin.metrics(scope)
    return reader


def promql_settings_of(request: HTTPConnection) -> QuerySettings:
    return state_of(request).settings[QuerySettings]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A reader whose every question also has these matchers: what the page's switches say."""

    inner: MetricReader
    matchers: tuple[Matcher, ...]

    def select(self, matchers: Selector, start_ms: int, end_ms: int, hints: Hints) -> list[Series]:
        return self.inner.select([*matchers, *self.matchers], start_ms, end_ms, hints)

    def portions(self, matchers: Selector, start_ms: int, end_ms: int, hints: Hints) -> Iterator[Sequence[Series]]:
        return self.inner.portions([*matchers, *self.matchers], start_ms, end_ms, hints)

    def label_names(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> list[str]:
        return self.inner.label_names(self._all(selectors), start_ms, end_ms)

    def label_values(self, name: str, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> list[str]:
        return self.inner.label_values(name, self._all(selectors), start_ms, end_ms)

    def series(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> list[Labels]:
        return self.inner.series(self._all(selectors), start_ms, end_ms)

    def series_counts(self, start_ms: int, end_ms: int) -> dict[str, int]:
        return self.inner.series_counts(start_ms, end_ms)

    def metadata(self, metric: str = "") -> dict[str, list[MetricMetadata]]:
        return self.inner.metadata(metric)

    def exemplars(
        self, selectors: Sequence[Selector], start_ms: int, end_ms: int
    ) -> list[tuple[Labels, list[ExemplarPoint]]]:
        return self.inner.exemplars(self._all(selectors), start_ms, end_ms)

    def _all(self, selectors: Sequence[Selector]) -> list[Selector]:
        return [[*selector, *self.matchers] for selector in selectors or [()]]


def in_environment(reader: MetricReader, environment: str | None) -> MetricReader:
    """Only the series of one environment and those of none; all when it is None."""
    if environment is None:
        return reader
    return Narrowed(reader, (Matcher(ENVIRONMENT, "=", environment),))


async def while_waited_for(request: Request, work: Callable[[Callable[[], bool]], Answer]) -> Answer:
    """What `work` gives, called in a thread with a function that tells whether the client has left meanwhile.

    The body of the request must have been read.
    """

    def worked() -> Answer:
        started = time.perf_counter()
        try:
            return work(gone.is_set)
        finally:
            if time.perf_counter() - started > LARGE_SECONDS:
                free_memory.note_use()

    gone = threading.Event()
    limiter = _limiter(request)
    working = asyncio.ensure_future(anyio.to_thread.run_sync(worked, limiter=limiter))
    watching = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            gone.set()
        return await working
    except asyncio.CancelledError:
        gone.set()
        raise
    finally:
        watching.cancel()


def _limiter(request: Request) -> anyio.CapacityLimiter:
    state = request.app.state
    if not hasattr(state, "evaluating"):
        state.evaluating = anyio.CapacityLimiter(MOST_AT_ONCE)
    limiter: anyio.CapacityLimiter = state.evaluating
    return limiter


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
