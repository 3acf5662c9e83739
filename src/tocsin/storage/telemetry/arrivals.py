"""Who waits for what the engine is about to store, and the moment when it has: what following goes by."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Follower:
    """One who waits, within an event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()

    async def wait(self, seconds: float) -> bool:
        """Until something was stored since the last time this returned, at most so long; whether something was."""
        try:
            async with asyncio.timeout(seconds):
                await self._came.wait()
        except TimeoutError:
            return False
        self._came.clear()
        return True

    def tell(self) -> None:
        """From any thread."""
        try:
            self._loop.call_soon_threadsafe(self._came.set)
        except RuntimeError:
            pass  # the loop is closed: the server stops


class Arrivals:
    """The followers of one kind of telemetry. `is_followed` and `came` are for the writer's thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._followers: set[Follower] = set()

    @property
    def is_followed(self) -> bool:
        return bool(self._followers)

    def came(self) -> None:
        """Something was stored and can be read now."""
        with self._lock:
            followers = list(self._followers)
        for follower in followers:
            follower.tell()

    @contextmanager
    def following(self) -> Iterator[Follower]:
        """A follower for as long as this lasts; to be entered in an event loop."""
        follower = Follower()
        with self._lock:
            self._followers.add(follower)
        try:
            yield follower
        finally:
            with self._lock:
                self._followers.discard(follower)
