"""Numbers of your own: counters, gauges and timings, sent over OTLP and shown at the app's `/metrics`.

Names are those of the metric as Prometheus shows it: a counter ends in `_total`, a timing in `_seconds`. The current
tenant is added by itself.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import floor, log2
from typing import Any, NamedTuple

from tocsin.sdk.encode_metrics import Figure
from tocsin.sdk.exposition import Family, labels_of
from tocsin.sdk.guard import guarded
from tocsin.sdk.red import SCALE
from tocsin.sdk.tenant import current_tenant
from tocsin.sdk.totals import Histogram

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# Distinct name × labels × tenant combinations; more is a label that should not be one.
_LIMIT = 5000

Labels = tuple[tuple[str, str], ...]


class MeasureKey(NamedTuple):
    """kind: counter, gauge or histogram. tenant is '' outside of any tenant's work."""

    name: str
    kind: str
    labels: Labels
    tenant: str

    def attributes(self) -> dict[str, str]:
        return {**dict(self.labels), "tocsin.tenant": self.tenant} if self.tenant else dict(self.labels)


class Timing:
    """Seconds in exponential buckets of `red.SCALE`, as requests are counted."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.seconds = 0.0

    @property
    def count(self) -> int:
        return sum(self.buckets.values())

    def add(self, seconds: float) -> None:
        index = floor(log2(max(seconds, 1e-9)) * (1 << SCALE))
        self.buckets[index] = self.buckets.get(index, 0) + 1
        self.seconds += seconds

    def copy(self) -> Timing:
        copied = Timing()
        copied.buckets, copied.seconds = dict(self.buckets), self.seconds
        return copied


class Measures:
    """What this process has counted since it began; bounded, and safe from any thread."""

    def __init__(self) -> None:
        self._helps: dict[str, str] = {}
        self.forget()

    def forget(self) -> None:
        """Begins anew; in a forked child the parent's numbers are the parent's to send."""
        self._lock = threading.Lock()
        # Changes so far, for who sends them; combinations there was no room for.
        self.version = self.dropped = 0
        self.numbers: dict[MeasureKey, float] = {}
        self.timings: dict[MeasureKey, Timing] = {}

    def describe(self, name: str, text: str) -> None:
        self._helps[name] = text

    @guarded(None)
    def count(self, name: str, amount: float, labels: dict[str, Any]) -> None:
        key = _key(name, "counter", labels)
        with self._lock:
            if self._has_room(key, self.numbers):
                self.numbers[key] = self.numbers.get(key, 0) + amount

    @guarded(None)
    def set(self, name: str, value: float, labels: dict[str, Any]) -> None:
        key = _key(name, "gauge", labels)
        with self._lock:
            if self._has_room(key, self.numbers):
                self.numbers[key] = value

    @guarded(None)
    def time(self, name: str, seconds: float, labels: dict[str, Any]) -> None:
        key = _key(name, "histogram", labels)
        with self._lock:
            if self._has_room(key, self.timings):
                self.timings.setdefault(key, Timing()).add(seconds)

    @guarded(None)
    def add_timing(self, name: str, more: Timing, labels: dict[str, str]) -> None:
        """Adds what was timed elsewhere. No reason to send anything: a quiet process stays quiet."""
        key = MeasureKey(name, "histogram", labels_of(labels), "")
        with self._lock:
            timing = self.timings.setdefault(key, Timing())
            timing.seconds += more.seconds
            for index, number in more.buckets.items():
                timing.buckets[index] = timing.buckets.get(index, 0) + number

    def packed(self) -> list[Any]:
        """Everything as JSON takes it, for the process that answers for this one."""
        with self._lock:
            numbers = [[*key[:3], key.tenant, value, None] for key, value in self.numbers.items()]
            return numbers + [
                [*key[:3], key.tenant, timing.seconds, list(timing.buckets.items())]
                for key, timing in self.timings.items()
            ]

    def add_packed(self, packed: list[Any]) -> None:
        """Takes over what another process has counted since it began."""
        with self._lock:
            for name, kind, labels, tenant, number, buckets in packed:
                key = MeasureKey(name, kind, tuple((label, value) for label, value in labels), tenant)
                if not self._has_room(key, self.numbers if buckets is None else self.timings):
                    continue
                if kind == "gauge":
                    self.numbers[key] = number
                elif buckets is None:
                    self.numbers[key] = self.numbers.get(key, 0) + number
                else:
                    timing = self.timings.setdefault(key, Timing())
                    timing.seconds += number
                    for index, more in buckets:
                        timing.buckets[index] = timing.buckets.get(index, 0) + more

    def families(self) -> list[Family]:
        """Everything as metric families, each tenant by name: whoever shows them bounds the tenants."""
        made: dict[str, Family] = {}
        with self._lock:
            for key, value in self.numbers.items():
                self._family(made, key).add(value, tenant=key.tenant, **dict(key.labels))
            for key, timing in self.timings.items():
                histogram = Histogram()
                histogram.add(timing.buckets, timing.seconds)
                histogram.write(self._family(made, key), labels_of({**dict(key.labels), "tenant": key.tenant}))
        return list(made.values())

    def figures(self) -> list[Figure]:
        """Counters and gauges for OTLP."""
        with self._lock:
            return [
                Figure(key.name, "", value, key.attributes(), key.kind == "counter", True)
                for key, value in self.numbers.items()
            ]

    def copied_timings(self) -> list[tuple[MeasureKey, Timing]]:
        with self._lock:
            return [(key, timing.copy()) for key, timing in self.timings.items()]

    def _family(self, made: dict[str, Family], key: MeasureKey) -> Family:
        if key.name not in made:
            words = self._helps.get(key.name, f"{key.name.replace('_', ' ')}, counted by the app.")
            made[key.name] = Family(key.name, key.kind, words)
        return made[key.name]

    def _has_room(self, key: MeasureKey, kept: dict[MeasureKey, Any]) -> bool:
        self.version += 1
        if key in kept or len(self.numbers) + len(self.timings) < _LIMIT:
            return True
        self.dropped += 1
        return False


def _key(name: str, kind: str, labels: dict[str, Any]) -> MeasureKey:
    if not _NAME.fullmatch(name):
        raise ValueError(f"cannot measure {name!r}: not a metric name; write letters, digits and underscores")
    tenant = labels.pop("tenant", None)
    return MeasureKey(
        name,
        kind,
        labels_of({label: str(value) for label, value in labels.items() if value is not None}),
        str(tenant) if tenant is not None else current_tenant() or "",
    )


# Of the whole process, whatever app or agent: the numbers are the product's.
measures = Measures()
os.register_at_fork(after_in_child=measures.forget)
measures.describe("user_login_attempts_total", "Attempts to sign in, by outcome and provider.")
measures.describe("user_registrations_total", "Users registered, by plan.")


def count(name: str, amount: float = 1, **labels: Any) -> None:
    """Adds to a counter: `tocsin.count("reports_rendered_total", format="pdf")`. Never raises."""
    measures.count(name, amount, labels)


def gauge(name: str, value: float, **labels: Any) -> None:
    """Sets a gauge of this process: `tocsin.gauge("queue_length", 17, queue="mail")`. Never raises."""
    measures.set(name, value, labels)


@contextmanager
def timing(name: str, **labels: Any) -> Iterator[None]:
    """Times a block: `with tocsin.timing("pdf_render_seconds", format="a4"): …`. What the block raises passes on."""
    began = time.perf_counter()
    try:
        yield
    finally:
        measures.time(name, time.perf_counter() - began, labels)


def login_attempt(outcome: str, provider: str = "password", **labels: Any) -> None:
    """Counts an attempt to sign in as `user_login_attempts_total`; outcome: success, failure or lockout."""
    count("user_login_attempts_total", outcome=outcome, provider=provider, **labels)


def registration(plan: str = "", **labels: Any) -> None:
    """Counts a new user as `user_registrations_total`."""
    count("user_registrations_total", plan=plan, **labels)
