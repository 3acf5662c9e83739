"""The server's own log: one structured event a notification, for whoever collects logs anyway."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.model.severity import Severity
from tocsin.notify.contract import Message, Pace

PACE = Pace(0)
log = structlog.get_logger("tocsin.alerts")


@dataclass(frozen=True)
class Settings:
    """What is written."""

    with_labels: bool = setting(True, help="Write the labels that all alerts of the group share.")

    @property
    def lacks(self) -> str:
        return ""


def send(settings: Settings, message: Message) -> Receipt:
    notification, text = message.notification, message.text
    if notification.report is not None:
        said = {heading: words.splitlines() for heading, words in text.facts}
        log.info("health.summary", title=text.title, summary=text.summary, key=message.key, **{"facts": said})
        return message.sent(reason="written to the log")
    write = log.info if not notification.firing or notification.severity > Severity.P2 else log.warning
    write(
        "alert.firing" if notification.firing else "alert.resolved",
        title=text.title,
        summary=text.summary,
        receiver=notification.receiver,
        severity=notification.severity.named("priority"),
        firing=len(notification.firing),
        resolved=len(notification.resolved),
        group=notification.group_key,
        key=message.key,
        **({"labels": notification.common_labels} if settings.with_labels else {}),
    )
    return message.sent(reason="written to the log")
