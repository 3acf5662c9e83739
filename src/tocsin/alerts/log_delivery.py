"""Tells notifications to the server's own log: what is there when no channel is."""

from __future__ import annotations

import structlog

from tocsin.model.clock import utc_now
from tocsin.model.notification import Notification, Outcome, Receipt

log = structlog.get_logger("tocsin.alerts")


def deliver_to_log(notification: Notification) -> Receipt:
    """One line a notification."""
    log.warning(
        "alerts.notification",
        receiver=notification.receiver,
        status=notification.status,
        severity=notification.severity.name,
        firing=[alert.name for alert in notification.firing],
        resolved=[alert.name for alert in notification.resolved],
        cause=notification.cause,
        key=notification.key,
    )
    return Receipt(Outcome.SENT, utc_now())
