"""Hands notifications to their receivers: one at a time each, the most severe first, no receiver waits for another."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor

import structlog

from tocsin.model.clock import Clock
from tocsin.model.notification import Notification, Outcome, Receipt

Deliver = Callable[[Notification], Receipt]
log = structlog.get_logger("tocsin.alerts")
RECEIVERS_AT_ONCE = 16


class Outbox:
    """`ended` is told what became of each. may_tell False: another server tells now, who finds it in the store."""

    def __init__(
        self,
        deliver: Deliver,
        ended: Callable[[Notification, Receipt], None],
        clock: Clock,
        executor: Executor | None = None,
        may_tell: Callable[[], bool] = lambda: True,
    ) -> None:
        self._may_tell = may_tell
        self._deliver = deliver
        self._ended = ended
        self._clock = clock
        self._executor = executor or ThreadPoolExecutor(RECEIVERS_AT_ONCE, "tocsin-deliver")
        self._lock = threading.Lock()
        self._queues: dict[str, list[tuple[int, int, Notification]]] = {}
        self._busy: set[str] = set()
        self._count = itertools.count()
        self._is_closed = False

    @property
    def waiting(self) -> int:
        with self._lock:
            return sum(len(queue) for queue in self._queues.values())

    def put(self, notification: Notification) -> None:
        receiver = notification.receiver
        with self._lock:
            if self._is_closed:
                return  # it is written down and goes out at the next start
            entry = (int(notification.severity), next(self._count), notification)
            heapq.heappush(self._queues.setdefault(receiver, []), entry)
            if receiver in self._busy:
                return
            self._busy.add(receiver)
        self._executor.submit(self._drain, receiver)

    def close(self) -> None:
        """What is under way is waited for; the rest stays pending in the store."""
        with self._lock:
            self._is_closed = True
            self._queues.clear()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _drain(self, receiver: str) -> None:
        while True:
            with self._lock:
                queue = self._queues.get(receiver)
                if not queue:
                    self._busy.discard(receiver)
                    return
                notification = heapq.heappop(queue)[2]
            if self._may_tell():
                self._ended(notification, self._delivered(notification))

    def _delivered(self, notification: Notification) -> Receipt:
        try:
            return self._deliver(notification)
        except Exception as error:  # a channel that breaks must stop neither the others nor this thread
            log.exception("alerts.deliver_broke", receiver=notification.receiver)
            return Receipt(Outcome.FAILED, self._clock(), f"{type(error).__name__}: {error}")
