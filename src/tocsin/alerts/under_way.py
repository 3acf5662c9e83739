"""Notifications on their way to receivers, and those that a storm holds back until a digest says them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from tocsin.alerts import counters
from tocsin.alerts.digests import Digests, HeldBack
from tocsin.alerts.outbox import Outbox
from tocsin.alerts.settings import AlertSettings
from tocsin.alerts.storm import Limits, Storm
from tocsin.model.notification import Notification, Outcome
from tocsin.model.told import Told
from tocsin.storage.control.notifications import Notifications, Writing


class UnderWay:
    """What has been written down and has no receipt yet. Every call comes under the pipeline's lock."""

    def __init__(self, outbox: Outbox, settings: AlertSettings) -> None:
        self._outbox = outbox
        self._limits = Limits.of(settings)
        self._storm = Storm(self._limits)
        self._digests = Digests(settings.storm_digest_seconds)
        self._before: dict[str, Told | None] = {}

    def recall(self, store: Notifications, now: datetime) -> None:
        """Begins anew with what was sent of late, and what is held back for a digest."""
        since = now - timedelta(seconds=self._limits.total_seconds)
        self._before.clear()
        self._storm = Storm.recalled(self._limits, store.recent(since=since, limit=1000))
        self._digests.waiting.clear()
        for notification in store.held():
            self._hold(notification, now)

    def has(self, id: str) -> bool:
        """Whether this group is being told something: the next has to wait for its receipt."""
        return id in self._before

    def why_hold(self, made: Notification, now: datetime) -> str:
        """Why it has to wait for a digest; '' when it goes, which counts as sent from now on."""
        if why := self._storm.why_hold(made, now):
            return why
        self._storm.sent(made, now)
        return ""

    def go(self, writing: Writing, made: Notification, now: datetime) -> None:
        """Sends what was written down, or holds it back."""
        if writing.is_held:
            self._hold(made, now)
        else:
            self.tell(made, writing.log.id, writing.before)

    def tell(self, notification: Notification, id: str, before: Told | None) -> None:
        """Sends. id, before: its group, and what that was told before; '' for a group that nothing is known of."""
        if id:
            self._before[id] = before
        self._outbox.put(notification)

    def ended(self, id: str) -> Told | None:
        """There is a receipt; what the group was told before."""
        return self._before.pop(id, None)

    @property
    def held(self) -> dict[str, list[Notification]]:
        """What waits for a digest, by receiver."""
        return {receiver: list(held.notifications) for receiver, held in self._digests.waiting.items()}

    def take_due(self, now: datetime) -> list[HeldBack]:
        """What a digest says now."""
        return self._digests.take_due(now)

    def times(self) -> Iterable[datetime]:
        """When digests are due."""
        return self._digests.times()

    def _hold(self, notification: Notification, now: datetime) -> None:
        counters.notifications.labels(notification.receiver, Outcome.HELD.value).inc()
        self._digests.hold(notification, now)
