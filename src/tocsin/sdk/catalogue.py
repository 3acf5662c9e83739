"""What the app's own `/metrics` says: requests, the product's own numbers, and the processes that serve it."""

from __future__ import annotations

import resource
import sqlite3
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin.sdk import instrument
from tocsin.sdk.call_digest import CallRows, CallTable
from tocsin.sdk.call_totals import CallTotals, lookup_families
from tocsin.sdk.critical_routes import CriticalRoutes
from tocsin.sdk.exposition import Family, Labels, add_up
from tocsin.sdk.guard import guarded
from tocsin.sdk.increases import Increases, IncreaseTotals
from tocsin.sdk.measures import measures
from tocsin.sdk.red import Rows
from tocsin.sdk.schedules import schedules
from tocsin.sdk.sums import Sums
from tocsin.sdk.totals import RequestTotals
from tocsin.sdk.workers import WorkerTotals, group_name

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent

# Written at least this often, so that an idle group is not taken for one that is gone.
_SHOW_UP_SECONDS = 60.0

# Adding up starts when the first `/metrics` route is made: apps without one pay nothing.
_is_wanted = False


def want() -> None:
    global _is_wanted
    _is_wanted = True


class Catalogue:
    """The metric families of one agent's process, and of all workers beside it."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.totals = RequestTotals(agent.settings.metrics_tenants)
        self._calls = CallTotals(self.totals.bounded)
        self._increases = IncreaseTotals(self.totals.bounded)
        self._shared: WorkerTotals | None = None
        self._is_shared = bool(group_name())
        self._published = (0.0, -1, -1, -1, -1)

    def add(self, rows: Rows) -> None:
        """Takes the RED rows of one interval."""
        if _is_wanted:
            self.totals.add(rows)

    def add_calls(self, rows: CallRows) -> None:
        """Takes what the app has called in one interval."""
        if _is_wanted:
            self._calls.add(rows)

    def add_increase(self, sums: Sums) -> None:
        """Takes what was counted as increases in one interval."""
        if _is_wanted:
            self._increases.add(sums)

    def increase_families(self, increases: Increases, routes: CriticalRoutes, rows: Rows) -> list[Family]:
        """The same since the process began, with the requests not collected yet."""
        pending = Increases()
        routes.count(rows, pending)
        return self._increases.families([increases.waiting(), pending.waiting()])

    def call_families(self, table: CallTable) -> list[Family]:
        """What the app has called since the process began, the rows not collected yet included."""
        return [
            *self._calls.families(table.current().rows),
            *lookup_families(table.copied_lookups(), self.totals.bounded),
        ]

    def families(self) -> list[Family]:
        """Of all workers."""
        own = self._own()
        others = self._others()
        return [*add_up([*own, *others]), _start_time(self._agent.start_ns)]

    @guarded(None)
    def publish(self) -> None:
        """Lets the other workers know; called once a second by the export thread."""
        if not (_is_wanted and self._is_shared):
            return
        agent = self._agent
        now = (time.monotonic(), agent.red.total, measures.version, agent.increases.version, len(agent.live))
        shared = self._open()
        is_due = now[1:] != self._published[1:] or now[0] - self._published[0] > _SHOW_UP_SECONDS
        if shared is not None and is_due:
            shared.publish(agent.instance_id, self._own())
            self._published = now

    def _others(self) -> list[Family]:
        shared = self._open() if self._is_shared else None
        return shared.others(self._agent.instance_id) if shared is not None else []

    def _open(self) -> WorkerTotals | None:
        if self._shared is None:
            try:
                self._shared = WorkerTotals(self._agent.settings.service, group_name())
            except (OSError, sqlite3.Error):
                self._is_shared = False  # nowhere to write: each worker answers for itself
        return self._shared

    def _own(self) -> list[Family]:
        process = list(_process())
        known = {family.name for family in process}
        # First, because instruments hand over what they have timed when they are asked.
        instruments = [self._bounded(family) for family in instrument.families() if family.name not in known]
        own = [self._bounded(family) for family in measures.families()]
        agent = self._agent
        return [
            *agent.request_families(), self._active(), *agent.call_families(), *agent.increase_families(),
            *schedules.families(), *own, *instruments, *process, self._dropped(),
        ]  # fmt: skip

    def _active(self) -> Family:
        active = Family("http_requests_active", "gauge", "Requests being answered right now.")
        active.add(len(self._agent.live))
        return active

    def _dropped(self) -> Family:
        dropped = Family("tocsin_sdk_dropped_items_total", "counter", "What the SDK could not export, and why.")
        for (signal, reason), number in self._agent.figures.dropped().items():
            dropped.add(number, signal=signal, reason=reason)
        return dropped

    def _bounded(self, family: Family) -> Family:
        bounded = Family(family.name, family.type, family.help)
        for (suffix, labels), value in family.samples.items():
            bounded.add_to((suffix, self._bounded_labels(labels)), value)
        return bounded

    def _bounded_labels(self, labels: Labels) -> Labels:
        bounded = ((name, self.totals.bounded(value) if name == "tenant" else value) for name, value in labels)
        return tuple((name, value) for name, value in bounded if value)


def _process() -> Iterable[Family]:
    """The process metrics of Prometheus' client libraries; added up over workers."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = Family("process_cpu_seconds_total", "counter", "CPU seconds that the workers have used.")
    cpu.add(round(used.ru_utime + used.ru_stime, 3))
    workers = Family("tocsin_workers", "gauge", "Processes that serve the app.")
    workers.add(1)
    families = [cpu, workers]
    if sys.platform.startswith("linux"):
        resident = Family("process_resident_memory_bytes", "gauge", "Memory that the workers hold.")
        resident.add(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
        files = Family("process_open_fds", "gauge", "Open file descriptors of the workers.")
        files.add(sum(1 for _ in Path("/proc/self/fd").iterdir()))
        families += [resident, files]
    return families


def _start_time(start_ns: int) -> Family:
    started = Family("process_start_time_seconds", "gauge", "When the answering worker started, in Unix seconds.")
    started.add(round(start_ns / 1e9, 3))
    return started
