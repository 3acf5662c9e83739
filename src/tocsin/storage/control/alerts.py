"""Alerts as they stand, their history, and what people did about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from tocsin.model.access import Principal
from tocsin.model.alert import Alert
from tocsin.model.alert_state import AlertChange, Change, Handling, KnownAlert, change_of
from tocsin.model.severity import Severity
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.storage.control import audit
from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import NotFound
from tocsin.storage.control.schema_alerts import AlertChangeRow, AlertRow

MOST = 500  # keys in one statement
LOCK = 7_004  # of those that read alerts in order to write them


class Decided(Protocol):
    """Alerts by fingerprint, and what happened to them."""

    @property
    def known(self) -> Mapping[str, KnownAlert]: ...
    @property
    def changes(self) -> Sequence[AlertChange]: ...


Made = TypeVar("Made", bound=Decided)


@dataclass(frozen=True, slots=True)
class Marks:
    """How often alerts of one name from one source fired, and how often people called it false.

    source: the address of what made them, such as a rule's page.
    """

    name: str
    fired: int
    false_positives: int
    acknowledged: int
    notified: int
    source: str = ""

    def with_more(self, other: Marks) -> Marks:
        """Both together, under this one's source."""
        return replace(
            self,
            fired=self.fired + other.fired,
            false_positives=self.false_positives + other.false_positives,
            acknowledged=self.acknowledged + other.acknowledged,
            notified=self.notified + other.notified,
        )

    @property
    def false_positive_ratio(self) -> float | None:
        """Of its firings; at most 1, also where the firing that was false has left the history."""
        return min(1.0, self.false_positives / self.fired) if self.fired else None

    @property
    def acknowledged_ratio(self) -> float | None:
        return min(1.0, self.acknowledged / self.fired) if self.fired else None


class Alerts:
    """Alerts by fingerprint. Whoever changes one writes the change into the history in the same transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, since: datetime | None = None) -> list[KnownAlert]:
        """Those somebody has still to be told of; since: only what was said or done of them from then on."""
        query = select(AlertRow).where(AlertRow.is_open)
        query = query.where(AlertRow.updated_at >= since) if since else query
        with self._database.read() as session:
            return [_known(row) for row in session.scalars(query)]

    def find(self, fingerprint: str) -> KnownAlert | None:
        with self._database.read() as session:
            row = session.get(AlertRow, fingerprint)
            return None if row is None else _known(row)

    def found(self, fingerprints: Collection[str]) -> dict[str, KnownAlert]:
        with self._database.read() as session:
            return _found(session, fingerprints)

    def take(self, fingerprints: Collection[str], decide: Callable[[dict[str, KnownAlert]], Made]) -> Made:
        """Writes what `decide` makes of what is known of these alerts; no other server can say anything in between."""
        with self._database.write() as session:
            self._database.lock(session, LOCK)
            decided = decide(_found(session, fingerprints))
            _save(session, decided.known.values(), decided.changes)
            return decided

    def listed(
        self, scope: Scope = PLATFORM, *, firing_at: datetime | None = None, limit: int = 1000
    ) -> list[KnownAlert]:
        """The newest first; firing_at: only what fires then."""
        query = _within(select(AlertRow), AlertRow.tenant, scope).order_by(AlertRow.starts_at.desc()).limit(limit)
        if firing_at is not None:
            query = query.where(AlertRow.ends_at > firing_at)
        with self._database.read() as session:
            return [_known(row) for row in session.scalars(query)]

    def save(self, alerts: Iterable[KnownAlert], changes: Iterable[AlertChange] = ()) -> None:
        """An alert of which another server knows something newer stays as it is."""
        with self._database.write() as session:
            self._database.lock(session, LOCK)
            _save(session, alerts, changes)

    def note(self, changes: Iterable[AlertChange]) -> None:
        self.save((), changes)

    def handle(
        self, actor: Principal, known: KnownAlert, handling: Handling, change: Change, **detail: Any
    ) -> KnownAlert:
        """Writes what somebody did about an alert, into its history and the audit too. Raises NotFound."""
        now, alert = self._database.now(), known.alert
        with self._database.write() as session:
            row = session.get(AlertRow, known.fingerprint, with_for_update=True)
            if row is None:
                raise NotFound(f"cannot handle alert '{known.fingerprint}': there is none; look it up in the list")
            row.handling, row.ends_at, row.is_timeout = handling.plain(), known.ends_at, known.is_timeout
            row.updated_at = max(now, row.updated_at)
            session.add(_change_row(change_of(alert, now, change, actor.name, **detail)))
            said = {"name": alert.name, **detail}
            audit.record(session, now, actor, f"alert.{change}", known.fingerprint, said, alert.tenant or None)
            return replace(known, handling=handling, updated_at=row.updated_at)

    def history(
        self,
        scope: Scope = PLATFORM,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        name: str = "",
        fingerprint: str = "",
        tenant: str = "",
        change: str = "",
        severities: Collection[int] = (),
        before_id: int | None = None,
        limit: int = 100,
    ) -> list[AlertChange]:
        """The newest first; before_id continues after a page."""
        query = _within(select(AlertChangeRow), AlertChangeRow.tenant, scope)
        wanted: list[tuple[Any, Any]] = [
            (AlertChangeRow.name, name), (AlertChangeRow.fingerprint, fingerprint), (AlertChangeRow.tenant, tenant),
            (AlertChangeRow.change, change),
        ]  # fmt: skip
        for column, value in wanted:
            query = query.where(column == value) if value else query
        query = query.where(AlertChangeRow.at >= start) if start else query
        query = query.where(AlertChangeRow.at < end) if end else query
        query = query.where(AlertChangeRow.id < before_id) if before_id is not None else query
        query = query.where(AlertChangeRow.severity.in_(severities)) if severities else query
        with self._database.read() as session:
            return [_change(row) for row in session.scalars(query.order_by(AlertChangeRow.id.desc()).limit(limit))]

    def routes(self, fingerprints: Collection[str]) -> dict[str, list[dict[str, Any]]]:
        """The routes that the history last says of each of these alerts."""
        keys, found = list(fingerprints), {}
        kinds = AlertChangeRow.change.in_((Change.FIRING.value, Change.ROUTED.value))
        query = select(AlertChangeRow.fingerprint, AlertChangeRow.detail).where(kinds).order_by(AlertChangeRow.id)
        with self._database.read() as session:
            for start in range(0, len(keys), MOST):
                part = AlertChangeRow.fingerprint.in_(keys[start : start + MOST])
                for fingerprint, detail in session.execute(query.where(part)):
                    found[fingerprint] = detail.get("routes", [])
        return found

    def marks(self, scope: Scope = PLATFORM, *, start: datetime, end: datetime | None = None) -> list[Marks]:
        """What the alerts of each name and source did in a time: the rate of false alarms, the noisiest first."""
        columns = AlertChangeRow.name, AlertRow.generator_url, AlertChangeRow.change
        query = select(*columns, func.count()).outerjoin(AlertRow, AlertRow.fingerprint == AlertChangeRow.fingerprint)
        query = _within(query, AlertChangeRow.tenant, scope).where(AlertChangeRow.at >= start)
        query = query.where(AlertChangeRow.at < end) if end else query
        counts: dict[tuple[str, str], dict[str, int]] = {}
        with self._database.read() as session:
            for name, source, change, count in session.execute(query.group_by(*columns)):
                counts.setdefault((name, source or ""), {})[change] = count
        marks = [
            Marks(
                name,
                by.get(Change.FIRING, 0),
                by.get(Change.FALSE_POSITIVE, 0),
                by.get(Change.ACKNOWLEDGED, 0),
                by.get(Change.NOTIFIED, 0),
                source,
            )
            for (name, source), by in counts.items()
        ]
        return sorted(marks, key=lambda each: (-each.fired, each.name))

    def prune(self, before: datetime) -> None:
        """Forgets the history before a time, and alerts that ended before it."""
        with self._database.write() as session:
            session.execute(delete(AlertChangeRow).where(AlertChangeRow.at < before))
            session.execute(delete(AlertRow).where(AlertRow.ends_at < before, ~AlertRow.is_open))


def _found(session: Session, fingerprints: Collection[str]) -> dict[str, KnownAlert]:
    keys, found = list(fingerprints), {}
    for start in range(0, len(keys), MOST):
        part = keys[start : start + MOST]
        for row in session.scalars(select(AlertRow).where(AlertRow.fingerprint.in_(part))):
            found[row.fingerprint] = _known(row)
    return found


def _save(session: Session, alerts: Iterable[KnownAlert], changes: Iterable[AlertChange]) -> None:
    for known in alerts:
        row = session.get(AlertRow, known.fingerprint)
        if row is None or row.updated_at <= known.updated_at:
            session.merge(_row(known))
    session.add_all(_change_row(change) for change in changes)


def _within(query: Any, column: Any, scope: Scope) -> Any:
    return query if scope.tenants is None else query.where(column.in_(sorted(scope.tenants)))


def _row(known: KnownAlert) -> AlertRow:
    alert = known.alert
    return AlertRow(
        fingerprint=known.fingerprint,
        name=alert.name[:300],
        tenant=alert.tenant[:200],
        severity=int(alert.severity),
        labels=dict(alert.labels),
        annotations=dict(alert.annotations),
        generator_url=alert.generator_url,
        starts_at=alert.starts_at,
        ends_at=known.ends_at,
        is_timeout=known.is_timeout,
        updated_at=known.updated_at,
        is_open=known.is_open,
        suppressed_by=known.suppressed_by[:300],
        handling=known.handling.plain(),
    )


def _known(row: AlertRow) -> KnownAlert:
    alert = Alert(
        row.labels,
        row.annotations,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        generator_url=row.generator_url,
    )
    handling = Handling(**row.handling)
    return KnownAlert(alert, row.updated_at, row.is_timeout, row.is_open, row.suppressed_by, handling)


def _change_row(change: AlertChange) -> AlertChangeRow:
    return AlertChangeRow(
        at=change.at,
        fingerprint=change.fingerprint,
        name=change.name[:300],
        tenant=change.tenant[:200],
        severity=int(change.severity),
        change=change.change.value,
        actor=change.actor,
        detail=dict(change.detail),
    )


def _change(row: AlertChangeRow) -> AlertChange:
    return AlertChange(
        row.at, row.fingerprint, row.name, row.tenant, Severity(row.severity), Change(row.change), row.actor,
        row.detail, row.id,
    )  # fmt: skip


def write_changes(session: Session, changes: Sequence[AlertChange]) -> None:
    """For those who write them in a transaction of their own."""
    session.add_all(_change_row(change) for change in changes)
