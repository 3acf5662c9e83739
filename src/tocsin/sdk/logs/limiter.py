"""Keeps a line of code that logs in a loop from drowning the rest: so many a second, the others counted."""

from __future__ import annotations

import threading

_SITES = 4096
# Lines that a call site may write at once after it was quiet, in seconds of its rate.
_BURST_SECONDS = 2.0

# Path, line, and the type of the exception: one line of code may report many kinds of errors.
Site = tuple[str, int, str]


class Limiter:
    """per_second: lines of one call site; 0 lets everything through."""

    def __init__(self, per_second: float) -> None:
        self._rate, self._burst = per_second, per_second * _BURST_SECONDS
        # By call site: tokens left, when that was, lines left out since the last that went through.
        self._sites: dict[Site, list[float]] = {}
        self._lock = threading.Lock()

    def take(self, site: Site, now: float) -> int:
        """How many lines of this site were left out since the last; -1 when this one is to be left out, too."""
        if not self._rate:
            return 0
        with self._lock:
            state = self._sites.get(site)
            if state is None:
                if len(self._sites) >= _SITES:
                    self._forget_quiet(now)
                self._sites[site] = [self._burst - 1.0, now, 0]
                return 0
            tokens = min(self._burst, state[0] + max(0.0, now - state[1]) * self._rate)
            state[1] = now
            if tokens < 1.0:
                state[0] = tokens
                state[2] += 1
                return -1
            state[0] = tokens - 1.0
            left_out, state[2] = int(state[2]), 0
            return left_out

    def overdue(self, now: float, seconds: float) -> list[tuple[Site, int]]:
        """Sites that have been quiet for so long with lines left out that nobody has told of; each is told once."""
        found = []
        with self._lock:
            for site, state in self._sites.items():
                if state[2] and now - state[1] >= seconds:
                    found.append((site, int(state[2])))
                    state[2] = 0
        return found

    def _forget_quiet(self, now: float) -> None:
        """Makes room: those with nothing left to say go."""
        full = self._burst / self._rate
        self._sites = {site: s for site, s in self._sites.items() if s[2] or now - s[1] < full}
        if len(self._sites) >= _SITES:
            self._sites.clear()
