"""An event loop that stands still: how late it is, and which line keeps it, seen from a thread beside it."""

from __future__ import annotations

import asyncio
import sys
import threading
import weakref
from collections import Counter, deque
from time import perf_counter
from types import FrameType
from typing import Any

from tocsin.sdk.caller import Line, line_of
from tocsin.sdk.errors import is_outside
from tocsin.sdk.guard import attempt, guarded, guarded_step
from tocsin.sdk.measures import Timing

_TICK_SECONDS = 0.1
_SLOW_TICKS = 10
_STACK_LINES = 12
_LINES = 50
_OTHER = "other"
_ASLEEP = ("/selectors.py", "/asyncio/base_events.py", "/asyncio/runners.py", "/uvloop/__init__.py")


class LoopWatch:
    """Ticks in one event loop, and a thread that looks when a tick is late."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_seconds: float) -> None:
        self._loop = weakref.ref(loop)
        self._limit_seconds = limit_seconds
        self._thread_id = threading.get_ident()
        self._thread: threading.Thread | None = None
        self._due = perf_counter() + _TICK_SECONDS
        self._ticks = 0
        # The tick that the thread has already looked at.
        self._seen_due = 0.0
        self._stopped = threading.Event()
        self._lags: deque[float] = deque(maxlen=4096)
        self.blocked: Counter[str] = Counter()
        self.tasks = 0
        self._limiter: Any = None
        # Nothing more for now: a request may be waiting for us.
        loop.call_soon(self._begin)

    @property
    def is_over(self) -> bool:
        loop = self._loop()
        return self._stopped.is_set() or loop is None or loop.is_closed()

    def is_of(self, loop: asyncio.AbstractEventLoop) -> bool:
        return self._loop() is loop

    def stop(self) -> None:
        self._stopped.set()

    def take_lags(self) -> Timing:
        """How late the ticks since the last call were."""
        timing = Timing()
        while self._lags:
            timing.add(self._lags.popleft())
        return timing

    def thread_pool(self) -> dict[str, float]:
        """Starlette runs plain functions in anyio's threads: those in use, the most there may be, and who waits."""
        limiter = self._limiter
        if limiter is None:
            return {}
        return {
            "active": limiter.borrowed_tokens,
            "limit": limiter.total_tokens,
            "waiting": limiter.statistics().tasks_waiting,
        }

    # -- in the loop

    @guarded_step
    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._watch, name="tocsin-loop-watch", daemon=True)
        self._thread.start()
        self._due = perf_counter()
        self._tick()

    @guarded_step
    def _tick(self) -> None:
        now, loop = perf_counter(), self._loop()
        self._lags.append(max(now - self._due, 0.0))
        if loop is None or self._stopped.is_set():
            return
        if self._ticks % _SLOW_TICKS == 0:
            self.tasks = attempt("count tasks", lambda: len(asyncio.all_tasks(loop)), 0)
            if self._limiter is None and "anyio.to_thread" in sys.modules:
                # anyio answers only inside of a task.
                loop.create_task(self._find_limiter())
        self._ticks += 1
        self._due = perf_counter() + _TICK_SECONDS
        loop.call_later(_TICK_SECONDS, self._tick)

    async def _find_limiter(self) -> None:
        find = sys.modules["anyio.to_thread"].current_default_thread_limiter
        self._limiter = attempt("find thread limiter", find, None)

    # -- in the thread

    @guarded_step
    def _watch(self) -> None:
        while not self.is_over:
            due = self._due
            late = perf_counter() - due
            if late < self._limit_seconds:
                self._stopped.wait(self._limit_seconds - late)
            elif due == self._seen_due:
                self._stopped.wait(self._limit_seconds)
            else:
                self._seen_due = due
                self._look(late)

    @guarded(None)
    def _look(self, late_seconds: float) -> None:
        """Notes what the loop's thread is doing right now, on the request that does it if there is one."""
        frame = sys._current_frames().get(self._thread_id)
        if frame is None or _is_waiting(frame):
            return  # the machine was busy, not the loop
        # What is beyond the loop's own frames has started it, and keeps nobody waiting.
        line = line_of(frame, until=_ASLEEP) or Line(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        exchange, where = _exchange_of(frame), str(line)
        self.blocked[where if where in self.blocked or len(self.blocked) < _LINES else _OTHER] += 1
        if exchange is not None:
            facts = {"tocsin.blocked_ms": round(late_seconds * 1e3, 1), "code.stacktrace": _stack(frame)}
            facts.update(line.attributes())
            exchange.add_event("tocsin.event_loop_blocked", facts)
            exchange.set_attribute("tocsin.blocking.line", where)


def _is_waiting(frame: FrameType) -> bool:
    """Whether the loop is asleep: in its selector, or, when it is not written in Python, where that was entered."""
    return frame.f_code.co_filename.replace("\\", "/").endswith(_ASLEEP)


def _exchange_of(frame: FrameType | None) -> Any:
    """The request whose app is running on this stack."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__call__" and code.co_filename.endswith("middleware.py") and "exchange" in code.co_varnames:
            return frame.f_locals.get("exchange")
        frame = frame.f_back
    return None


def _stack(frame: FrameType | None) -> str:
    """The innermost lines, libraries' ones above the app's own left out."""
    lines: list[str] = []
    has_own = False
    while frame is not None and len(lines) < _STACK_LINES:
        path = frame.f_code.co_filename
        is_own = not is_outside(path) and not path.startswith("<")
        if has_own and not is_own:
            break
        has_own = has_own or is_own
        lines.append(str(Line(path, frame.f_lineno, frame.f_code.co_name)))
        frame = frame.f_back
    return "\n".join(lines)
