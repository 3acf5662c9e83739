"""What storms hold back, by receiver, until a digest says it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tocsin.alerts.book import Book
from tocsin.alerts.storm import DIGEST, digest_of
from tocsin.model.alert import Alert
from tocsin.model.alert_state import Change, change_of
from tocsin.model.notification import Notification
from tocsin.model.told import GroupLog, group_id, notification_key
from tocsin.storage.control.notifications import Writing


@dataclass(slots=True)
class HeldBack:
    """The notifications of one receiver that wait, since when, and when they are told together."""

    since: datetime
    due_at: datetime
    notifications: list[Notification] = field(default_factory=list)


@dataclass(slots=True)
class Digests:
    """every_seconds: time between two digests to one receiver."""

    every_seconds: float
    waiting: dict[str, HeldBack] = field(default_factory=dict)

    def hold(self, notification: Notification, now: datetime) -> None:
        due_at = now + timedelta(seconds=self.every_seconds)
        held = self.waiting.setdefault(notification.receiver, HeldBack(now, due_at))
        held.notifications.append(notification)

    def take_due(self, now: datetime) -> list[HeldBack]:
        """Those whose time has come; they wait no more."""
        due = [receiver for receiver, held in self.waiting.items() if held.due_at <= now]
        return [self.waiting.pop(receiver) for receiver in due]

    def times(self) -> Iterable[datetime]:
        return (held.due_at for held in self.waiting.values())


def digest_writing(waited: HeldBack, book: Book, cause: Callable[[Sequence[Alert]], str], now: datetime) -> Writing:
    """The digest for a receiver, with what is to be written down before it goes out."""
    held, receiver = waited.notifications, waited.notifications[0].receiver
    logged = book.logs.get(group_id(receiver, DIGEST)) or GroupLog(receiver, DIGEST)
    known = {key: each.alert for key, each in book.alerts.items()}
    made = digest_of(held, known, notification_key(logged), waited.since, now)
    made = replace(made, cause=" ".join(filter(None, (made.cause, cause(made.firing)))))
    after = replace(logged, sequence=logged.sequence + 1, told=None)
    detail = {"receiver": receiver, "group": DIGEST, "reason": "digest of a storm", "key": made.key}
    changes = [change_of(alert, now, Change.NOTIFIED, **detail) for alert in made.alerts]
    return Writing(after, None, now, made, changes=changes, digests=[one.key for one in held])
