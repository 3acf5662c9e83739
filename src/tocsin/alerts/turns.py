"""The thread that looks, again and again, until it is closed: when it is woken, and when the last look said so."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

log = structlog.get_logger("tocsin.alerts")
LONGEST_SLEEP_SECONDS = 1.0


class Turns:
    """turn gives the seconds until the next. problem: of the last one, '' when all is well."""

    def __init__(self, turn: Callable[[], float]) -> None:
        self.problem = ""
        self._turn = turn
        self._woken = threading.Event()
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="tocsin-alerts", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        """Waits for the turn that is being taken."""
        self._is_closed = True
        self.wake()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._is_closed:
            self._woken.clear()
            try:
                wait_seconds = self._turn()
                self.problem = ""
            except SQLAlchemyError as error:
                self.problem = f"cannot read or write the control store: {error}"
                log.warning("alerts.look_failed", error=str(error))
                wait_seconds = LONGEST_SLEEP_SECONDS
            self._woken.wait(max(0.0, min(wait_seconds, LONGEST_SLEEP_SECONDS)))
