"""The delivery log: a notification is a row for each channel before it is a message, so that it goes out once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from tocsin.model.delivery import Attempt, Delivery
from tocsin.model.notification import Notification, Outcome
from tocsin.model.notification_plain import plain_notification
from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import NotFound
from tocsin.storage.control.schema import DeliveryAttemptRow, DeliveryRow

KEPT_DAYS = 90


class Deliveries:
    """Deliveries by (key, receiver, integration)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, notification: Notification, receiver: str, integration: str, channel: str, title: str) -> Delivery:
        """The delivery of this notification to this channel: a new one, or the one there is."""
        now = self._database.now()
        with self._database.write() as session:
            row = session.scalars(
                select(DeliveryRow).where(
                    DeliveryRow.key == notification.key,
                    DeliveryRow.receiver == receiver,
                    DeliveryRow.integration == integration,
                )
            ).first()
            if row is None:
                row = DeliveryRow(
                    key=notification.key,
                    receiver=receiver,
                    integration=integration,
                    channel=channel,
                    group_key=notification.group_key,
                    status=notification.status,
                    outcome=Outcome.RETRYING,
                    attempts=0,
                    reason="",
                    reference="",
                    title=title,
                    notification=plain_notification(notification),
                    made_at=now,
                    changed_at=now,
                    acknowledged_at=None,
                    acknowledged_by="",
                )
                session.add(row)
                session.flush()
            return _delivery(row)

    def note(self, id: int, outcome: Outcome, *, reason: str, reference: str, at: datetime, seconds: float) -> Delivery:
        """Adds an attempt; the delivery's outcome is that of its last one."""
        with self._database.write() as session:
            row = self._row(session, id)
            row.attempts += 1
            row.outcome, row.reason, row.changed_at = outcome, reason, at
            row.reference = reference or row.reference
            session.add(
                DeliveryAttemptRow(
                    delivery_id=id,
                    attempt=row.attempts,
                    outcome=outcome,
                    reason=reason,
                    reference=reference,
                    at=at,
                    seconds=seconds,
                )
            )
            return _delivery(row)

    def give_up(self, id: int, reason: str) -> Delivery:
        """Ends a delivery that is not to be tried again."""
        with self._database.write() as session:
            row = self._row(session, id)
            row.outcome, row.reason, row.changed_at = Outcome.FAILED, reason, self._database.now()
            return _delivery(row)

    def reopen(self, id: int) -> Delivery:
        """A delivery that failed is to be tried once more. Raises NotFound for one that did not."""
        with self._database.write() as session:
            row = self._row(session, id)
            if row.outcome != Outcome.FAILED:
                raise NotFound(f"cannot replay delivery {id}: it is {row.outcome}; only one that failed is told again")
            row.outcome, row.changed_at = Outcome.RETRYING, self._database.now()
            return _delivery(row)

    def acknowledge(self, id: int, by: str, at: datetime) -> bool:
        """Whether this is news."""
        with self._database.write() as session:
            row = self._row(session, id)
            is_news = row.acknowledged_at is None
            if is_news:
                row.acknowledged_at, row.acknowledged_by = at, by
            return is_news

    def release(self, id: int) -> None:
        """Nobody has acknowledged it any more, so that who does next is news."""
        with self._database.write() as session:
            row = self._row(session, id)
            row.acknowledged_at, row.acknowledged_by = None, ""

    def get(self, id: int) -> Delivery:
        """Raises NotFound."""
        with self._database.read() as session:
            return _delivery(self._row(session, id))

    def waiting(self) -> list[Delivery]:
        """Those not told yet, the oldest first: what to resume after a restart."""
        query = select(DeliveryRow).where(DeliveryRow.outcome == Outcome.RETRYING).order_by(DeliveryRow.id)
        with self._database.read() as session:
            return [_delivery(row) for row in session.scalars(query)]

    def unacknowledged(self, channels: Sequence[str], since: datetime) -> list[Delivery]:
        """Told since then with a reference by which somebody may acknowledge, and nobody has."""
        query = select(DeliveryRow).where(
            DeliveryRow.outcome == Outcome.SENT,
            DeliveryRow.channel.in_(channels),
            DeliveryRow.reference != "",
            DeliveryRow.acknowledged_at.is_(None),
            DeliveryRow.status == "firing",
            DeliveryRow.changed_at >= since,
        )
        with self._database.read() as session:
            return [_delivery(row) for row in session.scalars(query.order_by(DeliveryRow.id))]

    def open_of(self, group_key: str) -> list[Delivery]:
        """The last told delivery of a group at each channel, where it still fires."""
        newest = (
            select(func.max(DeliveryRow.id))
            .where(DeliveryRow.group_key == group_key, DeliveryRow.outcome == Outcome.SENT)
            .group_by(DeliveryRow.receiver, DeliveryRow.integration)
        )
        query = select(DeliveryRow).where(DeliveryRow.id.in_(newest), DeliveryRow.status == "firing")
        with self._database.read() as session:
            return [_delivery(row) for row in session.scalars(query.order_by(DeliveryRow.id))]

    def open_reference(self, group_key: str, receiver: str, integration: str) -> str:
        """The provider's id of the last message of this group, unless that said it was over: a thread to go on in."""
        query = select(DeliveryRow).where(
            DeliveryRow.group_key == group_key,
            DeliveryRow.receiver == receiver,
            DeliveryRow.integration == integration,
            DeliveryRow.outcome == Outcome.SENT,
        )
        with self._database.read() as session:
            row = session.scalars(query.order_by(DeliveryRow.id.desc()).limit(1)).first()
            return row.reference if row is not None and row.status == "firing" else ""

    def newest(
        self,
        *,
        limit: int = 100,
        before_id: int | None = None,
        channel: str = "",
        outcome: str = "",
        receiver: str = "",
        without_title: str = "",
    ) -> list[Delivery]:
        """The newest first; '' matches any. without_title: leave out those whose title has these words."""
        query = select(DeliveryRow).order_by(DeliveryRow.id.desc()).limit(limit)
        wanted: Mapping[Any, str] = {
            DeliveryRow.channel: channel, DeliveryRow.outcome: outcome, DeliveryRow.receiver: receiver,
        }  # fmt: skip
        for column, value in wanted.items():
            if value:
                query = query.where(column == value)
        if without_title:
            query = query.where(~DeliveryRow.title.contains(without_title, autoescape=True))
        if before_id is not None:
            query = query.where(DeliveryRow.id < before_id)
        with self._database.read() as session:
            return [_delivery(row) for row in session.scalars(query)]

    def of_key(self, key: str) -> list[Delivery]:
        """Every delivery of one notification, its fallbacks included."""
        with self._database.read() as session:
            rows = session.scalars(select(DeliveryRow).where(DeliveryRow.key == key).order_by(DeliveryRow.id))
            return [_delivery(row) for row in rows]

    def of_reference(self, channel: str, reference: str) -> Delivery | None:
        """The newest that a provider knows by this reference."""
        query = select(DeliveryRow).where(DeliveryRow.channel == channel, DeliveryRow.reference == reference)
        with self._database.read() as session:
            row = session.scalars(query.order_by(DeliveryRow.id.desc()).limit(1)).first()
            return None if row is None else _delivery(row)

    def counts(self, since: datetime) -> dict[tuple[str, str], dict[Outcome, int]]:
        """How many deliveries of each (receiver, integration) changed since then, by outcome."""
        place = (DeliveryRow.receiver, DeliveryRow.integration, DeliveryRow.outcome)
        query = select(*place, func.count()).where(DeliveryRow.changed_at >= since).group_by(*place)
        found: dict[tuple[str, str], dict[Outcome, int]] = {}
        with self._database.read() as session:
            for receiver, integration, outcome, number in session.execute(query):
                found.setdefault((receiver, integration), {})[Outcome(outcome)] = number
        return found

    def last_of_each(self) -> dict[tuple[str, str], Delivery]:
        """The newest delivery of each (receiver, integration)."""
        newest = select(func.max(DeliveryRow.id)).group_by(DeliveryRow.receiver, DeliveryRow.integration)
        with self._database.read() as session:
            rows = session.scalars(select(DeliveryRow).where(DeliveryRow.id.in_(newest)))
            return {(row.receiver, row.integration): _delivery(row) for row in rows}

    def attempts(self, id: int) -> list[Attempt]:
        query = select(DeliveryAttemptRow).where(DeliveryAttemptRow.delivery_id == id)
        with self._database.read() as session:
            rows = session.scalars(query.order_by(DeliveryAttemptRow.attempt))
            return [
                Attempt(id, row.attempt, Outcome(row.outcome), row.reason, row.reference, row.at, row.seconds)
                for row in rows
            ]

    def prune(self) -> None:
        """Deletes what is older than three months."""
        before = self._database.now() - timedelta(days=KEPT_DAYS)
        old = select(DeliveryRow.id).where(DeliveryRow.changed_at < before)
        with self._database.write() as session:
            session.execute(delete(DeliveryAttemptRow).where(DeliveryAttemptRow.delivery_id.in_(old)))
            session.execute(delete(DeliveryRow).where(DeliveryRow.changed_at < before))

    def _row(self, session: Session, id: int) -> DeliveryRow:
        row = session.get(DeliveryRow, id)
        if row is None:
            raise NotFound(f"cannot find delivery {id}: there is none of that id; look it up in the delivery log")
        return row


def _delivery(row: DeliveryRow) -> Delivery:
    return Delivery(
        id=row.id,
        key=row.key,
        receiver=row.receiver,
        integration=row.integration,
        channel=row.channel,
        group_key=row.group_key,
        status=row.status,
        outcome=Outcome(row.outcome),
        attempts=row.attempts,
        reason=row.reason,
        reference=row.reference,
        title=row.title,
        made_at=row.made_at,
        changed_at=row.changed_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        notification=row.notification,
    )
