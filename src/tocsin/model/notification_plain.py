"""Alerts and notifications to JSON and back, as they are kept in the control store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from tocsin.model.alert import Alert
from tocsin.model.notification import Notification, Report


def plain_alert(alert: Alert) -> dict[str, Any]:
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "starts_at": alert.starts_at.isoformat(),
        "ends_at": alert.ends_at.isoformat() if alert.ends_at else None,
        "generator_url": alert.generator_url,
    }


def alert_of(plain: Mapping[str, Any]) -> Alert:
    return Alert(
        plain["labels"],
        plain["annotations"],
        starts_at=datetime.fromisoformat(plain["starts_at"]),
        ends_at=datetime.fromisoformat(plain["ends_at"]) if plain["ends_at"] else None,
        generator_url=plain["generator_url"],
    )


def plain_notification(notification: Notification) -> dict[str, Any]:
    return {
        "key": notification.key,
        "receiver": notification.receiver,
        "group_key": notification.group_key,
        "group_labels": dict(notification.group_labels),
        "firing": [plain_alert(alert) for alert in notification.firing],
        "resolved": [plain_alert(alert) for alert in notification.resolved],
        "made_at": notification.made_at.isoformat(),
        "external_url": notification.external_url,
        "held_back": notification.held_back,
        "cause": notification.cause,
        **({"report": asdict(notification.report)} if notification.report else {}),
    }


def notification_of(plain: Mapping[str, Any]) -> Notification:
    return Notification(
        key=plain["key"],
        receiver=plain["receiver"],
        group_key=plain["group_key"],
        group_labels=plain["group_labels"],
        firing=tuple(alert_of(one) for one in plain["firing"]),
        resolved=tuple(alert_of(one) for one in plain["resolved"]),
        made_at=datetime.fromisoformat(plain["made_at"]),
        external_url=plain["external_url"],
        held_back=plain["held_back"],
        cause=plain["cause"],
        report=_report_of(plain["report"]) if plain.get("report") else None,
    )


def _report_of(plain: Mapping[str, Any]) -> Report:
    pairs = {name: tuple((first, second) for first, second in plain[name]) for name in ("facts", "links")}
    return Report(**{**plain, **pairs})
