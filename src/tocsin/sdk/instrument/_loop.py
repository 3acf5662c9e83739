"""An event loop that stands still: how late it is, and which line keeps it, seen from a thread beside it."""

from __future__ import annotations

import asyncio
import linecache
import sys
import threading
import weakref
from collections import Counter, deque
from time import perf_counter
from types import FrameType
from typing import Any, NamedTuple

from tocsin.sdk.caller import Line
from tocsin.sdk.digest import WEBSOCKET
from tocsin.sdk.errors import is_outside
from tocsin.sdk.guard import attempt, guarded, guarded_step
from tocsin.sdk.route import route_template
from tocsin.sdk.sums import Timing

_TICK_SECONDS = 0.1
_SLOW_TICKS = 10
_STACK_LINES = 12
_LINES = 50
# Part of the limit between two looks at a call that keeps the loop.
_SECOND_LOOK = 0.25
_OTHER = "other"
_ASLEEP = ("/selectors.py", "/asyncio/base_events.py", "/asyncio/runners.py", "/uvloop/__init__.py")


class Blocked(NamedTuple):
    """A call that kept the loop: which line, for whom, and, once it is over, for how long."""

    due: float  # of the tick that it made late
    line: Line
    stack: str
    method: str
    route: str
    tenant: str
    seconds: float = 0.0

    @property
    def source(self) -> str:
        """The line of code itself; '' when its file is gone."""
        return linecache.getline(self.line.path, self.line.line).strip()


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
        # What was caught and is not over yet, and what is.
        self._caught: Blocked | None = None
        self._over: deque[Blocked] = deque(maxlen=256)
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

    def take_blocked(self) -> list[Blocked]:
        """The calls that were caught since the last time, with how long each took."""
        return [self._over.popleft() for _ in range(len(self._over))]

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
        caught = self._caught
        if caught is not None:
            self._caught = None
            # What kept the tick from running began up to a tick before it was due.
            if caught.due == self._due:
                self._over.append(caught._replace(seconds=now - self._due))
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
                self._look(due)

    @guarded(None)
    def _look(self, due: float) -> None:
        """Notes what the loop's thread is doing, on the request that does it if there is one.

        It looks twice: a call that keeps the loop is still there a moment later. A thread that waits for its turn while
        others compute is somewhere else each time, and nothing it does is to blame.
        """
        first = _own_lines(self._frame())
        self._stopped.wait(self._limit_seconds * _SECOND_LOOK)
        frame = self._frame()
        line = _same(first, _own_lines(frame))
        if frame is None or line is None or self._due != due:
            return
        exchange, where = _exchange_of(frame), str(line)
        self.blocked[where if where in self.blocked or len(self.blocked) < _LINES else _OTHER] += 1
        stack = _stack(frame)
        self._caught = Blocked(due, line, stack, *_endpoint_of(exchange))
        if exchange is not None:
            late_seconds = perf_counter() - due
            facts = {"tocsin.blocked_ms": round(late_seconds * 1e3, 1), "code.stacktrace": stack}
            facts.update(line.attributes())
            exchange.add_event("tocsin.event_loop_blocked", facts)
            exchange.set_attribute("tocsin.blocking.line", where)

    def _frame(self) -> FrameType | None:
        """Where the loop's thread is; None while it is asleep: the machine was busy then, not the loop."""
        frame = sys._current_frames().get(self._thread_id)
        return None if frame is None or _is_waiting(frame) else frame


def _own_lines(frame: FrameType | None) -> list[Line]:
    """The app's lines on a stack, the outermost first; the innermost line of all when none is the app's.

    What is beyond the loop's own frames has started it, and keeps nobody waiting.
    """
    found: list[Line] = []
    inner = frame
    while frame is not None and not frame.f_code.co_filename.endswith(_ASLEEP):
        path = frame.f_code.co_filename
        if not path.startswith("<") and not is_outside(path):
            found.append(Line(path, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    if not found and inner is not None:
        found.append(Line(inner.f_code.co_filename, inner.f_lineno, inner.f_code.co_name))
    return found[::-1]


def _same(first: list[Line], second: list[Line]) -> Line | None:
    """The innermost function that is at work in both looks, at the line where it is now."""
    same = None
    for before, now in zip(first, second, strict=False):
        if (before.path, before.function) != (now.path, now.function):
            break
        same = now
    return same


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


def _endpoint_of(exchange: Any) -> tuple[str, str, str]:
    """Method, route and tenant of a request that is being answered."""
    scope = exchange.scope if exchange is not None else None
    if scope is None:
        return "", "", ""
    return str(scope.get("method", WEBSOCKET)), route_template(scope), exchange.find_tenant()


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
