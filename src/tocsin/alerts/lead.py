"""Which of several servers on one control store evaluates and tells: the one that holds the lease.

The holder renews it again and again; when it dies, another takes it once it has run out. A server that could not renew
in time stops by its own clock before anybody else may begin.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tocsin.alerts import counters
from tocsin.storage.control.leases import Leases

log = structlog.get_logger("tocsin.alerts")
LEASE = "alerting"
MARGIN = 0.2
"""The part of a lease in which its holder does no longer rely on it."""


class Lead(Protocol):
    """is_shared: whether there may be other servers at all."""

    @property
    def is_shared(self) -> bool: ...
    @property
    def is_leader(self) -> bool: ...


class Alone:
    """The only server there is."""

    is_shared = False
    is_leader = True


ALONE = Alone()


class Leadership:
    """holder: this server's name, the same after a restart, so that it goes on at once."""

    is_shared = True

    def __init__(
        self,
        leases: Leases,
        holder: str,
        seconds: float = 10.0,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        lease: str = LEASE,
    ) -> None:
        self.holder = holder
        self._leases = leases
        self._seconds = seconds
        self._monotonic = monotonic
        self._lease = lease
        self._until = float("-inf")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_leader(self) -> bool:
        return self._monotonic() < self._until

    def start(self) -> None:
        self.renew()
        self._thread = threading.Thread(target=self._run, name="tocsin-lease", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Lets another server go on at once; call it when this one tells nobody any more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._until = float("-inf")
        try:
            self._leases.release(self._lease, self.holder)
        except SQLAlchemyError as error:
            log.warning("alerts.lease_not_released", error=str(error))

    def renew(self) -> None:
        """One try to have the lease from now on."""
        began, led = self._monotonic(), self.is_leader
        try:
            is_mine = self._leases.take(self._lease, self.holder, self._seconds)
        except SQLAlchemyError as error:
            # What is held goes on until it runs out; nobody else can take it meanwhile.
            log.warning("alerts.lease_not_renewed", error=str(error))
            return
        self._until = began + self._seconds * (1 - MARGIN) if is_mine else float("-inf")
        counters.leads.set(1 if is_mine else 0)
        if is_mine != led:
            log.info("alerts.lead_taken" if is_mine else "alerts.lead_lost", server=self.holder)

    def _run(self) -> None:
        while not self._stop.wait(self._seconds / 4):
            self.renew()
