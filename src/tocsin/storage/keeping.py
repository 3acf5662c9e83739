"""What is kept and for how long, where the two stores meet: legal holds of the one as TTLs of the other."""

from __future__ import annotations

import threading

from tocsin.model.access import Principal
from tocsin.model.control import Hold
from tocsin.storage.control.holds import Holds
from tocsin.storage.telemetry.engine import Engine
from tocsin.storage.telemetry.retention import RetentionSettings, apply_retention


class Keeping:
    """`lock` is held while holds change and while something is deleted, so that neither overtakes the other."""

    def __init__(self, engine: Engine, holds: Holds, settings: RetentionSettings) -> None:
        self.holds = holds
        self.lock = threading.RLock()
        self._engine = engine
        self._settings = settings

    def apply(self, *, wait: bool = False) -> None:
        """Make the TTLs what settings and holds say. Raises EngineError."""
        with self.lock:
            apply_retention(self._engine, self._settings, self.holds.tenants(), wait=wait)

    def place(self, actor: Principal, tenant: str, reason: str) -> Hold:
        """In force for all that is stored when this returns. Raises ControlError; EngineError when only the next
        start brings it into force, and the hold stands nevertheless."""
        with self.lock:
            hold = self.holds.place(actor, tenant, reason)
            self.apply(wait=True)
        return hold

    def lift(self, actor: Principal, tenant: str, reason: str) -> Hold:
        """From here on retention and cleanup hold for the tenant, too. Raises ControlError, EngineError."""
        with self.lock:
            hold = self.holds.lift(actor, tenant, reason)
            self.apply(wait=True)
        return hold
