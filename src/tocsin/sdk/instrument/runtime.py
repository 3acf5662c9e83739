"""Python itself: its event loop, garbage collector, threads, tasks and memory."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import monotonic, thread_time
from typing import Any

from tocsin.sdk.agents import current_agent
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._blocked import BlockedLines
from tocsin.sdk.instrument._cgroup import Container
from tocsin.sdk.instrument._contract import Gauge
from tocsin.sdk.instrument._leaks import LeakWatch
from tocsin.sdk.instrument._loop import LoopWatch
from tocsin.sdk.instrument._restarts import CRASH, KILLED, OUT_OF_MEMORY, STOPPED, Life, Restart, listen_for_the_end
from tocsin.sdk.instrument._restarts import EVENT as RESTART
from tocsin.sdk.measures import measures
from tocsin.sdk.records import INFO, WARN
from tocsin.sdk.settings import Settings
from tocsin.sdk.sums import Timing, describe

_LAG, _PAUSE = "python_event_loop_lag_seconds", "python_gc_pause_seconds"
_RESTARTS = "process_restarts_total"
describe(_LAG, "Seconds that the event loop was late, ten times a second.")
describe(_PAUSE, "Seconds that the garbage collector has stopped the process, by generation.")
describe(_RESTARTS, "Processes that took the place of another, by what became of that one.")
# Between two writings of the file that tells the next process what became of this one.
_SHOW_UP_SECONDS = 5.0
_IMPORTED = monotonic()


class Instrument(_contract.Instrument):
    """Lag and what causes it, pauses by generation, counts, memory and its leaks, and why the process started."""

    def __init__(self) -> None:
        super().__init__()
        self._loops: list[LoopWatch] = []
        # (generation, seconds): taken inside of the collector, where no lock may be waited for.
        self._pauses: deque[tuple[int, float]] = deque(maxlen=4096)
        self._began = 0.0
        self._container = Container()
        self._blocked = BlockedLines(_emit)
        self._leaks: LeakWatch | None = None
        self._life: Life | None = None
        self._pid = 0
        self._next_show_up = 0.0
        self._undo_listening: Callable[[], None] | None = None

    def switch_on(self, settings: Settings) -> None:
        self._settings = settings
        self._limit_seconds = settings.loop_lag_seconds
        gc.callbacks.append(self._collecting)
        self._undo_listening = listen_for_the_end(lambda: self._life)
        self.enter_loop()

    def switch_off(self) -> None:
        if self._collecting in gc.callbacks:
            gc.callbacks.remove(self._collecting)
        for watch in self._loops:
            watch.stop()
        self._loops.clear()
        if self._undo_listening is not None:
            self._undo_listening()
        if self._leaks is not None:
            self._leaks.close()
        if self._life is not None and self._pid == os.getpid():
            self._life.forget()
        self._undo_listening, self._leaks, self._life, self._pid = None, None, None, 0

    def enter_loop(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # served from threads, or by another kind of loop
        if self._limit_seconds and not any(watch.is_of(loop) and not watch.is_over for watch in self._loops):
            self._loops = [watch for watch in self._loops if not watch.is_over]
            self._loops.append(LoopWatch(loop, self._limit_seconds))

    def leave(self) -> None:
        if self._life is not None:
            self._life.end(STOPPED)

    def gauges(self) -> Iterable[Gauge]:
        if self._pid != os.getpid():
            self._begin_process()
        self._hand_over()
        yield from self._of_loops()
        yield from _of_collector()
        yield Gauge("python_threads", "Threads of the process.", "{thread}", threading.active_count(), {})
        yield from self._of_process()
        yield from self._of_memory()
        yield from _of_container(self._container)

    def _begin_process(self) -> None:
        """What belongs to this very process: begun with its first figures, and anew in a forked child."""
        self._pid = os.getpid()
        self._leaks = LeakWatch(self._settings.leak_window_seconds, _emit)
        self._life = Life(self._settings.service, self._settings.release, self._container.oom_kills)
        try:
            restart = self._life.begin()
        except OSError:
            self._life = None  # nowhere to write: every start is the first
            return
        if restart.before is not None:
            measures.count(_RESTARTS, 1, {"reason": restart.reason, "tenant": ""})
        _tell_start(restart)

    def _collecting(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            # The thread's own time: a callback may be made to wait for the GIL before the collector has begun.
            self._began = thread_time()
            return
        self._pauses.append((info["generation"], thread_time() - self._began))
        if info["generation"] == 2 and self._leaks is not None and self._pid == os.getpid():
            self._leaks.note_collection()

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
            self._blocked.take(watch.take_blocked())
        now = monotonic()
        if self._life is not None and now >= self._next_show_up:
            self._next_show_up = now + _SHOW_UP_SECONDS
            self._life.show_up()

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
        words = "Seconds that the event loop stood still for too long, by the line that kept it."
        for line, seconds in list(self._blocked.seconds.items()):
            yield Gauge("python_event_loop_blocked_seconds_total", words, "s", round(seconds, 4), {"line": line}, True)

    def _of_process(self) -> Iterator[Gauge]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = round(used.ru_utime + used.ru_stime, 3)
        yield Gauge("process_cpu_seconds_total", "CPU seconds used.", "s", seconds, {}, True)
        yield Gauge("process_uptime_seconds", "Since the process began.", "s", round(_uptime_seconds(), 1), {})

    def _of_memory(self) -> Iterator[Gauge]:
        leaks = self._leaks
        held = leaks.resident_bytes() if leaks is not None else 0
        if leaks is None or not held:
            return  # no Linux
        leaks.tick()
        yield Gauge("process_resident_memory_bytes", "Memory held.", "By", held, {})
        words = "Memory held at the least lately: what remains when garbage was collected."
        yield Gauge("process_memory_floor_bytes", words, "By", leaks.floor_bytes(), {})
        words = "How fast memory leaks; 0 while it does not."
        rate = round(leaks.verdict.bytes_per_hour)
        yield Gauge("process_memory_leak_bytes_per_hour", words, "", rate, {})


def _emit(event: str, body: str, attributes: dict[str, Any], severity: int, tenant: str = "") -> None:
    if (agent := current_agent()) is not None:
        agent.emit(event, body, {"service.instance.id": agent.instance_id, **attributes}, severity, tenant)


def _tell_start(restart: Restart) -> None:
    before = restart.before
    attributes: dict[str, Any] = {"tocsin.restart.reason": restart.reason, "process.pid": os.getpid()}
    if before is not None:
        attributes["tocsin.restart.previous_pid"] = before.pid
        attributes["tocsin.restart.previous_release"] = before.release
        attributes["tocsin.restart.previous_uptime_seconds"] = round(before.seen_at - before.started_at, 1)
        attributes["tocsin.restart.silent_seconds"] = round(restart.silent_seconds, 1)
    severity = WARN if restart.reason in (CRASH, KILLED, OUT_OF_MEMORY) else INFO
    _emit(RESTART, restart.detail, attributes, severity)


def _uptime_seconds() -> float:
    """Of the process, not of the SDK in it; since the SDK was imported where the kernel does not say."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return monotonic() - _IMPORTED


def _of_collector() -> Iterator[Gauge]:
    for generation, stats in enumerate(gc.get_stats()):
        labels = {"generation": str(generation)}
        words = "Runs of the garbage collector."
        yield Gauge("python_gc_collections_total", words, "{run}", stats["collections"], labels, True)
        words = "Objects that the garbage collector has freed."
        yield Gauge("python_gc_objects_collected_total", words, "{object}", stats["collected"], labels, True)


def _of_container(container: Container) -> Iterator[Gauge]:
    """What the container allows, where there is one: cores, memory, and the time it made us wait."""
    if (cores := container.cpu_limit_cores()) is not None:
        yield Gauge("process_cpu_limit_cores", "Cores that the container may use.", "", cores, {})
    if (seconds := container.cpu_throttled_seconds()) is not None:
        words = "Seconds that the container was kept from its cores."
        yield Gauge("process_cpu_throttled_seconds_total", words, "s", seconds, {}, True)
    if (limit := container.memory_limit_bytes()) is not None:
        yield Gauge("process_memory_limit_bytes", "Memory that the container may hold.", "By", limit, {})
