"""One line in the log for each slow request, and no more than a few a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

log = logging.getLogger("tocsin.slow")


class SlowLog:
    """Writes slow requests to the logger `tocsin.slow`, the facts as fields of the record (`extra`)."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._second = -1
        self._written = 0
        self.suppressed = 0

    def write(self, seconds: float, facts: Mapping[str, Any]) -> None:
        """Logs one slow request, or counts it when this second has had its share."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._written = second, 0
        if self._written >= self._per_second:
            self.suppressed += 1
            return
        self._written += 1
        suppressed, self.suppressed = self.suppressed, 0
        log.warning(
            "slow request: %s %s took %.3f s",
            facts["method"],
            facts["route"],
            seconds,
            extra={"duration_seconds": seconds, "suppressed": suppressed, **facts},
        )
