"""Storm control: too many notifications of one alert, or in all, wait for a digest; a P0 never does."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tocsin.alerts.settings import AlertSettings
from tocsin.model.alert import Alert
from tocsin.model.notification import Notification, Outcome
from tocsin.model.severity import Severity
from tocsin.storage.control.notifications import StoredNotification

DIGEST = "tocsin:digest"
"""The group key of digests."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Notifications that one receiver gets within so many seconds; 0: no limit."""

    same_count: int = 5
    same_seconds: float = 300.0
    total_count: int = 20
    total_seconds: float = 600.0

    @classmethod
    def of(cls, settings: AlertSettings) -> Limits:
        return cls(
            settings.storm_same_count,
            settings.storm_same_seconds,
            settings.storm_total_count,
            settings.storm_total_seconds,
        )


@dataclass(slots=True)
class Storm:
    """The notifications of the last minutes at each receiver."""

    limits: Limits
    _total: dict[str, deque[datetime]] = field(default_factory=dict)
    _same: dict[tuple[str, str], deque[datetime]] = field(default_factory=dict)

    @classmethod
    def recalled(cls, limits: Limits, stored: Iterable[StoredNotification]) -> Storm:
        """With what was sent of late."""
        made = cls(limits)
        for one in stored:
            if one.state != Outcome.HELD.value:
                made.sent(one.notification, one.notification.made_at)
        return made

    def why_hold(self, notification: Notification, now: datetime) -> str:
        """Why this one has to wait for a digest; '' when it may go."""
        if notification.severity is Severity.P0 and notification.firing:
            return ""
        limits, receiver = self.limits, notification.receiver
        total = _since(self._total.get(receiver), now - timedelta(seconds=limits.total_seconds))
        if limits.total_count and total >= limits.total_count:
            return f"{total} notifications to {receiver} within {limits.total_seconds:.0f} s"
        for name in names_in(notification):
            same = _since(self._same.get((receiver, name)), now - timedelta(seconds=limits.same_seconds))
            if not limits.same_count or same < limits.same_count:
                return ""
        return f"{limits.same_count} notifications of the same alert to {receiver} within {limits.same_seconds:.0f} s"

    def sent(self, notification: Notification, at: datetime) -> None:
        if notification.group_key == DIGEST:
            return
        self._total.setdefault(notification.receiver, deque(maxlen=1000)).append(at)
        for name in names_in(notification):
            self._same.setdefault((notification.receiver, name), deque(maxlen=100)).append(at)
        if len(self._same) > 10_000:
            self._forget(at - timedelta(seconds=self.limits.same_seconds))

    def _forget(self, before: datetime) -> None:
        self._same = {key: times for key, times in self._same.items() if times and times[-1] >= before}


def names_in(notification: Notification) -> list[str]:
    return sorted({alert.name for alert in notification.alerts})


def digest_of(
    held: Sequence[Notification], known: dict[str, Alert], key: str, since: datetime, now: datetime
) -> Notification:
    """One notification for all that were held at a receiver: each alert once, as it is now. held: never none."""
    latest: dict[str, Alert] = {}
    for notification in held:
        for alert in notification.alerts:
            latest[alert.fingerprint] = known.get(alert.fingerprint, alert)
    alerts = sorted(latest.values(), key=lambda each: (each.severity, each.starts_at, each.name))
    firing = tuple(alert for alert in alerts if not alert.is_resolved(now))
    resolved = tuple(alert for alert in alerts if alert.is_resolved(now))
    return Notification(
        key=key,
        receiver=held[0].receiver,
        group_key=DIGEST,
        group_labels={},
        firing=firing,
        resolved=resolved,
        made_at=now,
        external_url=held[0].external_url,
        held_back=len(alerts),
        cause=(
            f"Storm: {len(held)} notifications about {len(alerts)} alerts were held back since "
            f"{since:%H:%M:%S} UTC: {_counted(alerts)}."
        ),
    )


def _counted(alerts: Iterable[Alert]) -> str:
    counts = Counter(alert.name for alert in alerts).most_common(5)
    return ", ".join(f"{name} ×{count}" if count > 1 else name for name, count in counts)


def _since(times: deque[datetime] | None, start: datetime) -> int:
    """How many there are since then; older ones are forgotten."""
    while times and times[0] < start:
        times.popleft()
    return len(times or ())
