"""Another Alertmanager: the alerts themselves, for its routes to decide.

Source: github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml (POST /api/v2/alerts, postableAlerts).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tocsin.model.alert import Alert
from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.channels.webhook import go_time
from tocsin.notify.contract import DeliveryError, Message, Pace, missing
from tocsin.notify.http import ask

PACE = Pace(0.02, burst=50)


@dataclass(frozen=True)
class Settings:
    """Where it listens; of a cluster every member has to be told."""

    urls: tuple[str, ...] = setting((), help="Alertmanagers, such as http://alertmanager:9093; each gets the alerts.")
    resend_seconds: float = setting(
        3600.0, unit="seconds", help="Time after which a firing alert ends there unless it is told again."
    )

    @property
    def lacks(self) -> str:
        return missing(urls=self.urls)


def send(settings: Settings, message: Message) -> Receipt:
    """Tells all; one of them suffices for a receipt, because members of a cluster tell each other."""
    alerts = [postable(alert, message, settings) for alert in message.notification.alerts]
    faults: list[DeliveryError] = []
    taken = []
    for url in settings.urls:
        try:
            ask(message, "POST", f"{url.rstrip('/')}/api/v2/alerts", json=alerts)
            taken.append(url)
        except DeliveryError as error:
            faults.append(error)
    if not taken:
        raise next((one for one in faults if one.retryable), faults[0])
    missed = f"; {len(faults)} did not take it: {faults[0].reason}" if faults else ""
    return message.sent(reason=f"{len(taken)} of {len(settings.urls)} took {len(alerts)} alerts{missed}")


def postable(alert: Alert, message: Message, settings: Settings) -> dict[str, Any]:
    is_firing = alert in message.notification.firing
    ends = alert.ends_at if not is_firing and alert.ends_at else message.now
    return as_postable(alert, ends + timedelta(seconds=settings.resend_seconds) if is_firing else ends)


def as_postable(alert: Alert, ends_at: datetime) -> dict[str, Any]:
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": go_time(alert.starts_at),
        "endsAt": go_time(ends_at),
        "generatorURL": alert.generator_url,
    }
