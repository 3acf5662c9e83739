"""Numbers and timings by name, labels and tenant: what counters of all kinds keep, add up, pack and show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import floor, log2
from typing import Any, NamedTuple

from tocsin.sdk.exposition import Family, Labels, labels_of
from tocsin.sdk.red import OTHER, SCALE
from tocsin.sdk.totals import BOUNDS, Histogram

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"


class SumKey(NamedTuple):
    """kind: counter, gauge or histogram. labels: without the tenant, which is '' outside of any tenant's work."""

    name: str
    kind: str
    labels: Labels
    tenant: str

    def attributes(self) -> dict[str, str]:
        return {**dict(self.labels), "tocsin.tenant": self.tenant} if self.tenant else dict(self.labels)


class Timing:
    """Seconds in exponential buckets of `red.SCALE`, as requests are counted."""

    __slots__ = ("buckets", "seconds")

    def __init__(self, seconds: float = 0.0, buckets: Iterable[tuple[int, int]] = ()) -> None:
        self.seconds = seconds
        self.buckets: dict[int, int] = dict(buckets)

    @property
    def count(self) -> int:
        return sum(self.buckets.values())

    def add(self, seconds: float) -> None:
        index = floor(log2(max(seconds, 1e-9)) * (1 << SCALE))
        self.buckets[index] = self.buckets.get(index, 0) + 1
        self.seconds += seconds

    def add_buckets(self, buckets: Mapping[int, int], seconds: float) -> None:
        """Adds what was timed elsewhere."""
        self.seconds += seconds
        for index, number in buckets.items():
            self.buckets[index] = self.buckets.get(index, 0) + number

    def copy(self) -> Timing:
        return Timing(self.seconds, self.buckets.items())


class _Description(NamedTuple):
    help: str
    bounds: Sequence[float]


_described: dict[str, _Description] = {}


def describe(name: str, words: str, bounds: Sequence[float] = BOUNDS) -> None:
    """What a metric means and, of a timing, its upper bounds in seconds, for `/metrics`."""
    _described[name] = _Description(words, bounds)


class Sums:
    """Numbers and timings that were added up. Whoever shares one between threads locks it."""

    def __init__(self) -> None:
        self.numbers: dict[SumKey, float] = {}
        self.timings: dict[SumKey, Timing] = {}

    def __len__(self) -> int:
        return len(self.numbers) + len(self.timings)

    def __contains__(self, key: SumKey) -> bool:
        return key in self.numbers or key in self.timings

    def add(self, key: SumKey, amount: float) -> None:
        """Adds to a number; a gauge takes the new one."""
        self.numbers[key] = amount if key.kind == GAUGE else self.numbers.get(key, 0) + amount

    def timing(self, key: SumKey) -> Timing:
        """The timing of this key, made when there is none."""
        found = self.timings.get(key)
        if found is None:
            found = self.timings[key] = Timing()
        return found

    def copy(self) -> Sums:
        copied = Sums()
        copied.numbers = dict(self.numbers)
        copied.timings = {key: timing.copy() for key, timing in self.timings.items()}
        return copied

    def packed(self) -> list[Any]:
        """As JSON takes it, for the process that answers for this one."""
        packed: list[Any] = [[*key, value, None] for key, value in self.numbers.items()]
        return packed + [[*key, timing.seconds, list(timing.buckets.items())] for key, timing in self.timings.items()]

    def families(self) -> list[Family]:
        """Everything as metric families, each tenant by name: whoever shows them bounds the tenants."""
        made: dict[str, Family] = {}
        for key, value in self.numbers.items():
            _family(made, key).add(value, tenant=key.tenant, **dict(key.labels))
        for key, timing in self.timings.items():
            histogram = Histogram(_described[key.name].bounds if key.name in _described else BOUNDS)
            histogram.add(timing.buckets, timing.seconds)
            histogram.write(_family(made, key), labels_of({**dict(key.labels), "tenant": key.tenant}))
        return list(made.values())


def unpacked(packed: Iterable[Any]) -> Sums:
    """What `Sums.packed` has made, read back from JSON."""
    sums = Sums()
    for name, kind, labels, tenant, number, buckets in packed:
        key = SumKey(name, kind, tuple((label, value) for label, value in labels), tenant)
        if buckets is None:
            sums.add(key, number)
        else:
            sums.timings[key] = Timing(number, ((int(index), int(count)) for index, count in buckets))
    return sums


def folded(key: SumKey, sums: Sums, limit: int) -> SumKey:
    """The key under which it is counted: past the limit its tenant is `other`, and past a fifth more its labels go."""
    if key in sums or len(sums) < limit:
        return key
    of_others = key._replace(tenant=OTHER)
    if of_others in sums or len(sums) < limit + limit // 5:
        return of_others
    return of_others._replace(labels=())  # a label that should not be one


def _family(made: dict[str, Family], key: SumKey) -> Family:
    if key.name not in made:
        known = _described.get(key.name)
        words = known.help if known else f"{key.name.replace('_', ' ')}, counted by the app."
        made[key.name] = Family(key.name, key.kind, words)
    return made[key.name]
