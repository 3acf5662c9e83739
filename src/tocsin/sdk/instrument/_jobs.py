"""What the instruments of job queues have in common: a thread that looks how long the queues are."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tocsin.sdk.guard import attempt
from tocsin.sdk.instrument._contract import Gauge

LOOK_SECONDS = 5.0


class Queue(NamedTuple):
    """depth: jobs that wait; oldest_at: when the first of them was queued, in Unix seconds, None when not known."""

    depth: int
    oldest_at: float | None


class QueueWatch:
    """Looks at queues every few seconds, in a thread of its own: a broker that hangs must not hold up the export.

    look: gives the queues by name, through a connection of its own, because a fork may happen while it is used.
    """

    def __init__(self, system: str, look: Callable[[], Mapping[str, Queue]]) -> None:
        self._system, self._look = system, look
        self._seen: tuple[float, Mapping[str, Queue]] = (0.0, {})
        self._is_over = threading.Event()
        self._pid = os.getpid()
        threading.Thread(target=self._run, name="tocsin-queues", daemon=True).start()

    def stop(self) -> None:
        self._is_over.set()

    def gauges(self) -> list[Gauge]:
        """Nothing in forked children, and nothing that is old."""
        at, queues = self._seen
        if os.getpid() != self._pid or time.monotonic() - at > 4 * LOOK_SECONDS:
            return []
        return [gauge for name, queue in queues.items() for gauge in queue_gauges(self._system, name, queue)]

    def _run(self) -> None:
        while True:
            found = attempt(f"queues of {self._system}", self._quietly, None)
            if found is not None:
                self._seen = (time.monotonic(), found)
            if self._is_over.wait(LOOK_SECONDS):
                return

    def _quietly(self) -> Mapping[str, Queue] | None:
        from redis.exceptions import RedisError

        try:
            return self._look()
        except (OSError, RedisError):
            return None  # the broker is away, which the app notices itself


def queue_gauges(system: str, name: str, queue: Queue) -> list[Gauge]:
    labels = {"queue": name, "system": system}
    found = [Gauge("job_queue_depth", "Jobs that wait in a queue.", "", queue.depth, labels)]
    if queue.oldest_at is not None or not queue.depth:
        age = max(0.0, time.time() - queue.oldest_at) if queue.oldest_at is not None and queue.depth else 0.0
        found.append(Gauge("job_oldest_age_seconds", "How long the first job of a queue waits.", "s", age, labels))
    return found


def own_redis(client: Any) -> Any:
    """A client of the same Redis with connections of its own."""
    import redis

    pool = client.connection_pool
    return redis.Redis(
        connection_pool=redis.ConnectionPool(connection_class=pool.connection_class, **pool.connection_kwargs)
    )
