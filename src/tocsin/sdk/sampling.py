"""Which traces are kept. Numbers never depend on it: RED metrics count every request."""

from __future__ import annotations

import time
from collections.abc import Callable

# 56 random bits, as W3C Trace Context level 2 promises: every service draws the same lot for a trace.
_LOT_BYTES = 7
_LOTS = 1 << 56
# Tenants that get their minimum in one second; more would make the minimum a flood.
_TENANTS_PER_SECOND = 1000


class Sampler:
    """Draws by trace id at a ratio, and gives each tenant a minimum of traces a second whatever the ratio."""

    def __init__(self, ratio: float, minimum_per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._minimum = minimum_per_second
        self._clock = clock
        self._second = -1
        self._kept: dict[str, int] = {}
        self._ratio = self.ratio = ratio
        self._bound = 0
        self.shed_to(1.0)

    def shed_to(self, share: float) -> None:
        """Keeps only this share (0–1) of what the configured ratio would keep."""
        self.ratio = self._ratio * share
        self._bound = int(self.ratio * _LOTS)

    def keeps(self, trace_id: bytes, tenant: str) -> bool:
        """Whether head sampling keeps this trace of this tenant."""
        if self.ratio >= 1.0:
            return True
        second = int(self._clock())
        if second != self._second:
            self._second, self._kept = second, {}
        count = self._kept.get(tenant, 0)
        lot = int.from_bytes(trace_id[-_LOT_BYTES:], "big")
        if lot >= self._bound and (count >= self._minimum or len(self._kept) >= _TENANTS_PER_SECOND):
            return False
        self._kept[tenant] = count + 1
        return True
