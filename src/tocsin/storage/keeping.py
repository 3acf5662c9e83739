"""What is kept and for how long, where the two stores meet: legal holds of the one as TTLs of the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tocsin.model.access import Principal
from tocsin.model.control import Hold
from tocsin.storage.control.errors import InvalidInput, Taken
from tocsin.storage.control.store import ControlStore
from tocsin.storage.telemetry.cleanup import TABLES, USUAL, Old, Selection, delete_old, find_old
from tocsin.storage.telemetry.engine import Engine
from tocsin.storage.telemetry.export import (
    EXPORTED,
    Exported,
    ExportError,
    Place,
    day_content,
    days_between,
    export_day,
    place_of,
    verify_file,
)
from tocsin.storage.telemetry.retention import RetentionSettings, apply_retention

MOST_DAYS = 400


@dataclass(frozen=True, slots=True)
class Cleanup:
    """What a cleanup deletes: days (UTC) older than `days`, of `signals` or the usual ones, of one tenant or all."""

    days: int
    signals: Sequence[str] = ()
    tenant: str = ""
    exported_to: str = ""
    """Only days whose export there is read back and found to be what is stored; '' asks for none."""


@dataclass(frozen=True, slots=True)
class Export:
    """Days of signals, `first` and `last` included, to a folder below the exports' or to s3://bucket/prefix."""

    signals: Sequence[str]
    first: date
    last: date
    target: str
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """A file of an export; `problem` is '' when it is as it was exported."""

    exported: Exported
    problem: str


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was deleted, or would be; `held` are the tenants that keep theirs."""

    before: date
    found: list[Old]
    held: frozenset[str]


class Keeping:
    """`lock` is held while holds change and while something is deleted, so that neither overtakes the other."""

    def __init__(self, engine: Engine, control: ControlStore, settings: RetentionSettings, data: Path) -> None:
        self._exports = Path(settings.export_folder).absolute() if settings.export_folder else data / "exports"
        self._exporting = threading.Lock()
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
        signals = tuple(asked.signals) or USUAL
        days = self._exported_days(asked, signals, before) if asked.exported_to else None
        return Selection(signals, before, asked.tenant, held, days)

    def export(self, actor: Principal, asked: Export) -> list[Exported]:
        """Raises ControlError, EngineError, OSError; the days before the one that failed are exported and noted."""
        for signal in asked.signals:
            if signal not in EXPORTED:
                raise InvalidInput(f"cannot export '{signal[:40]}': signals are {', '.join(EXPORTED)}")
        days = list(days_between(asked.first, asked.last))
        if not 1 <= len(days) <= MOST_DAYS or asked.last >= datetime.now(UTC).date():
            raise InvalidInput(
                f"cannot export {asked.first} to {asked.last}: name 1 to {MOST_DAYS} days (UTC) that are over"
            )
        place = self._place(asked.target)
        detail = {"signals": list(asked.signals), "from": str(asked.first), "to": str(asked.last)}
        self._audit.note(actor, "data.export", asked.target[:300], detail, asked.tenant or None)
        done: list[Exported] = []
        with self._exporting, _refusing():
            for signal in dict.fromkeys(asked.signals):
                for day in days:
                    done += export_day(self._engine, place, signal, day, asked.tenant)
        return done

    def verify(self, target: str) -> list[Checked]:
        """Every file of an export, read back. Raises ControlError, EngineError, OSError."""
        place = self._place(target)
        with _refusing():
            return [Checked(one, verify_file(self._engine, place, one)) for one in place.manifest()]

    def _place(self, target: str) -> Place:
        with _refusing():
            return place_of(self._exports, target, self._settings.export_s3_endpoint)

    def _exported_days(self, asked: Cleanup, signals: Sequence[str], before: date) -> dict[str, list[date]]:
        """By table the days whose export is what is stored now and can be read back."""
        place, days = self._place(asked.exported_to), dict[str, list[date]]()
        with _refusing():
            for one in place.manifest():
                day = date.fromisoformat(one.day)
                if one.signal not in signals or one.tenant != asked.tenant or day >= before:
                    continue
                is_stored = day_content(self._engine, one.signal, one.table, day, one.tenant) == (one.rows, one.content)
                if is_stored and not verify_file(self._engine, place, one):
                    days.setdefault(one.table, []).append(day)
        return days


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except ExportError as error:
        raise InvalidInput(str(error)) from error
