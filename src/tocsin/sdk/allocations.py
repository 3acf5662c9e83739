"""What a request needs of memory, for a share of the requests and only when asked for.

Without tracemalloc, which makes every allocation dearer: what the process has before and after is compared. So only a
request that had its process to itself is counted; threads and background work of the app count to whoever runs then.
Linux tells the peak, everything tells the blocks of Python's allocator that were kept.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tocsin.sdk.digest import METHODS
from tocsin.sdk.exchange import Exchange, MeteredExchange
from tocsin.sdk.exposition import labels_of
from tocsin.sdk.guard import guarded, guarded_observer
from tocsin.sdk.overhead import MEASURE_EVERY
from tocsin.sdk.sums import describe

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent

MEASURED = "http_request_memory_measured_total"
PEAK = "http_request_memory_peak_bytes_total"
KEPT = "http_request_memory_kept_bytes_total"
BLOCKS = "http_request_memory_kept_blocks_total"
describe(MEASURED, "Requests whose use of memory was measured.")
describe(PEAK, "Bytes that measured requests needed at most beyond what the process had.")
describe(KEPT, "Bytes by which the process was larger after measured requests.")
describe(BLOCKS, "Blocks of Python's allocator that were still there after measured requests.")

_FIELDS = re.compile(rb"^Vm(HWM|RSS):\s+(\d+) kB", re.MULTILINE)


def next_kind_of(agent: Agent, ratio: float) -> Callable[[], type[Exchange]]:
    """Which kind of exchange each request becomes: one in 64 has its cost measured, `ratio` of the rest its memory."""
    others = MEASURE_EVERY - 1
    if ratio <= 0:
        return itertools.cycle([Exchange] * others + [MeteredExchange]).__next__
    number = max(1, round(ratio * others))
    # Spread evenly: what comes every 64th time may be always the same endpoint.
    chosen: list[type[Exchange]] = [
        AllocationExchange if place * number // others < (place + 1) * number // others else Exchange
        for place in range(others)
    ]
    chosen.append(MeteredExchange)
    kinds = itertools.cycle(chosen)

    def next_kind() -> type[Exchange]:
        agent.begun += 1
        return next(kinds)

    return next_kind


class AllocationExchange(Exchange):
    """An exchange that looks at the process's memory before and after."""

    before: tuple[int, int, int] | None = None  # requests begun so far, bytes, blocks

    def __init__(self, agent: Agent, *ends: Any) -> None:
        super().__init__(agent, *ends)
        if not agent.live:
            self.before = _before(agent)

    def finish(self) -> None:
        if self.before is not None:
            if not self.ended_ns:
                self._close_incomplete()
            self._measure(self.before)
        super().finish()

    @guarded_observer
    def _measure(self, before: tuple[int, int, int]) -> None:
        agent, (begun, start_bytes, blocks) = self.agent, before
        if agent.begun != begun or agent.live or self.facts[0] != "http":
            return  # somebody else's memory is in it
        found = {BLOCKS: max(0, sys.getallocatedblocks() - blocks)}
        if start_bytes:
            peak, now = _peak_and_now()
            found |= {PEAK: max(0, peak - start_bytes), KEPT: max(0, now - start_bytes)}
        method = self.facts[1] if self.facts[1] in METHODS else "_OTHER"
        labels, tenant = labels_of({"method": method, "route": self.route}), self.find_tenant()
        agent.increases.count(MEASURED, labels, tenant)
        for name, amount in found.items():
            agent.increases.count(name, labels, tenant, amount)
            self.set_attribute_late(_ATTRIBUTES[name], amount)


_ATTRIBUTES = {
    PEAK: "tocsin.memory.peak_bytes",
    KEPT: "tocsin.memory.kept_bytes",
    BLOCKS: "tocsin.memory.kept_blocks",
}


@guarded(None)
def _before(agent: Agent) -> tuple[int, int, int]:
    start_bytes = 0
    with suppress(OSError):  # not Linux, or a container without it: the blocks alone are told
        _reset_peak()
        start_bytes = _peak_and_now()[1]
    return agent.begun, start_bytes, sys.getallocatedblocks()


def _reset_peak() -> None:
    """Sets the process's peak to what it has now. Source: proc_pid_clear_refs(5)."""
    handle = os.open("/proc/self/clear_refs", os.O_WRONLY)
    try:
        os.write(handle, b"5")
    finally:
        os.close(handle)


def _peak_and_now() -> tuple[int, int]:
    """Bytes resident at most since the peak was reset, and now."""
    with open("/proc/self/status", "rb") as status:
        found = {name: int(kilobytes) * 1024 for name, kilobytes in _FIELDS.findall(status.read())}
    return found[b"HWM"], found[b"RSS"]
