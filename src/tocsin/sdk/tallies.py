"""Numbers sent as what was added since the last time: exact per tenant, also from processes that live for one job.

A counter that begins anew in every short-lived process would show no increase; increases add up whoever sends them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from tocsin.sdk.exposition import Family, Labels, labels_of
from tocsin.sdk.guard import guarded
from tocsin.sdk.measures import MeasureKey, Timing
from tocsin.sdk.red import OTHER
from tocsin.sdk.totals import Histogram

# Name × labels × tenant combinations counted apart; beyond it all further tenants are one.
_ROWS = 20_000

COUNTER, HISTOGRAM = "counter", "histogram"
# Seconds at `/metrics`: jobs take milliseconds or hours.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)


class Added(NamedTuple):
    """What was added since `start_ns`."""

    start_ns: int
    numbers: dict[MeasureKey, float]
    timings: dict[MeasureKey, Timing]

    def __len__(self) -> int:
        return len(self.numbers) + len(self.timings)


class Tallies:
    """Counts and timings of one process, from any thread. helps: what each name means, for `/metrics`.

    Labels are sorted, as `labels_of` makes them, and without the tenant.
    """

    def __init__(self, helps: dict[str, str]) -> None:
        self._helps = helps
        self._lock = threading.Lock()
        self._totals = Added(time.time_ns(), {}, {})
        self._added = Added(time.time_ns(), {}, {})
        self.folded = 0

    @guarded(None)
    def count(self, name: str, labels: Labels, tenant: str, amount: float = 1) -> None:
        with self._lock:
            self._count(MeasureKey(name, COUNTER, labels, tenant), amount)

    @guarded(None)
    def time(self, name: str, seconds: float, labels: Labels, tenant: str) -> None:
        with self._lock:
            key = self._roomy(MeasureKey(name, HISTOGRAM, labels, tenant))
            for of in (self._added, self._totals):
                timing = of.timings.get(key)
                if timing is None:
                    timing = of.timings[key] = Timing()
                timing.add(seconds)

    def collect(self) -> Added:
        """What was added since the last call."""
        with self._lock:
            added, self._added = self._added, Added(time.time_ns(), {}, {})
        return added

    def families(self) -> list[Family]:
        """Everything since the process began, each tenant by name: whoever shows them bounds the tenants."""
        made: dict[str, Family] = {}
        with self._lock:
            for key, value in self._totals.numbers.items():
                self._family(made, key).add(value, tenant=key.tenant, **dict(key.labels))
            for key, timing in self._totals.timings.items():
                histogram = Histogram(BOUNDS)
                histogram.add(timing.buckets, timing.seconds)
                histogram.write(self._family(made, key), labels_of({**dict(key.labels), "tenant": key.tenant}))
        return list(made.values())

    def packed(self) -> list[Any]:
        """Everything that was not collected yet, as JSON takes it, for the process that answers for this one."""
        return pack(self.collect())

    def add(self, packed: Sequence[Any]) -> None:
        """Takes over what another process has packed."""
        with self._lock:
            for name, labels, tenant, number, buckets in packed:
                pairs: Labels = tuple((label, value) for label, value in labels)
                if buckets is None:
                    self._count(MeasureKey(name, COUNTER, pairs, tenant), number)
                else:
                    self._time(MeasureKey(name, HISTOGRAM, pairs, tenant), unpacked_timing(number, buckets))

    def _count(self, key: MeasureKey, amount: float) -> None:
        key = self._roomy(key)
        for of in (self._added, self._totals):
            of.numbers[key] = of.numbers.get(key, 0) + amount

    def _time(self, key: MeasureKey, more: Timing) -> None:
        key = self._roomy(key)
        for of in (self._added, self._totals):
            timing = of.timings.setdefault(key, Timing())
            timing.seconds += more.seconds
            for index, number in more.buckets.items():
                timing.buckets[index] = timing.buckets.get(index, 0) + number

    def _roomy(self, key: MeasureKey) -> MeasureKey:
        totals = self._totals
        if key in totals.numbers or key in totals.timings or len(totals) < _ROWS:
            return key
        self.folded += 1
        return key._replace(tenant=OTHER)

    def _family(self, made: dict[str, Family], key: MeasureKey) -> Family:
        return made.setdefault(key.name, Family(key.name, key.kind, self._helps.get(key.name, key.name)))


def pack(added: Added) -> list[Any]:
    """Counts and timings as JSON takes them: name, labels, tenant, number or seconds, buckets or None."""
    packed: list[Any] = [[key.name, key.labels, key.tenant, value, None] for key, value in added.numbers.items()]
    return packed + [
        [key.name, key.labels, key.tenant, timing.seconds, list(timing.buckets.items())]
        for key, timing in added.timings.items()
    ]


def unpacked_timing(seconds: float, buckets: Sequence[Sequence[int]]) -> Timing:
    timing = Timing()
    timing.seconds = seconds
    timing.buckets = {int(index): int(number) for index, number in buckets}
    return timing
