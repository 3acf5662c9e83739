"""Any program: Alertmanager's webhook JSON (version 4), signed as Standard Webhooks say.

Sources: prometheus.io/docs/alerting/latest/configuration (webhook_config) and the Go types behind it for the order and
form of fields; standardwebhooks.com for webhook-id (the idempotency key), webhook-timestamp and webhook-signature
("v1," and base64 of HMAC-SHA256 over "id.timestamp.body").
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from tocsin.model.alert import Alert
from tocsin.model.notification import Notification, Receipt
from tocsin.model.settings import setting
from tocsin.notify.contract import Message, Origin, Pace, missing
from tocsin.notify.http import ask

ALERTMANAGER = Origin(("webhook_configs",))
PACE = Pace(0.02, burst=50)
OLDEST_SECONDS = 300
GO_ZERO_TIME = "0001-01-01T00:00:00Z"


@dataclass(frozen=True)
class Settings:
    """Where the JSON is posted, and the secret it is signed with."""

    url: str = setting("", help="Address the JSON is posted to.", secret=True)
    secret: str = setting(
        "", help="Signs each request (HMAC-SHA256); whsec_ and base64, or any text. Empty: not signed.", secret=True
    )
    max_alerts: int = setting(0, help="Alerts in one request; more are counted in truncatedAlerts. 0 is no limit.")
    timeout: float | None = setting(None, unit="seconds", help="Time the receiver may take; unset, as for all.")

    @property
    def lacks(self) -> str:
        return missing(url=self.url)


def send(settings: Settings, message: Message) -> Receipt:
    body = orjson.dumps(payload(message.notification, settings.max_alerts))
    at = int(message.now.timestamp())
    headers = {"content-type": "application/json", "webhook-id": message.key, "idempotency-key": message.key}
    headers["webhook-timestamp"] = str(at)
    if settings.secret:
        headers["webhook-signature"] = signature(settings.secret, message.key, at, body)
    answer = ask(message, "POST", settings.url, content=body, headers=headers)
    return message.sent(message.key, f"it answered {answer.status}")


def payload(notification: Notification, max_alerts: int = 0) -> dict[str, Any]:
    """The document as Alertmanager sends it."""
    alerts = notification.alerts
    shown = alerts[:max_alerts] if max_alerts > 0 else alerts
    return {
        "receiver": notification.receiver,
        "status": notification.status,
        "alerts": [_alert(alert, alert in notification.firing) for alert in shown],
        "groupLabels": dict(notification.group_labels),
        "commonLabels": notification.common_labels,
        "commonAnnotations": notification.common_annotations,
        "externalURL": notification.external_url,
        "version": "4",
        "groupKey": notification.group_key,
        "truncatedAlerts": len(alerts) - len(shown) + notification.held_back,
    }


def signature(secret: str, id: str, at: int, body: bytes) -> str:
    """What the receiver has to find in webhook-signature."""
    signed = b".".join([id.encode(), str(at).encode(), body])
    return "v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def is_signed(secret: str, id: str, timestamp: str, body: bytes, signatures: str, now: float) -> bool:
    """Whether one of these signatures is of this secret, made within the last five minutes."""
    if not secret or not id or not timestamp.isascii() or not timestamp.isdigit():
        return False
    if abs(now - int(timestamp)) > OLDEST_SECONDS:
        return False
    expected = signature(secret, id, int(timestamp), body).encode()
    return any(hmac.compare_digest(expected, one.encode("utf-8", "replace")) for one in signatures.split())


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass  # a text that only looks like one
    return secret.encode()


def _alert(alert: Alert, is_firing: bool) -> dict[str, Any]:
    return {
        "status": "firing" if is_firing else "resolved",
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": go_time(alert.starts_at),
        "endsAt": go_time(alert.ends_at) if alert.ends_at and not is_firing else GO_ZERO_TIME,
        "generatorURL": alert.generator_url,
        "fingerprint": alert.fingerprint,
    }


def go_time(at: datetime) -> str:
    """RFC 3339 as Go prints it: in UTC with Z, a fraction only where there is one."""
    utc = at.astimezone(UTC)
    fraction = f".{utc.microsecond:06d}".rstrip("0") if utc.microsecond else ""
    return utc.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"
