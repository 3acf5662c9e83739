"""What is kept and for how long, where the two stores meet: legal holds of the one as TTLs of the other."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from tocsin.model.access import Principal
from tocsin.model.control import Hold
from tocsin.storage.control.errors import InvalidInput, Taken
from tocsin.storage.control.store import ControlStore
from tocsin.storage.telemetry.cleanup import TABLES, USUAL, Old, Selection, delete_old, find_old
from tocsin.storage.telemetry.engine import Engine
from tocsin.storage.telemetry.retention import RetentionSettings, apply_retention


@dataclass(frozen=True, slots=True)
class Cleanup:
    """What a cleanup deletes: days (UTC) older than `days`, of `signals` or the usual ones, of one tenant or all."""

    days: int
    signals: Sequence[str] = ()
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was deleted, or would be; `held` are the tenants that keep theirs."""

    before: date
    found: list[Old]
    held: frozenset[str]


class Keeping:
    """`lock` is held while holds change and while something is deleted, so that neither overtakes the other."""

    def __init__(self, engine: Engine, control: ControlStore, settings: RetentionSettings) -> None:
        self.holds = control.holds
        self._audit = control.audit
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

    def find_old(self, asked: Cleanup) -> Cleaned:
        """What `clean` would delete now. Raises ControlError, EngineError."""
        selection = self._selection(asked)
        return Cleaned(selection.before, find_old(self._engine, selection), selection.held)

    def clean(self, actor: Principal, asked: Cleanup) -> Cleaned:
        """Deletes and tells the audit, before it begins and when it is done. Raises ControlError, EngineError."""
        with self.lock:
            selection = self._selection(asked)
            told = {"before": str(selection.before), "signals": list(selection.signals)}
            self._audit.note(actor, "data.cleanup", "started", told, asked.tenant or None)
            found = delete_old(self._engine, selection)
            done = {"rows": sum(one.rows for one in found), "held": sorted(selection.held)}
            self._audit.note(actor, "data.cleanup", "done", told | done, asked.tenant or None)
        return Cleaned(selection.before, found, selection.held)

    def _selection(self, asked: Cleanup) -> Selection:
        for signal in asked.signals:
            if signal not in TABLES:
                raise InvalidInput(f"cannot clean '{signal[:40]}': signals are {', '.join(TABLES)}")
        held = self.holds.tenants()
        if asked.tenant in held:
            raise Taken(f"cannot delete telemetry of '{asked.tenant}': it is on legal hold; lift that first")
        before = datetime.now(UTC).date() - timedelta(days=asked.days)
        return Selection(tuple(asked.signals) or USUAL, before, asked.tenant, held)
