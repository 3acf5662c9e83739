"""Questions to the store that are asked side by side: a page waits for the slowest, not for their sum."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
# The store answers four questions at a time (`TelemetrySettings.query_connections`); one is left to who asks meanwhile.
_ASKING = ThreadPoolExecutor(3, thread_name_prefix="tocsin-read")


def begin(ask: Callable[Given, Answer], *given: Given.args, **named: Given.kwargs) -> Future[Answer]:
    """`ask(*given, **named)` in another thread; `result()` waits for it and raises what it raised.

    `ask` must not begin anything itself: the threads are few, and would wait for each other.
    """
    return _ASKING.submit(ask, *given, **named)
