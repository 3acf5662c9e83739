"""The heartbeat of every schedule: when it last ran and when it should run again, kept for who watches."""

from __future__ import annotations

import os
import threading
import time
from typing import Any, NamedTuple

from tocsin.sdk.encode_metrics import Figure
from tocsin.sdk.exposition import Family, Labels, labels_of
from tocsin.sdk.guard import guarded

# Schedules of one process; more are names made by the minute.
_LIMIT = 1000
# Between two words about a schedule that has not run since.
_REPEAT_SECONDS = 60.0

_HELPS = {
    "job_last_run_timestamp_seconds": "When a scheduled job last began, in Unix seconds.",
    "job_last_success_timestamp_seconds": "When a scheduled job last succeeded, in Unix seconds.",
    "job_expected_interval_seconds": "Seconds from a scheduled job's last run to the next; 0: no longer scheduled.",
    "job_scheduled_since_timestamp_seconds": "Since when a process knows of a schedule, in Unix seconds.",
}


class Beat(NamedTuple):
    """What is known of one schedule, times in Unix seconds, 0 for never."""

    interval: float
    since: float
    last_run: float = 0.0
    last_success: float = 0.0


class Schedules:
    """The schedules of this process, from any thread."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begins anew."""
        self._beats: dict[Labels, Beat] = {}
        self.after_fork()

    def after_fork(self) -> None:
        """A worker knows the schedules of the process that it was forked from."""
        self._lock = threading.Lock()
        self._next_figures = 0.0

    @guarded(None)
    def declare(self, job: str, schedule: str, system: str, interval: float) -> None:
        """Says that a job is due every `interval` seconds; 0 when it is scheduled no longer."""
        key = _key(job, schedule, system)
        with self._lock:
            known = self._beats.get(key)
            if known is None and (not interval or len(self._beats) >= _LIMIT):
                return
            self._beats[key] = known._replace(interval=interval) if known else Beat(interval, time.time())
            self._next_figures = 0.0

    @guarded(None)
    def note_run(self, job: str, schedule: str, system: str, interval: float, began: float, succeeded: bool) -> None:
        """Says that it ran, and in how many seconds it will again."""
        key = _key(job, schedule, system)
        with self._lock:
            known = self._beats.get(key)
            if known is None and len(self._beats) >= _LIMIT:
                return
            known = known or Beat(interval, time.time())
            success = time.time() if succeeded else known.last_success
            self._beats[key] = Beat(interval, known.since, max(began, known.last_run), success)
            self._next_figures = 0.0

    def figures(self) -> list[Figure]:
        """For OTLP: at once when something changed, else once a minute."""
        now = time.monotonic()
        with self._lock:
            if not self._beats or now < self._next_figures:
                return []
            self._next_figures = now + _REPEAT_SECONDS
            return [Figure(name, "", value, dict(key)) for key, name, value in self._values()]

    def families(self) -> list[Family]:
        made: dict[str, Family] = {}
        with self._lock:
            for key, name, value in self._values():
                made.setdefault(name, Family(name, "gauge", _HELPS[name])).add_to(("", key), value)
        return list(made.values())

    def packed(self) -> list[Any]:
        """As JSON takes it, for the process that answers for this one."""
        with self._lock:
            return [[key, beat] for key, beat in self._beats.items()]

    def add(self, packed: list[Any]) -> None:
        with self._lock:
            for pairs, beat in packed:
                self._beats[tuple((name, value) for name, value in pairs)] = Beat(*beat)
                self._next_figures = 0.0

    def _values(self) -> list[tuple[Labels, str, float]]:
        found = []
        for key, beat in self._beats.items():
            found.append((key, "job_expected_interval_seconds", beat.interval))
            found.append((key, "job_scheduled_since_timestamp_seconds", beat.since))
            if beat.last_run:
                found.append((key, "job_last_run_timestamp_seconds", beat.last_run))
            if beat.last_success:
                found.append((key, "job_last_success_timestamp_seconds", beat.last_success))
        return found


def _key(job: str, schedule: str, system: str) -> Labels:
    return labels_of({"job_name": job, "schedule": schedule, "system": system})


# Of the whole process, as measures are.
schedules = Schedules()
os.register_at_fork(after_in_child=schedules.after_fork)
