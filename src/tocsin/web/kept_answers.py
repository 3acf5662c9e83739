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

TIMES = 10.0
LONGEST_SECONDS = 60.0
MOST_KEPT, MOST_POINTS = 100, 100_000


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: Evaluated
    until: float


@dataclass(slots=True)
class KeptAnswers:
    """Of one app, for all its threads."""

    clock: Callable[[], float] = time.monotonic
    _kept: OrderedDict[Hashable, _Kept] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, key: Hashable, end_ms: int, ask: Callable[[], Evaluated]) -> Evaluated:
        """`key` says whose answer to what; end_ms is the end of its time, which may have moved on since it was kept,
        but neither back nor further than answers are kept."""
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
            if took >= LEAST_SECONDS and sum(len(series.times) for series in answer.series) <= MOST_POINTS:
                self._kept[key] = _Kept(answer, self.clock() + min(LONGEST_SECONDS, TIMES * took))
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return answer
