"""One look at a group: who is held back, whether there is something to say, and the notification that says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tocsin.alerts.cooldown import cooldown_key, cooldown_seconds
from tocsin.alerts.decide import Circumstances, Hold, holds_on_route
from tocsin.alerts.group import Group, why_tell
from tocsin.model.alert import Alert
from tocsin.model.alert_state import Change, KnownAlert, change_of
from tocsin.model.notification import Notification
from tocsin.model.told import Cooldown, GroupLog, Told, notification_key
from tocsin.storage.control.notifications import Writing


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a group found. reason '': nothing to say. Alerts in the order they are told in."""

    firing: tuple[Alert, ...]
    resolved: tuple[Alert, ...]
    held: Mapping[str, tuple[Hold, ...]]  # by fingerprint
    reason: str

    @property
    def told(self) -> tuple[frozenset[str], frozenset[str]]:
        return (
            frozenset(alert.fingerprint for alert in self.firing),
            frozenset(alert.fingerprint for alert in self.resolved),
        )


def look_at(
    group: Group,
    members: Sequence[KnownAlert],
    on_alert: Mapping[str, Sequence[Hold]],
    told: Told | None,
    around: Circumstances,
    sends_resolved: bool,
    now: datetime,
) -> Look:
    """on_alert: what holds each member back on every route, by fingerprint."""
    held: dict[str, tuple[Hold, ...]] = {}
    firing, resolved, unhandled = [], [], False
    for known in sorted(members, key=_order):
        holds = (*on_alert[known.fingerprint], *holds_on_route(known, group.route, told, around, now))
        if holds:
            held[known.fingerprint] = holds
        elif known.is_firing(now):
            firing.append(replace(known.alert, ends_at=None))
            unhandled = unhandled or not known.handling.acknowledged_by
        else:
            resolved.append(known.alert)
    reason = ""
    if firing or resolved:
        reason = why_tell(
            told,
            [alert.fingerprint for alert in firing],
            [alert.fingerprint for alert in resolved],
            sends_resolved=sends_resolved,
            repeat_interval_seconds=group.route.repeat_interval_seconds,
            now=now,
            may_repeat=unhandled,
        )
    return Look(tuple(firing), tuple(resolved), held, reason)


def notification_of(group: Group, look: Look, log: GroupLog, now: datetime, sends_resolved: bool) -> Notification:
    """Alerts that are over are left out where the receiver does not hear of them."""
    return Notification(
        key=notification_key(log),
        receiver=group.route.receiver,
        group_key=group.key,
        group_labels=dict(group.labels),
        firing=look.firing,
        resolved=look.resolved if sends_resolved else (),
        made_at=now,
    )


def log_after(log: GroupLog, look: Look, now: datetime) -> GroupLog:
    firing, resolved = look.told
    return replace(log, sequence=log.sequence + 1, told=Told(now, firing, resolved))


def cooldowns_after(notification: Notification, around: Circumstances, now: datetime) -> dict[str, Cooldown]:
    """For the alerts it tells of that cool down."""
    return {
        cooldown_key(notification.receiver, alert): Cooldown(now, int(alert.severity))
        for alert in notification.firing
        if cooldown_seconds(alert, around.cooldown_seconds) > 0
    }


def writing_of(
    made: Notification, reason: str, why_held: str, logged: GroupLog, after: GroupLog, around: Circumstances
) -> Writing:
    """What is written down before a notification goes out. why_held: why it waits for a digest, '' when it goes."""
    now = made.made_at
    said = {"receiver": made.receiver, "group": made.group_key, "reason": why_held or reason, "key": made.key}
    change = Change.HELD if why_held else Change.NOTIFIED
    return Writing(
        after,
        logged.told,
        now,
        made,
        is_held=bool(why_held),
        changes=[change_of(alert, now, change, **said) for alert in made.alerts],
        cooldowns=cooldowns_after(made, around, now),
    )


def _order(known: KnownAlert) -> tuple[object, ...]:
    """The worst first, then the oldest."""
    alert = known.alert
    return (alert.severity, alert.starts_at, sorted(alert.labels.items()))
