"""Answers of boards' queries that took long, kept in proportion: a live board asks again every few seconds, and what
takes a second to answer is asked every ten seconds at most, whoever looks. So is what was refused for its time."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from tocsin.query.evaluate import Evaluated

LEAST_SECONDS = 0.25
"""What is answered quicker is asked each time."""

CALM_SECONDS = 20.0
"""What changes slowly, such as the sentences below a chart, need not be asked more often."""

TIMES = 10.0
LONGEST_SECONDS = 60.0
MOST_KEPT, MOST_POINTS = 100, 100_000


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: Evaluated
    until: float


@dataclass(slots=True)
class SlowAnswers:
    """Of one app, for all its threads."""

    clock: Callable[[], float] = time.monotonic
    _kept: OrderedDict[Hashable, _Kept] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, key: Hashable, end_ms: int, ask: Callable[[], Evaluated], least_seconds: float = 0.0) -> Evaluated:
        """`key` says whose answer to what; end_ms is the end of its time, which may have moved on since it was kept,
        but neither back nor further than answers are kept. Whatever it took, it is kept for `least_seconds`."""
        began = self.clock()
        with self._lock:
            kept = self._kept.get(key)
        moved_ms = end_ms - kept.answer.grid.end_ms if kept else -1
        if kept and began < kept.until and 0 <= moved_ms <= LONGEST_SECONDS * 1000:
            return kept.answer
        answer = ask()
        took = self.clock() - began
        with self._lock:
            self._kept.pop(key, None)
            kept_seconds = max(least_seconds, min(LONGEST_SECONDS, TIMES * took) if took >= LEAST_SECONDS else 0.0)
            if kept_seconds and sum(len(series.times) for series in answer.series) <= MOST_POINTS:
                self._kept[key] = _Kept(answer, self.clock() + kept_seconds)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return answer
