"""What rules read: the store, each selection of a group's evaluation once, and what rules have just written.

The store shows a sample a second or two after it was sent; the next rule of the group needs it at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np

from tocsin.detect.rules.evaluation import Written
from tocsin.query.promql.source import Hints, Matcher, Series, Source, WholeSource

KEPT_MS = 30_000
REMEMBERED_SECONDS = 5.0
MOST_REMEMBERED = 64
Key = tuple[tuple[str, str], ...]


class Fresh(WholeSource):
    """A source over another one, with the samples of the last half minute that rules wrote."""

    def __init__(self, inner: Source) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._samples: dict[Key, dict[int, float]] = {}
        self._remembered: dict[tuple[object, ...], tuple[float, list[Series]]] = {}

    def note(self, written: Sequence[Written]) -> None:
        with self._lock:
            for one in written:
                self._samples.setdefault(tuple(sorted(one.labels.items())), {})[one.time_ms] = one.value
            if written:
                self._forget(max(one.time_ms for one in written) - KEPT_MS)

    def _forget(self, before_ms: int) -> None:
        for key in list(self._samples):
            kept = {at: value for at, value in self._samples[key].items() if at >= before_ms}
            if kept:
                self._samples[key] = kept
            else:
                del self._samples[key]

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: Hints) -> list[Series]:
        return self.added(self._selected(matchers, start_ms, end_ms, hints), matchers, start_ms, end_ms)

    def over(self, other: Source) -> Source:
        """Another source with the same samples of late, for who asks why."""
        return _Over(self, other)

    def added(self, found: list[Series], matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Series]:
        """What was found, with what was written of late."""
        ours = self._matching(matchers, start_ms, end_ms)
        if not ours:
            return found
        by_key = {tuple(sorted(series.labels.items())): series for series in found}
        for key, samples in ours.items():
            by_key[key] = _merged(dict(key), by_key.get(key), samples)
        return [by_key[key] for key in sorted(by_key)]

    def _selected(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: Hints) -> list[Series]:
        """Rules of a group are asked at one time and ask much the same."""
        key = (tuple(matchers), start_ms, end_ms, hints)
        now = time.monotonic()
        with self._lock:
            held = self._remembered.get(key)
        if held is not None and now - held[0] < REMEMBERED_SECONDS:
            return held[1]
        found = self._inner.select(matchers, start_ms, end_ms, hints)
        with self._lock:
            for old in [one for one, (at, _) in self._remembered.items() if now - at >= REMEMBERED_SECONDS]:
                del self._remembered[old]
            if len(self._remembered) < MOST_REMEMBERED:
                self._remembered[key] = (now, found)
        return found

    def _matching(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> dict[Key, dict[int, float]]:
        with self._lock:
            held = list(self._samples.items())
        found = {}
        for key, samples in held:
            labels = dict(key)
            if all(matcher.matches(labels.get(matcher.name, "")) for matcher in matchers):
                within = {at: value for at, value in samples.items() if start_ms < at <= end_ms}
                if within:
                    found[key] = within
        return found


class _Over(WholeSource):
    def __init__(self, fresh: Fresh, inner: Source) -> None:
        self._fresh = fresh
        self._inner = inner

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: Hints) -> list[Series]:
        found = self._inner.select(matchers, start_ms, end_ms, hints)
        return self._fresh.added(found, matchers, start_ms, end_ms)


def _merged(labels: dict[str, str], stored: Series | None, samples: dict[int, float]) -> Series:
    there = set() if stored is None else set(stored.timestamps.tolist())
    news = sorted((at, value) for at, value in samples.items() if at not in there)
    times = np.array([at for at, _ in news], dtype=np.int64)
    values = np.array([value for _, value in news], dtype=np.float64)
    if stored is None or not news:
        return stored if stored is not None else Series(labels, times, values)
    all_times = np.concatenate([stored.timestamps, times])
    order = np.argsort(all_times, kind="stable")
    histograms = None if stored.histograms is None else [*stored.histograms, *([None] * len(news))]
    return Series(
        stored.labels,
        all_times[order],
        np.concatenate([stored.values, values])[order],
        None if histograms is None else [histograms[at] for at in order],
    )
