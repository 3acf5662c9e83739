"""The one place where any exception is caught: our faults are counted here and never reach the app."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F")
S = TypeVar("S")
T = TypeVar("T")

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


def guarded(fallback: F) -> Callable[[Callable[P, R]], Callable[P, R | F]]:
    """A decorator whose function gives `fallback` instead of raising."""

    def decorate(function: Callable[P, R]) -> Callable[P, R | F]:
        where = function.__qualname__

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R | F:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001  the reason this module exists
                note_fault(where, error)
                return fallback

        return call

    return decorate


def guarded_observer(function: Callable[[S, T], None]) -> Callable[[S, T], None]:
    """`guarded(None)` for methods of one argument on the request's path: nothing is packed and unpacked."""
    where = function.__qualname__

    def call(self: S, argument: T) -> None:
        try:
            function(self, argument)
        except Exception as error:  # noqa: BLE001  the reason this module exists
            note_fault(where, error)

    return call


def guarded_step(function: Callable[[S], None]) -> Callable[[S], None]:
    """`guarded(None)` for methods without arguments on the request's path."""
    where = function.__qualname__

    def call(self: S) -> None:
        try:
            function(self)
        except Exception as error:  # noqa: BLE001  the reason this module exists
            note_fault(where, error)

    return call


def followed(original: Callable[[S], T], observe: Callable[[S, T], None]) -> Callable[[S], T]:
    """A method that does what `original` does and then shows `observe` what it gave."""
    where = observe.__qualname__

    def call(self: S) -> T:
        given = original(self)
        try:
            observe(self, given)
        except Exception as error:  # noqa: BLE001  the reason this module exists
            note_fault(where, error)
        return given

    return call


def guarded_function(fallback: R) -> Callable[[Callable[[S, T], R]], Callable[[S, T], R]]:
    """`guarded` for methods of one argument that give something, without packing and unpacking."""

    def decorate(function: Callable[[S, T], R]) -> Callable[[S, T], R]:
        where = function.__qualname__

        def call(self: S, argument: T) -> R:
            try:
                return function(self, argument)
            except Exception as error:  # noqa: BLE001  the reason this module exists
                note_fault(where, error)
                return fallback

        return call

    return decorate


def guarded_hook(function: Callable[P, None]) -> Callable[P, None]:
    """`guarded(None)` for what runs inside calls of other libraries: nothing given, nothing kept."""
    where = function.__qualname__

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  the reason this module exists
            note_fault(where, error)

    return call


def outcome(function: Callable[[], R]) -> R | Exception:
    """`function()`, or what it raised: for what others wrote, which is no fault of ours."""
    try:
        return function()
    except Exception as error:  # noqa: BLE001  the reason this module exists
        return error


def attempt(where: str, function: Callable[[], R], fallback: R) -> R:
    """`function()`, or `fallback` and a counted fault when it raises; for callables that users give us."""
    try:
        return function()
    except Exception as error:  # noqa: BLE001  the reason this module exists
        note_fault(where, error)
        return fallback
