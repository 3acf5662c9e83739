"""Python itself: its event loop, garbage collector, threads, tasks and memory."""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._contract import Gauge
from tocsin.sdk.instrument._loop import LoopWatch
from tocsin.sdk.measures import Timing, measures
from tocsin.sdk.settings import Settings

_PAGE_BYTES = resource.getpagesize()
_LAG, _PAUSE = "python_event_loop_lag_seconds", "python_gc_pause_seconds"
_CGROUP = Path("/sys/fs/cgroup")


class Instrument(_contract.Instrument):
    """Lag and what causes it, pauses by generation, counts, and memory."""

    def __init__(self) -> None:
        super().__init__()
        self._loops: list[LoopWatch] = []
        # (generation, seconds): taken inside of the collector, where no lock may be waited for.
        self._pauses: deque[tuple[int, float]] = deque(maxlen=4096)
        self._began = 0.0

    def switch_on(self, settings: Settings) -> None:
        self._limit_seconds = settings.loop_lag_seconds
        measures.describe(_LAG, "Seconds that the event loop was late, ten times a second.")
        measures.describe(_PAUSE, "Seconds that the garbage collector has stopped the process, by generation.")
        gc.callbacks.append(self._collecting)
        self.enter_loop()

    def switch_off(self) -> None:
        if self._collecting in gc.callbacks:
            gc.callbacks.remove(self._collecting)
        for watch in self._loops:
            watch.stop()
        self._loops.clear()

    def enter_loop(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # served from threads, or by another kind of loop
        if self._limit_seconds and not any(watch.is_of(loop) and not watch.is_over for watch in self._loops):
            self._loops = [watch for watch in self._loops if not watch.is_over]
            self._loops.append(LoopWatch(loop, self._limit_seconds))

    def gauges(self) -> Iterable[Gauge]:
        self._hand_over()
        yield from self._of_loops()
        yield from _of_collector()
        yield Gauge("python_threads", "Threads of the process.", "{thread}", threading.active_count(), {})
        yield from _of_process()
        yield from _of_cgroup()

    def _collecting(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._began = perf_counter()
        else:
            self._pauses.append((info["generation"], perf_counter() - self._began))

    def _hand_over(self) -> None:
        pauses: dict[int, Timing] = {}
        while self._pauses:
            generation, seconds = self._pauses.popleft()
            pauses.setdefault(generation, Timing()).add(seconds)
        for generation, timing in pauses.items():
            measures.add_timing(_PAUSE, timing, {"generation": str(generation)})
        for watch in self._loops:
            lags = watch.take_lags()
            if lags.buckets:
                measures.add_timing(_LAG, lags, {})

    def _of_loops(self) -> Iterator[Gauge]:
        watches = [watch for watch in self._loops if not watch.is_over]
        if not watches:
            return
        yield Gauge("python_asyncio_tasks", "Tasks of the event loop.", "{task}", sum(w.tasks for w in watches), {})
        words = "Threads in which plain functions run: in use, the most there may be, and calls that wait for one."
        for state, value in watches[-1].thread_pool().items():
            yield Gauge("python_threadpool_threads", words, "{thread}", value, {"state": state})
        words = "How often the event loop stood still for too long, by the line that kept it."
        for watch in watches:
            for line, number in list(watch.blocked.items()):
                yield Gauge("python_event_loop_blocked_total", words, "{block}", number, {"line": line}, True)


def _of_collector() -> Iterator[Gauge]:
    for generation, stats in enumerate(gc.get_stats()):
        labels = {"generation": str(generation)}
        words = "Runs of the garbage collector."
        yield Gauge("python_gc_collections_total", words, "{run}", stats["collections"], labels, True)
        words = "Objects that the garbage collector has freed."
        yield Gauge("python_gc_objects_collected_total", words, "{object}", stats["collected"], labels, True)


def _of_process() -> Iterator[Gauge]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = round(used.ru_utime + used.ru_stime, 3)
    yield Gauge("process_cpu_seconds_total", "CPU seconds used.", "s", seconds, {}, True)
    if sys.platform.startswith("linux"):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        yield Gauge("process_resident_memory_bytes", "Memory held.", "By", pages * _PAGE_BYTES, {})


def _of_cgroup() -> Iterator[Gauge]:
    """What the container allows, where there is one: cores, and the time it made us wait for them."""
    try:
        quota, _, period = (_CGROUP / "cpu.max").read_text().strip().partition(" ")
        stats = dict(line.split() for line in (_CGROUP / "cpu.stat").read_text().splitlines())
    except (OSError, ValueError):
        return
    if quota != "max":
        yield Gauge("process_cpu_limit_cores", "Cores that the container may use.", "1", int(quota) / int(period), {})
    if "throttled_usec" in stats:
        words = "Seconds that the container was kept from its cores."
        yield Gauge("process_cpu_throttled_seconds_total", words, "s", int(stats["throttled_usec"]) / 1e6, {}, True)
