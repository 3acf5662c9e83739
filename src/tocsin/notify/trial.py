"""A message that a person sends by hand: to see that a channel works, or to wake somebody."""

from __future__ import annotations

import secrets
from datetime import datetime

from tocsin.model.alert import Alert
from tocsin.model.notification import Notification
from tocsin.model.severity import Severity

BY_HAND = "message-"
TEST_MESSAGE = "A test of this channel; nothing is wrong."


def trial(
    receiver: str, message: str, now: datetime, *, severity: Severity = Severity.P4, external_url: str = ""
) -> Notification:
    """A notification of one alert with these words, each time another one."""
    id = secrets.token_hex(8)
    labels = {"alertname": "Message", "severity": severity.named("priority"), "message_id": id}
    alert = Alert(labels, {"summary": message}, starts_at=now)
    return Notification(
        key=f"{BY_HAND}{id}",
        receiver=receiver,
        group_key=f'{{}}:{{message_id="{id}"}}',
        group_labels={"alertname": "Message"},
        firing=(alert,),
        resolved=(),
        made_at=now,
        external_url=external_url,
    )


def is_by_hand(notification: Notification) -> bool:
    """Whether a person sent it, so that whichever server they asked tells it."""
    return notification.key.startswith(BY_HAND)
