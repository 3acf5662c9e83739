"""PagerDuty by Events API v2: one incident a group of alerts, resolved when they are over.

Source: developer.pagerduty.com/docs/events-api-v2 (routing_key of 32 characters, dedup_key 255, summary 1024, event
512 KB; 202 with status "success"; 400 is final, 429 and 5xx are not). With Alertmanager's older `service_key` the
routing key is the same integration's.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.model.severity import Severity
from tocsin.notify.contract import DeliveryError, Message, Origin, Pace, ProviderEvent
from tocsin.notify.http import ask, told
from tocsin.notify.render import cut

ALERTMANAGER = Origin(("pagerduty_configs",), {"pagerduty_url": "url"})
PACE = Pace(0.5, burst=30)
SUMMARY_CHARS, DEDUP_CHARS, LARGEST_BYTES = 1024, 255, 512_000
SEVERITIES = {
    Severity.P0: "critical",
    Severity.P1: "critical",
    Severity.P2: "error",
    Severity.P3: "warning",
    Severity.P4: "info",
}
_EVENTS: dict[str, Literal["acknowledged", "released", "closed"]] = {
    "incident.acknowledged": "acknowledged",
    "incident.unacknowledged": "released",  # also by itself, when nobody resolved it in time
    "incident.reopened": "released",
    "incident.resolved": "closed",
}


@dataclass(frozen=True)
class Settings:
    """The integration of a service."""

    routing_key: str = setting("", help="Integration key of a service (Events API v2).", secret=True)
    service_key: str = setting("", help="The same, as older configurations call it.", secret=True)
    url: str = setting("https://events.pagerduty.com/v2/enqueue", help="Address of the Events API.")
    description: str = setting("", help="Summary instead of ours.")
    severity: str = setting("", help="critical, error, warning or info instead of the alert's own.")
    source: str = setting("", help="What is affected, instead of the group's service or instance.")
    client: str = setting("Tocsin", help="Name shown as the sender.")
    client_url: str = setting("", help="Where the sender's name leads, instead of the group's page.")
    component: str = setting("", help="Part of the source that is affected.")
    group: str = setting("", help="Cluster or group of sources.")
    details: tuple[str, ...] = setting((), help='Further details as "Name=value".')
    signing_secret: str = setting(
        "",
        help="Secret of a webhook subscription (V3) to <server>/api/v1/notify/pagerduty/events: who acknowledges at "
        "PagerDuty has acknowledged here, and who lets go of it there has let go of it here.",
        secret=True,
    )

    @property
    def lacks(self) -> str:
        return "" if self.routing_key or self.service_key else "routing_key"


def send(settings: Settings, message: Message) -> Receipt:
    return _enqueue(settings, message, event(settings, message))


def acknowledge(settings: Settings, message: Message) -> Receipt:
    """Tell PagerDuty that somebody here has seen it."""
    key = {"routing_key": settings.routing_key or settings.service_key, "dedup_key": dedup_key(message)}
    return _enqueue(settings, message, {**key, "event_action": "acknowledge"})


def is_from_pagerduty(signing_secret: str, body: bytes, signatures: str) -> bool:
    """Whether a request has a signature of this secret; there may be several while it is changed.

    Source: developer.pagerduty.com/docs/verifying-webhook-signatures.
    """
    if not signing_secret:
        return False
    expected = f"v1={hmac.digest(signing_secret.encode(), body, 'sha256').hex()}".encode()
    given = (one.strip().encode("utf-8", "replace") for one in signatures.split(","))
    return any(hmac.compare_digest(expected, one) for one in given)


def event_in(said: Any) -> ProviderEvent | None:
    """What happened to an incident; None of events that change nothing about who has it.

    Source: developer.pagerduty.com/docs/webhooks-overview: event_type, agent, and data.incident_key, which is the
    deduplication key.
    """
    event = said.get("event") if isinstance(said, dict) else None
    what = _EVENTS.get(str(event.get("event_type", ""))) if isinstance(event, dict) else None
    if not isinstance(event, dict) or what is None:
        return None
    data, agent = event.get("data"), event.get("agent")
    key = data.get("incident_key") if isinstance(data, dict) else None
    by = agent.get("summary") if isinstance(agent, dict) else None
    return ProviderEvent(what, str(key), str(by or "somebody at PagerDuty")[:320]) if key else None


def event(settings: Settings, message: Message) -> dict[str, Any]:
    text, notification = message.text, message.notification
    made: dict[str, Any] = {
        "routing_key": settings.routing_key or settings.service_key,
        "event_action": "trigger" if text.is_firing else "resolve",
        "dedup_key": dedup_key(message),
        "client": settings.client,
        "client_url": settings.client_url or text.page_url,
        "links": [{"href": link.url, "text": link.label} for link in text.links],
    }
    summary = message.worded(settings.description, f"{text.title}: {text.summary}")
    labels = notification.common_labels
    made["payload"] = {
        "summary": cut(summary, SUMMARY_CHARS),
        "source": settings.source or labels.get("service") or labels.get("instance") or labels.get("job") or "tocsin",
        "severity": message.worded(settings.severity, SEVERITIES[text.severity]),
        "timestamp": min((one.starts_at for one in notification.alerts), default=message.now).isoformat(),
        "component": settings.component,
        "group": settings.group,
        "class": labels.get("alertname", ""),
        "custom_details": _details(settings, message),
    }
    made["payload"] = {name: value for name, value in made["payload"].items() if value}
    return {name: value for name, value in made.items() if value}


def dedup_key(message: Message) -> str:
    """The same for the same group of alerts, so that what is told again is one incident."""
    return hashlib.sha256(message.notification.group_key.encode()).hexdigest()


def _details(settings: Settings, message: Message) -> dict[str, Any]:
    own = dict(pair.partition("=")[::2] for pair in settings.details)
    return {
        **{heading.lower(): words for heading, words in message.text.facts},
        "alerts": message.text.plain,
        "labels": message.notification.common_labels,
        **{name: message.worded(value, value) for name, value in own.items()},
    }


def _enqueue(settings: Settings, message: Message, event: dict[str, Any]) -> Receipt:
    if len(orjson.dumps(event)) > LARGEST_BYTES:
        event["payload"]["custom_details"] = {"alerts": "too many to list here; see the group's page"}
    answer = ask(message, "POST", settings.url, json=event)
    said = answer.json()
    if said.get("status") != "success":
        raise DeliveryError(f"PagerDuty did not take it: {told(str(said.get('message') or said))}", retryable=False)
    return message.sent(str(said.get("dedup_key") or event["dedup_key"]), told(str(said.get("message", ""))))
