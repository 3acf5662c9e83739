"""Futures of the spool: nobody who waits for one can cancel it."""

from __future__ import annotations

import threading
from concurrent.futures import Future


def promise() -> Future[bool]:
    """A future that its holder cannot cancel: asyncio would, when the request that waits for it goes away."""
    future: Future[bool] = Future()
    future.set_running_or_notify_cancel()
    return future


def joined(parts: list[Future[bool]]) -> Future[bool]:
    """Done when all are: True if any of them was new. Fails as the first that fails; without parts it is True."""
    if len(parts) == 1:
        return parts[0]
    future = promise()
    if not parts:
        future.set_result(True)
    left = len(parts)
    counting = threading.Lock()

    def settle(_: Future[bool]) -> None:
        nonlocal left
        with counting:
            left -= 1
            if left:
                return
        error = next((part.exception() for part in parts if part.exception()), None)
        if error is None:
            future.set_result(any(part.result() for part in parts))
        else:
            future.set_exception(error)

    for part in parts:
        part.add_done_callback(settle)
    return future


def done(was_stored: bool) -> Future[bool]:
    """One that is done already."""
    future = promise()
    future.set_result(was_stored)
    return future


def followed(earlier: Future[bool]) -> Future[bool]:
    """A future that ends as `earlier` does, with False for 'stored before'."""
    future = promise()

    def settle(done: Future[bool]) -> None:
        error = done.exception()
        if error is None:
            future.set_result(False)
        else:
            future.set_exception(error)

    earlier.add_done_callback(settle)
    return future
