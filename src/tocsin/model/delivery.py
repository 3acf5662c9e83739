"""What becomes of a notification at each channel, and a notification as JSON, in which it is kept until it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tocsin.model.alert import Alert
from tocsin.model.notification import Notification, Outcome


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notification on its way to one channel of a receiver. `outcome` RETRYING: not yet told.

    `integration` is the channel's place in its receiver, such as "slack[0]"; with the key it is unique.
    """

    id: int
    key: str
    receiver: str
    integration: str
    channel: str
    group_key: str
    status: str  # firing or resolved
    outcome: Outcome
    attempts: int
    reason: str
    reference: str
    title: str
    made_at: datetime
    changed_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str
    notification: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a delivery and how it ended."""

    delivery_id: int
    attempt: int
    outcome: Outcome
    reason: str
    reference: str
    at: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody said, at the provider, that they have seen it."""

    key: str
    group_key: str
    receiver: str
    channel: str
    by: str
    at: datetime


def as_json(notification: Notification) -> dict[str, Any]:
    """Plain values, from which `from_json` makes the same notification."""
    return {
        "key": notification.key,
        "receiver": notification.receiver,
        "group_key": notification.group_key,
        "group_labels": dict(notification.group_labels),
        "firing": [_alert_json(alert) for alert in notification.firing],
        "resolved": [_alert_json(alert) for alert in notification.resolved],
        "made_at": notification.made_at.isoformat(),
        "external_url": notification.external_url,
        "held_back": notification.held_back,
        "cause": notification.cause,
    }


def from_json(kept: Mapping[str, Any]) -> Notification:
    return Notification(
        key=kept["key"],
        receiver=kept["receiver"],
        group_key=kept["group_key"],
        group_labels=kept["group_labels"],
        firing=tuple(_alert(one) for one in kept["firing"]),
        resolved=tuple(_alert(one) for one in kept["resolved"]),
        made_at=datetime.fromisoformat(kept["made_at"]),
        external_url=kept["external_url"],
        held_back=kept["held_back"],
        cause=kept["cause"],
    )


def _alert_json(alert: Alert) -> dict[str, Any]:
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "starts_at": alert.starts_at.isoformat(),
        "ends_at": alert.ends_at.isoformat() if alert.ends_at else None,
        "generator_url": alert.generator_url,
    }


def _alert(kept: Mapping[str, Any]) -> Alert:
    return Alert(
        kept["labels"],
        kept["annotations"],
        starts_at=datetime.fromisoformat(kept["starts_at"]),
        ends_at=datetime.fromisoformat(kept["ends_at"]) if kept["ends_at"] else None,
        generator_url=kept["generator_url"],
    )
