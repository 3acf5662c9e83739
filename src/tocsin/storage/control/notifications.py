"""Notifications as rows before they are messages, and what each receiver was last told about each group."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tocsin.model.alert_state import AlertChange
from tocsin.model.notification import Notification, Outcome, Receipt
from tocsin.model.notification_plain import notification_of, plain_notification
from tocsin.model.severity import Severity
from tocsin.model.told import Cooldown, GroupLog, Told, told_of
from tocsin.storage.control.alerts import write_changes
from tocsin.storage.control.database import Database
from tocsin.storage.control.schema_alerts import AlertGroupRow, CooldownRow, NotificationRow

MOST = 500  # keys in one statement
PENDING = "pending"
HELD = Outcome.HELD.value


@dataclass(frozen=True, slots=True)
class StoredNotification:
    """A notification with what became of it. state: pending, sent, retrying, failed or held."""

    notification: Notification
    state: str
    ended_at: datetime | None
    reason: str
    reference: str
    digest_key: str

    @property
    def severity(self) -> Severity:
        return self.notification.severity


@dataclass(frozen=True, slots=True)
class Writing:
    """What is written down before a notification goes out. before: what the group was told until now.

    notification None: only the log changes. digests: keys of held notifications that this one stands for.
    """

    log: GroupLog
    before: Told | None
    at: datetime
    notification: Notification | None = None
    is_held: bool = False
    changes: Sequence[AlertChange] = ()
    cooldowns: Mapping[str, Cooldown] = field(default_factory=dict)
    digests: Sequence[str] = ()


class Notifications:
    """Each has a unique key, so that no state of a group is told twice, whoever dies in between."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def logs(self) -> list[GroupLog]:
        with self._database.read() as session:
            return [_log(row) for row in session.scalars(select(AlertGroupRow))]

    def log(self, id: str) -> GroupLog | None:
        with self._database.read() as session:
            row = session.get(AlertGroupRow, id)
            return None if row is None else _log(row)

    def cooldowns(self) -> dict[str, Cooldown]:
        with self._database.read() as session:
            return {row.key: Cooldown(row.told_at, row.severity) for row in session.scalars(select(CooldownRow))}

    def write(self, writings: Sequence[Writing]) -> set[str]:
        """Each in one transaction; the keys of those that were written. One that is there already is left out: another
        server told the same, or this one before it ended.
        """
        try:
            with self._database.write() as session:
                for writing in writings:
                    _write(session, writing)
        except IntegrityError:
            return set() if len(writings) == 1 else {key for one in writings for key in self.write([one])}
        return {writing.notification.key for writing in writings if writing.notification}

    def end(self, key: str, receipt: Receipt, changes: Sequence[AlertChange] = ()) -> None:
        """What became of it. Failed: its group counts as told what it was told before, so that it is told again."""
        with self._database.write() as session:
            row = session.get(NotificationRow, key, with_for_update=True)
            if row is None or row.state != PENDING:
                return
            row.state, row.ended_at = receipt.outcome.value, receipt.at
            row.reason, row.reference = receipt.reason[:2000], receipt.reference[:300]
            if receipt.outcome is Outcome.FAILED and row.group_id:
                group = session.get(AlertGroupRow, row.group_id)
                if group is not None:
                    group.told = row.told_before
            write_changes(session, changes)

    def pending(self) -> list[Notification]:
        """Those that were written and not handed over when the server ended, the oldest first."""
        return self._in_state(PENDING)

    def held(self) -> list[Notification]:
        """Those that wait for a digest, the oldest first."""
        return self._in_state(HELD)

    def recent(
        self, *, since: datetime | None = None, group_ids: Sequence[str] = (), limit: int = 100
    ) -> list[StoredNotification]:
        """The newest first."""
        query = select(NotificationRow).order_by(NotificationRow.made_at.desc()).limit(limit)
        query = query.where(NotificationRow.made_at >= since) if since else query
        query = query.where(NotificationRow.group_id.in_(group_ids)) if group_ids else query
        with self._database.read() as session:
            return [_stored(row) for row in session.scalars(query)]

    def found(self, keys: Collection[str]) -> dict[str, StoredNotification]:
        """Those of these keys that are kept."""
        query = select(NotificationRow).where(NotificationRow.key.in_(list(keys)[:MOST]))
        with self._database.read() as session:
            return {row.key: _stored(row) for row in session.scalars(query)}

    def failures(self, among: int = 50) -> list[tuple[str, str]]:
        """(receiver, reason) of groups whose last notification failed, among the newest; the newest first."""
        columns = NotificationRow.group_id, NotificationRow.receiver, NotificationRow.reason, NotificationRow.state
        query = select(*columns).where(NotificationRow.state.not_in((PENDING, HELD)))
        with self._database.read() as session:
            rows = session.execute(query.order_by(NotificationRow.made_at.desc()).limit(among)).all()
        last: dict[str, tuple[str, str, str]] = {}
        for group, receiver, reason, state in rows:
            last.setdefault(group, (receiver, reason, state))
        return [(receiver, reason) for receiver, reason, state in last.values() if state == Outcome.FAILED.value]

    def prune(self, before: datetime) -> None:
        with self._database.write() as session:
            over = NotificationRow.made_at < before
            session.execute(delete(NotificationRow).where(over, NotificationRow.state != PENDING))
            session.execute(delete(AlertGroupRow).where(AlertGroupRow.changed_at < before))
            session.execute(delete(CooldownRow).where(CooldownRow.told_at < before))

    def _in_state(self, state: str) -> list[Notification]:
        query = select(NotificationRow).where(NotificationRow.state == state, NotificationRow.digest_key == "")
        with self._database.read() as session:
            rows = session.scalars(query.order_by(NotificationRow.made_at))
            return [notification_of(row.content) for row in rows]


def _write(session: Session, writing: Writing) -> None:
    notification = writing.notification
    if notification is not None:
        session.add(_row(notification, writing.log, writing.before, writing.is_held))
        session.flush()
        _mark_digested(session, writing.digests, notification.key)
    session.merge(_log_row(writing.log, writing.at))
    write_changes(session, writing.changes)
    for key, cooldown in writing.cooldowns.items():
        session.merge(CooldownRow(key=key, told_at=cooldown.told_at, severity=cooldown.severity))


def _mark_digested(session: Session, keys: Sequence[str], digest_key: str) -> None:
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        session.execute(update(NotificationRow).where(NotificationRow.key.in_(part)).values(digest_key=digest_key))


def _row(notification: Notification, log: GroupLog, before: Told | None, is_held: bool) -> NotificationRow:
    return NotificationRow(
        key=notification.key,
        receiver=notification.receiver[:300],
        group_id=log.id,
        made_at=notification.made_at,
        severity=int(notification.severity),
        state=HELD if is_held else PENDING,
        content=plain_notification(notification),
        told_before=_plain(before),
        digest_key="",
        ended_at=None,
        reason="",
        reference="",
    )


def _plain(told: Told | None) -> dict[str, Any] | None:
    return told.plain() if told else None


def _log_row(log: GroupLog, at: datetime) -> AlertGroupRow:
    return AlertGroupRow(
        key=log.id,
        receiver=log.receiver[:300],
        group_key=log.group_key,
        sequence=log.sequence,
        told=_plain(log.told),
        changed_at=at,
    )


def _log(row: AlertGroupRow) -> GroupLog:
    return GroupLog(row.receiver, row.group_key, row.sequence, told_of(row.told))


def _stored(row: NotificationRow) -> StoredNotification:
    return StoredNotification(
        notification_of(row.content), row.state, row.ended_at, row.reason, row.reference, row.digest_key
    )
