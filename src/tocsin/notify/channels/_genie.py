"""What Opsgenie and Jira Service Management share: the alert API both speak.

Sources: docs.opsgenie.com/docs/alert-api (message 130, alias 512, description 15000 characters; 202 with a requestId;
429 and 5xx may be tried again), developer.atlassian.com/cloud/jira/service-desk-ops, group "integration events"
(the same create, acknowledge and close, with an integration's key); for what comes back
support.atlassian.com/opsgenie/docs/opsgenie-edge-connector-alert-action-data (action, alert.alias, alert.username).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Literal

from tocsin.model.notification import Receipt
from tocsin.notify.contract import Message, ProviderEvent
from tocsin.notify.http import ask
from tocsin.notify.render import cut

_ACTIONS: dict[str, Literal["acknowledged", "released", "closed"]] = {
    "Acknowledge": "acknowledged",
    "UnAcknowledge": "released",
    "Close": "closed",
}
MESSAGE_CHARS, DESCRIPTION_CHARS, DETAIL_CHARS = 130, 15_000, 8000


def alias_of(message: Message) -> str:
    """The same for the same group of alerts: one alert there, closed by the same name."""
    return hashlib.sha256(message.notification.group_key.encode()).hexdigest()


def tell(api_url: str, api_key: str, message: Message, alert: dict[str, Any]) -> Receipt:
    """Opens or closes the alert. Raises DeliveryError."""
    url = f"{api_url.rstrip('/')}/v2/alerts"
    headers = {"authorization": f"GenieKey {api_key}"}
    alias = alias_of(message)
    if message.text.is_firing:
        answer = ask(message, "POST", url, json={"alias": alias, **alert}, headers=headers)
    else:
        over = {"source": "Tocsin", "note": cut(message.text.summary, 25_000)}
        answer = ask(message, "POST", f"{url}/{alias}/close?identifierType=alias", json=over, headers=headers)
    said = answer.json()
    return message.sent(alias, f"request {said.get('requestId', '')}".strip())


def acknowledge(api_url: str, api_key: str, message: Message) -> Receipt:
    """Tells it that somebody here has seen the alert. Raises DeliveryError."""
    url = f"{api_url.rstrip('/')}/v2/alerts/{alias_of(message)}/acknowledge?identifierType=alias"
    answer = ask(message, "POST", url, json={"source": "Tocsin"}, headers={"authorization": f"GenieKey {api_key}"})
    return message.sent(alias_of(message), f"request {answer.json().get('requestId', '')}")


def is_from_webhook(secret: str, authorization: str) -> bool:
    """Whether a request has the header that an administrator gave the webhook: it is all that tells it from others."""
    given = authorization.removeprefix("Bearer ").strip().encode("utf-8", "replace")
    return bool(secret) and hmac.compare_digest(secret.encode(), given)


def event_in(said: Any, provider: str) -> ProviderEvent | None:
    """What somebody did about an alert; None of actions that change nothing about who has it."""
    if not isinstance(said, dict) or not isinstance(alert := said.get("alert"), dict):
        return None
    what, alias = _ACTIONS.get(str(said.get("action", ""))), alert.get("alias")
    by = str(alert.get("username") or f"somebody at {provider}")[:320]
    return ProviderEvent(what, str(alias), by) if what and alias else None


def alert_of(message: Message, words: str, description: str, priority: str) -> dict[str, Any]:
    text, labels = message.text, message.notification.common_labels
    details = {**labels, **{link.label: link.url for link in text.links}}
    return {
        "message": cut(words, MESSAGE_CHARS),
        "description": cut(description, DESCRIPTION_CHARS),
        "details": {name: cut(value, DETAIL_CHARS // max(len(details), 1)) for name, value in details.items()},
        "priority": priority or f"P{text.severity + 1}",
        "source": "Tocsin",
        "entity": labels.get("service", ""),
    }
