"""Counts and timings that are sent as increases: exact per tenant whatever is sampled, in bounded memory.

Increases rather than running totals, because a process that starts counts its first one, too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tocsin.sdk.exposition import Family, Labels, labels_of
from tocsin.sdk.measures import MeasureKey, Timing
from tocsin.sdk.red import OTHER
from tocsin.sdk.totals import Histogram

# Combinations counted apart between two exports; the tenants of more are counted as `other`.
_LIMIT = 5000
# Those that folded tenants may still open past the limit, before the labels are folded, too.
_FOLDED = 1000

_HELPS = {
    "operation_outcomes_total": "Runs of critical operations, by how they ended.",
    "operation_duration_seconds": "Seconds that critical operations took.",
    "feature_flag_evaluations_total": "Evaluations of feature flags, by variant.",
    "feature_flag_evaluation_duration_seconds": "Seconds that evaluating a feature flag took.",
}


class DeltaCollection(NamedTuple):
    """Everything since the last collection."""

    start_ns: int
    counts: dict[MeasureKey, int]
    timings: dict[MeasureKey, Timing]


class DeltaTable:
    """Counts since the last export, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[MeasureKey, int] = {}
        self._timings: dict[MeasureKey, Timing] = {}
        self._start_ns = time.time_ns()
        self.folded = 0

    def count(self, name: str, labels: Labels, tenant: str, number: int = 1) -> None:
        key = MeasureKey(name, "counter", labels, tenant)
        with self._lock:
            key = self._bounded(key, self._counts)
            self._counts[key] = self._counts.get(key, 0) + number

    def time(self, name: str, labels: Labels, tenant: str, seconds: float) -> None:
        with self._lock:
            self._timing(name, labels, tenant).add(seconds)

    def add_buckets(self, name: str, labels: Labels, tenant: str, buckets: Mapping[int, int], seconds: float) -> None:
        """Adds durations that were counted elsewhere, in buckets of `red.SCALE`."""
        with self._lock:
            timing = self._timing(name, labels, tenant)
            timing.seconds += seconds
            for index, number in buckets.items():
                timing.buckets[index] = timing.buckets.get(index, 0) + number

    def collect(self) -> DeltaCollection:
        """Everything since the last collection; the table begins anew."""
        with self._lock:
            found = DeltaCollection(self._start_ns, self._counts, self._timings)
            self._counts, self._timings, self._start_ns = {}, {}, time.time_ns()
        return found

    def waiting(self) -> DeltaCollection:
        """A copy of what the next collection will hold so far."""
        with self._lock:
            timings = {key: timing.copy() for key, timing in self._timings.items()}
            return DeltaCollection(self._start_ns, dict(self._counts), timings)

    def _timing(self, name: str, labels: Labels, tenant: str) -> Timing:
        key = self._bounded(MeasureKey(name, "histogram", labels, tenant), self._timings)
        return self._timings.setdefault(key, Timing())

    def _bounded(self, key: MeasureKey, kept: Mapping[MeasureKey, object]) -> MeasureKey:
        if key in kept or len(kept) < _LIMIT:
            return key
        self.folded += 1
        folded = key._replace(tenant=OTHER)
        if folded in kept or len(kept) < _LIMIT + _FOLDED:
            return folded
        return folded._replace(labels=())  # a label that should not be one


class DeltaTotals:
    """What the table handed out since the process began, for a scraper. bounded: the tenant as it is shown."""

    def __init__(self, bounded: Callable[[str], str]) -> None:
        self._bounded = bounded
        self._counts: dict[tuple[str, Labels], int] = {}
        self._timings: dict[tuple[str, Labels], Timing] = {}

    def add(self, collection: DeltaCollection) -> None:
        for key, number in collection.counts.items():
            place = self._place(key)
            self._counts[place] = self._counts.get(place, 0) + number
        for key, timing in collection.timings.items():
            total = self._timings.setdefault(self._place(key), Timing())
            total.seconds += timing.seconds
            for index, number in timing.buckets.items():
                total.buckets[index] = total.buckets.get(index, 0) + number

    def families(self) -> list[Family]:
        made: dict[str, Family] = {}
        for (name, labels), number in self._counts.items():
            made.setdefault(name, Family(name, "counter", _HELPS[name])).add_to(("", labels), number)
        for (name, labels), timing in self._timings.items():
            histogram = Histogram()
            histogram.add(timing.buckets, timing.seconds)
            histogram.write(made.setdefault(name, Family(name, "histogram", _HELPS[name])), labels)
        return list(made.values())

    def _place(self, key: MeasureKey) -> tuple[str, Labels]:
        return key.name, labels_of({**dict(key.labels), "tenant": self._bounded(key.tenant)})
