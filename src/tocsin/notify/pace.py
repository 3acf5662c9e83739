"""Keeps to what a provider takes: a bucket of tokens that fills with time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tocsin.notify.contract import Pace


class Bucket:
    """Tokens of one channel. clock gives monotonic seconds."""

    def __init__(self, pace: Pace, clock: Callable[[], float]) -> None:
        self._pace = pace
        self._clock = clock
        self._tokens = float(pace.burst)
        self._at = clock()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Takes one token and gives the seconds to wait before it may be used; tokens are promised in order."""
        if self._pace.seconds <= 0:
            return 0.0
        with self._lock:
            now = self._clock()
            self._tokens = min(self._pace.burst, self._tokens + (now - self._at) / self._pace.seconds)
            self._at = now
            self._tokens -= 1
            return max(0.0, -self._tokens * self._pace.seconds)
