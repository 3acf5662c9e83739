"""When a flag has been changed, told from a flag that answers differently to different people.

What is compared is the same flag for the same subject: the targeting key, which rollouts by percentage give the same
answer each time, else the tenant. A new answer has to stay for some evaluations in a row, and for ever more of them
each time it did not: an answer that is drawn anew each time never becomes a change.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

FIRST_NEEDED, MOST_NEEDED = 3, 100_000
# One change for a tenant, however many of its people meet it.
QUIET_SECONDS = 600.0
_SUBJECTS, _TOLD = 20_000, 5000


class _Seen:
    """What one subject has got: the answer that holds, and one that may be new."""

    __slots__ = ("candidate", "needed", "times", "variant")

    def __init__(self, variant: str) -> None:
        self.variant = variant
        self.candidate = ""
        self.times = 0
        self.needed = FIRST_NEEDED


class Flips:
    """Watches answers, from any thread; bounded, the subjects seen last stay."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, str], _Seen] = OrderedDict()
        self._told: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def see(self, flag: str, tenant: str, subject: str, variant: str) -> str | None:
        """The variant before, when this answer makes it certain that the flag has changed; else None."""
        with self._lock:
            seen = self._seen.get((flag, subject))
            if seen is None:
                self._remember((flag, subject), _Seen(variant))
                return None
            self._seen.move_to_end((flag, subject))
            if variant == seen.variant:
                if seen.times:
                    seen.times, seen.needed = 0, min(seen.needed * 4, MOST_NEEDED)
                return None
            if variant != seen.candidate:
                seen.candidate, seen.times = variant, 0
            seen.times += 1
            if seen.times < seen.needed:
                return None
            before, seen.variant, seen.times, seen.needed = seen.variant, variant, 0, FIRST_NEEDED
            return before if self._is_news(flag, tenant, variant) else None

    def _remember(self, key: tuple[str, str], seen: _Seen) -> None:
        self._seen[key] = seen
        if len(self._seen) > _SUBJECTS:
            self._seen.popitem(last=False)

    def _is_news(self, flag: str, tenant: str, variant: str) -> bool:
        now, key = self._clock(), (flag, tenant, variant)
        if now - self._told.get(key, float("-inf")) < QUIET_SECONDS:
            return False
        self._told[key] = now
        self._told.move_to_end(key)
        if len(self._told) > _TOLD:
            self._told.popitem(last=False)
        return True
