"""Simulated work: time that a real product would spend waiting for disks and networks. Sleeping costs no CPU."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Latency:
    """Draws waiting times around a typical one; `scale` 0 makes the product answer at once, for tests."""

    scale: float = 1.0
    _random: random.Random = field(default_factory=lambda: random.Random(11), repr=False)

    def draw_seconds(self, typical_ms: float) -> float:
        """Log-normal around `typical_ms`: half are faster, one in a hundred takes more than twice as long."""
        return self.scale * typical_ms / 1000 * self._random.lognormvariate(0, 0.35)

    def wait(self, typical_ms: float) -> None:
        """Block this thread; only for handlers in the threadpool."""
        time.sleep(self.draw_seconds(typical_ms))

    async def pause(self, typical_ms: float) -> None:
        """Let other requests run meanwhile."""
        await asyncio.sleep(self.draw_seconds(typical_ms))
