"""How requests fared by the variant of a flag that they got: exact durations and failures, for comparing variants.

A flag that gives everybody the same has nothing to compare, so it is counted from the second variant on that this
process has seen. Counting is the export thread's, once a request has been digested; requests without flags pay nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from tocsin.sdk.exposition import Labels, labels_of
from tocsin.sdk.increases import Increases
from tocsin.sdk.sums import describe

if TYPE_CHECKING:
    from tocsin.sdk.exchange import Exchange

DURATION, ERRORS = "feature_flag_request_duration_seconds", "feature_flag_request_errors_total"
describe(DURATION, "Seconds that requests took, by the variant of a flag that they got; only flags with several.")
describe(ERRORS, "Requests that failed, by the variant of a flag that they got; only flags with several.")

# Requests that wait for their end; flags of one request, and combinations of flag, variant and endpoint of the process.
_WAITING, _FLAGS_A_REQUEST, _COMBINATIONS = 4096, 20, 2000


class FlagRequests:
    """The requests of one process that asked flags; `add` from any thread, the rest from the export thread."""

    def __init__(self, increases: Increases) -> None:
        self._increases = increases
        self._waiting: deque[Exchange] = deque(maxlen=_WAITING)
        self._variants: dict[str, set[str]] = {}
        self._known: set[Labels] = set()

    def add(self, request: Exchange) -> None:
        """A request that has asked its first flag."""
        self._waiting.append(request)

    def count_ended(self) -> None:
        """Counts those that have been digested; the others go on waiting."""
        for request in list(_taken(self._waiting)):
            if request.key[0]:
                self._count(request)
            else:
                self._waiting.append(request)

    def _count(self, request: Exchange) -> None:
        method, route, _, tenant, error = request.key
        seconds = (request.ended_ns - request.started_ns) * 1e-9
        flags: dict[str, str] = request.__dict__.get("flags") or {}
        for flag, variant in list(flags.items())[:_FLAGS_A_REQUEST]:
            if not self._is_contested(flag, variant):
                continue
            labels = labels_of({"flag": flag, "variant": variant, "method": method, "route": route})
            if labels not in self._known:
                if len(self._known) >= _COMBINATIONS:
                    continue
                self._known.add(labels)
            self._increases.time(DURATION, labels, tenant, seconds)
            if error:
                self._increases.count(ERRORS, labels, tenant)

    def _is_contested(self, flag: str, variant: str) -> bool:
        seen = self._variants.setdefault(flag, set())
        if len(seen) < 2:
            seen.add(variant)
        return len(seen) > 1


def _taken(waiting: deque[Exchange]) -> Iterator[Exchange]:
    with suppress(IndexError):
        for _ in range(len(waiting)):
            yield waiting.popleft()
