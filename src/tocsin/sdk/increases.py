"""Counts and timings that are sent as increases: exact per tenant whatever is sampled, in bounded memory.

Increases rather than running totals: a process that starts counts its first one, too, and those of processes that live
for one job add up. Jobs, critical operations, flags, tenant isolation and validation errors are counted here.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from tocsin.sdk.exposition import Family, Labels, add_up
from tocsin.sdk.sums import COUNTER, HISTOGRAM, SumKey, Sums, folded, unpacked

# Name × labels × tenant combinations counted apart between two exports; beyond, tenants are counted as `other`.
_LIMIT = 20_000
# Notes that nobody has counted yet.
MOST_NOTED = 8192


# (name, labels, tenant, amount)
Note = tuple[str, Labels, str, int]


class Increase(NamedTuple):
    """Everything since `start_ns`."""

    start_ns: int
    sums: Sums


class Increases:
    """What one agent's process has counted since the last export, from any thread.

    labels are sorted, without empty ones and without the tenant, as `labels_of` makes them.
    """

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._sums = Sums()
        self._start_ns = time.time_ns()
        # Changes so far; items whose tenant or labels there was no room for.
        self.version = self.folded = 0
        # What happens per statement is only put on a list, a fiftieth of what counting costs; more than MOST_NOTED are
        # counted by whoever puts one there.
        self.noted: deque[Note] = deque()

    def count(self, name: str, labels: Labels, tenant: str, amount: float = 1) -> None:
        with self._lock:
            self._count(SumKey(name, COUNTER, labels, tenant), amount)

    def time(self, name: str, labels: Labels, tenant: str, seconds: float) -> None:
        with self._lock:
            self._sums.timing(self._bounded(SumKey(name, HISTOGRAM, labels, tenant))).add(seconds)

    def add_buckets(self, name: str, labels: Labels, tenant: str, buckets: Mapping[int, int], seconds: float) -> None:
        """Adds durations that were counted elsewhere, in buckets of `red.SCALE`."""
        with self._lock:
            self._sums.timing(self._bounded(SumKey(name, HISTOGRAM, labels, tenant))).add_buckets(buckets, seconds)

    def count_noted(self) -> None:
        """Counts what was noted so far."""
        noted = self.noted
        # Equal ones first, which is done in C.
        for (name, labels, tenant, amount), times in Counter(_taken(noted)).items():
            self.count(name, labels, tenant, amount * times)

    def collect(self) -> Increase:
        """Everything since the last collection; counting begins anew."""
        self.count_noted()
        with self._lock:
            found = Increase(self._start_ns, self._sums)
            self._sums, self._start_ns = Sums(), time.time_ns()
        return found

    def waiting(self) -> Sums:
        """A copy of what the next collection will hold so far."""
        self.count_noted()
        with self._lock:
            return self._sums.copy()

    def packed(self) -> list[Any]:
        """Takes everything that was not collected, as JSON takes it, for the process that answers for this one."""
        return self.collect().sums.packed()

    def add_packed(self, packed: Iterable[Any]) -> None:
        """Takes over what another process has packed."""
        with self._lock:
            more = unpacked(packed)
            for key, amount in more.numbers.items():
                self._count(key, amount)
            for key, timing in more.timings.items():
                self._sums.timing(self._bounded(key)).add_buckets(timing.buckets, timing.seconds)

    def _count(self, key: SumKey, amount: float) -> None:
        self._sums.add(self._bounded(key), amount)

    def _bounded(self, key: SumKey) -> SumKey:
        self.version += 1
        found = folded(key, self._sums, self._limit)
        self.folded += found is not key
        return found


def _taken(noted: deque[Note]) -> Iterator[Note]:
    """What is there by now; others may take from it, too."""
    with suppress(IndexError):
        for _ in range(len(noted)):
            yield noted.popleft()


class IncreaseTotals:
    """What was collected since the process began, for a scraper. bounded: the tenant as it is shown."""

    def __init__(self, bounded: Callable[[str], str]) -> None:
        self._bounded = bounded
        self._sums = Sums()

    def add(self, more: Sums) -> None:
        for key, amount in more.numbers.items():
            self._sums.add(self._place(key), amount)
        for key, timing in more.timings.items():
            self._sums.timing(self._place(key)).add_buckets(timing.buckets, timing.seconds)

    def families(self, more: Iterable[Sums]) -> list[Family]:
        """All that was added, and these, which will be."""
        later = IncreaseTotals(self._bounded)
        for sums in more:
            later.add(sums)
        return add_up([*self._sums.families(), *later._sums.families()])

    def _place(self, key: SumKey) -> SumKey:
        return folded(key._replace(tenant=self._bounded(key.tenant)), self._sums, _LIMIT)
