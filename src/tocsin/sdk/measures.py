"""Numbers of your own: counters, gauges and timings, sent over OTLP and shown at the app's `/metrics`.

Names are those of the metric as Prometheus shows it: a counter ends in `_total`, a timing in `_seconds`. The current
tenant is added by itself.
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import _GeneratorContextManager, contextmanager  # what `contextmanager` gives, a decorator as well
from typing import Any, overload

from tocsin.sdk.encode_metrics import Figure
from tocsin.sdk.exposition import Family, labels_of
from tocsin.sdk.guard import guarded
from tocsin.sdk.sums import COUNTER, GAUGE, HISTOGRAM, SumKey, Sums, Timing, describe, unpacked
from tocsin.sdk.tenant import clean, current_tenant

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,199}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,99}")
# Labels of histograms that are not the app's to give.
_TAKEN = {"le", "quantile"}
_LABEL_CHARACTERS = 256
# What OTLP carries as an integer.
_MOST = 2**63
# Distinct name × labels × tenant combinations; more is a label that should not be one.
_LIMIT = 5000


class Measures:
    """What this process has counted since it began; bounded, and safe from any thread."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begins anew; in a forked child the parent's numbers are the parent's to send."""
        self._lock = threading.Lock()
        # Changes so far, for who sends them; combinations there was no room for.
        self.version = self.dropped = 0
        self.sums = Sums()
        # What each name is: one that is two things at once is nothing to whoever reads it.
        self._kinds: dict[str, str] = {}

    @guarded(None)
    def count(self, name: str, amount: float, labels: dict[str, Any]) -> None:
        self._add(_key(name, COUNTER, labels), _amount(name, amount))

    @guarded(None)
    def set(self, name: str, value: float, labels: dict[str, Any]) -> None:
        self._add(_key(name, GAUGE, labels), _number(name, value))

    @guarded(None)
    def time(self, name: str, seconds: float, labels: dict[str, Any]) -> None:
        key, seconds = _key(name, HISTOGRAM, labels), float(_amount(name, seconds))
        with self._lock:
            if self._has_room(key):
                self.sums.timing(key).add(seconds)

    @guarded(None)
    def add_timing(self, name: str, more: Timing, labels: dict[str, str]) -> None:
        """Adds what was timed elsewhere. No reason to send anything: a quiet process stays quiet."""
        with self._lock:
            timing = self.sums.timing(SumKey(name, HISTOGRAM, labels_of(labels), ""))
            timing.add_buckets(more.buckets, more.seconds)

    def packed(self) -> list[Any]:
        """Everything as JSON takes it, for the process that answers for this one."""
        with self._lock:
            return self.sums.packed()

    def add_packed(self, packed: list[Any]) -> None:
        """Takes over what another process has counted since it began."""
        more = unpacked(packed)
        for key, value in more.numbers.items():
            self._add(key, value)
        with self._lock:
            for key, timing in more.timings.items():
                if self._has_room(key):
                    self.sums.timing(key).add_buckets(timing.buckets, timing.seconds)

    def families(self) -> list[Family]:
        """Everything as metric families, each tenant by name: whoever shows them bounds the tenants."""
        with self._lock:
            return self.sums.families()

    def figures(self) -> list[Figure]:
        """Counters and gauges for OTLP."""
        with self._lock:
            return [
                Figure(key.name, "", value, key.attributes(), key.kind == COUNTER, True)
                for key, value in self.sums.numbers.items()
            ]

    def copied_timings(self) -> list[tuple[SumKey, Timing]]:
        with self._lock:
            return list(self.sums.copy().timings.items())

    def _add(self, key: SumKey, amount: float) -> None:
        with self._lock:
            if self._has_room(key):
                self.sums.add(key, amount)

    def _has_room(self, key: SumKey) -> bool:
        self.version += 1
        if key in self.sums:
            return True
        if len(self.sums) < _LIMIT:
            kind = self._kinds.setdefault(key.name, key.kind)
            if kind != key.kind:
                raise ValueError(f"cannot measure {key.name!r} as a {key.kind}: it is a {kind}; give it another name")
            return True
        self.dropped += 1
        return False


def _key(name: str, kind: str, labels: dict[str, Any]) -> SumKey:
    if not _NAME.fullmatch(name):
        raise ValueError(f"cannot measure {name!r}: not a metric name; write letters, digits and underscores")
    tenant = labels.pop("tenant", None)
    for label in labels:
        if label in _TAKEN or not _LABEL.fullmatch(label):
            raise ValueError(f"cannot measure {name!r} by {label!r}: not a label of yours; give it another name")
    return SumKey(
        name,
        kind,
        labels_of({label: str(value)[:_LABEL_CHARACTERS] for label, value in labels.items() if value is not None}),
        clean(tenant) if tenant is not None else current_tenant() or "",
    )


def _number(name: str, value: Any) -> float:
    """As OTLP carries it. Raises ValueError or TypeError for what is no number: one such would stop all the others."""
    if isinstance(value, str | bytes):
        raise TypeError(f"cannot measure {name!r}: {value!r} is text; give a number")
    if isinstance(value, int) and -_MOST <= value < _MOST:
        return int(value)
    return float(value)


def _amount(name: str, value: Any) -> float:
    """Of what only grows."""
    number = _number(name, value)
    if not 0 <= number < math.inf:
        raise ValueError(f"cannot add {value!r} to {name!r}: what is counted or timed only grows; use a gauge")
    return number


# Of the whole process, whatever app or agent: the numbers are the product's.
measures = Measures()
os.register_at_fork(after_in_child=measures.forget)
describe("user_login_attempts_total", "Attempts to sign in, by outcome and provider.")
describe("user_registrations_total", "Users registered, by plan.")


def count(name: str, amount: float = 1, **labels: Any) -> None:
    """Adds to a counter: `tocsin.count("reports_rendered_total", format="pdf")`. Never raises."""
    measures.count(name, amount, labels)


def gauge(name: str, value: float, **labels: Any) -> None:
    """Sets a gauge of this process: `tocsin.gauge("queue_length", 17, queue="mail")`. Never raises."""
    measures.set(name, value, labels)


@overload
def timing(name: str, /, **labels: Any) -> _GeneratorContextManager[None]: ...


@overload
def timing(name: str, seconds: float, /, **labels: Any) -> None: ...


def timing(name: str, seconds: float | None = None, /, **labels: Any) -> _GeneratorContextManager[None] | None:
    """Times a block: `with tocsin.timing("pdf_render_seconds", format="a4"): …`. What the block raises passes on.

    It is also a decorator. Seconds that you know already: `tocsin.timing("onboarding_seconds", 310.0)`, which never
    raises.
    """
    if seconds is None:
        return _timed(name, labels)
    measures.time(name, seconds, labels)
    return None


@contextmanager
def _timed(name: str, labels: dict[str, Any]) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        # A copy: as a decorator it is entered again and again.
        measures.time(name, time.perf_counter() - began, dict(labels))


def login_attempt(outcome: str, provider: str = "password", **labels: Any) -> None:
    """Counts an attempt to sign in as `user_login_attempts_total`; outcome: success, failure or lockout."""
    count("user_login_attempts_total", outcome=outcome, provider=provider, **labels)


def registration(plan: str = "", **labels: Any) -> None:
    """Counts a new user as `user_registrations_total`."""
    count("user_registrations_total", plan=plan, **labels)
