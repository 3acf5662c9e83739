"""A notification as Alertmanager's templates see it: `.Alerts.Firing`, `.GroupLabels.SortedPairs`.

Source: prometheus.io/docs/alerting/latest/notifications (the data structures and their methods).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from tocsin.model.alert import ALERT_NAME, Alert
from tocsin.model.notification import Notification
from tocsin.query.templates.values import Methods, Object, Struct

NEVER = datetime(1, 1, 1, tzinfo=UTC)


class Pairs(list[Struct], Object):
    """(Name, Value) in an order."""

    METHODS: ClassVar[Methods] = {
        "Names": lambda pairs: [one["Name"] for one in pairs],
        "Values": lambda pairs: [one["Value"] for one in pairs],
        "String": lambda pairs: ", ".join(f"{one['Name']}={one['Value']}" for one in pairs),
    }


class Labels(dict[str, str], Object):
    """Labels or annotations."""

    METHODS: ClassVar[Methods] = {
        "SortedPairs": lambda labels: _pairs(labels),
        "Remove": lambda labels, names: Labels({name: one for name, one in labels.items() if name not in names}),
        "Names": lambda labels: _pairs(labels).METHODS["Names"](_pairs(labels)),
        "Values": lambda labels: _pairs(labels).METHODS["Values"](_pairs(labels)),
        "String": lambda labels: _pairs(labels).METHODS["String"](_pairs(labels)),
    }


class Alerts(list[Struct], Object):
    METHODS: ClassVar[Methods] = {
        "Firing": lambda alerts: Alerts(one for one in alerts if one["Status"] == "firing"),
        "Resolved": lambda alerts: Alerts(one for one in alerts if one["Status"] == "resolved"),
    }


def data_of(notification: Notification, receiver: str) -> Struct:
    """What the dot of a message's template is."""
    return Struct(
        Receiver=receiver,
        Status=notification.status,
        Alerts=Alerts(_alert(alert, alert in notification.firing) for alert in notification.alerts),
        GroupLabels=Labels(notification.group_labels),
        CommonLabels=Labels(notification.common_labels),
        CommonAnnotations=Labels(notification.common_annotations),
        ExternalURL=notification.external_url,
    )


def _alert(alert: Alert, is_firing: bool) -> Struct:
    return Struct(
        Status="firing" if is_firing else "resolved",
        Labels=Labels(alert.labels),
        Annotations=Labels(alert.annotations),
        StartsAt=alert.starts_at.astimezone(UTC),
        EndsAt=alert.ends_at.astimezone(UTC) if alert.ends_at and not is_firing else NEVER,
        GeneratorURL=alert.generator_url,
        Fingerprint=alert.fingerprint,
    )


def _pairs(labels: Mapping[str, str]) -> Pairs:
    """By name, `alertname` before all others."""
    names = sorted(labels, key=lambda name: (name != ALERT_NAME, name))
    return Pairs(Struct(Name=name, Value=labels[name]) for name in names)


def plain(value: Any) -> Any:
    """As `toJson` writes it."""
    if isinstance(value, Struct):
        return {_json_name(name): plain(one) for name, one in value.items()}
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def _json_name(name: str) -> str:
    return {"ExternalURL": "externalURL", "GeneratorURL": "generatorURL"}.get(name, name[:1].lower() + name[1:])
