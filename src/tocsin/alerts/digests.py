"""What storms hold back, by receiver, until a digest says it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tocsin.model.notification import Notification


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
