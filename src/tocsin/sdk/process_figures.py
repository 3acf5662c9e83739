"""The state of one agent's process in figures: what it is busy with, what the instruments see, and its own health."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from tocsin.sdk import guard, instrument
from tocsin.sdk.encode_metrics import Figure
from tocsin.sdk.logs import output
from tocsin.sdk.measures import measures
from tocsin.sdk.schedules import schedules

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent

# Tenants whose active requests are exported apart.
_ACTIVE_TENANTS = 100
# Between two exports of the instruments' gauges.
_GAUGE_SECONDS = 5.0


class ProcessFigures:
    """Reads the figures of an agent's process; used by one thread at a time."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.next_gauges = 0.0
        self._told_active: set[str] = set()

    def all(self) -> list[Figure]:
        return [*self._active(), *measures.figures(), *self._lookups(), *self._gauges(), *schedules.figures(),
                *self._health()]  # fmt: skip

    def dropped(self) -> Counter[tuple[str, str]]:
        """Items that were not exported, by signal and reason."""
        agent = self._agent
        dropped = Counter(agent.exporter.dropped)
        limits = {
            "key_limit": agent.red.folded,
            "call_limit": agent.calls.table.folded,
            "increase_limit": agent.increases.folded,
            "measure_limit": measures.dropped,
        }
        dropped.update({("metrics", reason): number for reason, number in limits.items() if number})
        dropped.update({("logs", f"{where}_lost"): number for where, number in output.lost.items()})
        if guard.faults:
            dropped["all", "fault"] = sum(guard.faults.values())
        return dropped

    def _active(self) -> list[Figure]:
        name, unit = "http.server.active_requests", "{request}"
        by_tenant = Counter(exchange.tenant for exchange in tuple(self._agent.live))
        anonymous = by_tenant.pop("", 0)
        busiest = by_tenant.most_common(_ACTIVE_TENANTS)
        rest = anonymous + sum(by_tenant.values()) - sum(count for _, count in busiest)
        # Who has none any more is told so once: a series that only stopped would stand at its last value for minutes.
        ended = self._told_active - {tenant for tenant, _ in busiest}
        self._told_active = {tenant for tenant, _ in busiest}
        figures = [Figure(name, unit, rest, {}, is_sum=True)]
        told = [*busiest, *((tenant, 0) for tenant in sorted(ended))]
        return figures + [Figure(name, unit, n, {"tocsin.tenant": tenant}, is_sum=True) for tenant, n in told]

    def _lookups(self) -> list[Figure]:
        return [
            Figure(name, "{lookup}", n, {"cache": cache, **({"tocsin.tenant": tenant} if tenant else {})}, True, True)
            for (name, cache, tenant), n in self._agent.calls.table.copied_lookups()
        ]

    def _gauges(self) -> list[Figure]:
        """What the instruments see, every few seconds: it changes slowly, and there are many."""
        now = time.monotonic()
        if now < self.next_gauges:
            return []
        self.next_gauges = now + _GAUGE_SECONDS
        return [Figure(g.name, g.unit, g.value, g.labels, g.is_counter, g.is_counter) for g in instrument.gauges()]

    def _health(self) -> list[Figure]:
        agent, exporter = self._agent, self._agent.exporter
        figures = [
            Figure("tocsin.sdk.dropped", "{item}", n, {"signal": signal, "reason": reason}, True, True)
            for (signal, reason), n in self.dropped().items()
        ]
        figures += [
            Figure("tocsin.sdk.exported", "{item}", n, {"signal": signal}, True, True)
            for signal, n in list(exporter.exported.items())
        ]
        figures += [
            Figure("tocsin.sdk.queue.length", "{span}", exporter.queue_length, {}),
            Figure("tocsin.sdk.shed.level", "1", agent.meter.level, {}),
        ]
        return figures + [
            Figure("tocsin.sdk.overhead.duration", "s", seconds, {"instrument": name})
            for name, seconds in agent.meter.costs().items()
        ]
