"""How the server is doing."""

from __future__ import annotations

import time
from importlib.metadata import version

from tocsin.storage.telemetry.spool import Spool
from tocsin.storage.telemetry.writer import Writer


class Vitals:
    """How the server is doing, cheap enough to be asked all the time."""

    def __init__(self, spool: Spool, writer: Writer, stuck_seconds: float) -> None:
        self.version = version("tocsin")
        self._spool = spool
        self._writer = writer
        self._stuck_seconds = stuck_seconds
        self._started = time.monotonic()
        self._age = (0.0, 0.0)  # when it was looked up, and the answer

    @property
    def uptime_seconds(self) -> float:
        return round(time.monotonic() - self._started, 1)

    @property
    def spool_bytes(self) -> int:
        return self._spool.waiting_bytes

    @property
    def spool_age_seconds(self) -> float:
        now = time.monotonic()
        if now - self._age[0] > 1:
            self._age = (now, self._spool.age_seconds())
        return self._age[1]

    @property
    def writer_problem(self) -> str:
        return self._writer.last_error

    @property
    def is_well(self) -> bool:
        return self.spool_age_seconds < self._stuck_seconds and self._spool.has_room

    @property
    def status(self) -> str:
        return "ok" if self.is_well else "degraded"
