"""The one place where any exception is caught: our faults are counted here and never reach the app."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("tocsin")

# By name of the guarded function; exported as tocsin.sdk.dropped with reason="fault".
faults: Counter[str] = Counter()


def note_fault(where: str, error: Exception) -> None:
    """Counts one fault of ours; the first of each place is logged with its stack, the rest only counted."""
    faults[where] += 1
    if faults[where] == 1:
        log.warning(
            "cannot complete %s: %r; the request is unaffected, please report this", where, error, exc_info=error
        )


def guarded(fallback: R) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator whose function gives `fallback` instead of raising."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        where = function.__qualname__

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001  the reason this module exists
                note_fault(where, error)
                return fallback

        return call

    return decorate


def attempt(where: str, function: Callable[[], R], fallback: R) -> R:
    """`function()`, or `fallback` and a counted fault when it raises; for callables that users give us."""
    try:
        return function()
    except Exception as error:  # noqa: BLE001  the reason this module exists
        note_fault(where, error)
        return fallback
