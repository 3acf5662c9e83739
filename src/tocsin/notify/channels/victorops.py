"""Splunk On-Call (VictorOps): one incident a group, recovered when it is over.

Source: help.victorops.com/knowledge-base/rest-endpoint-integration-guide (message_type CRITICAL, WARNING, INFO or
RECOVERY; entity_id names the incident; {"result": "success"}).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.model.severity import Severity
from tocsin.notify.contract import DeliveryError, Message, Origin, Pace, missing
from tocsin.notify.http import ask, told
from tocsin.notify.render import cut

ALERTMANAGER = Origin(("victorops_configs",), {"victorops_api_key": "api_key", "victorops_api_url": "api_url"})
PACE = Pace(0.5, burst=20)


@dataclass(frozen=True)
class Settings:
    """The REST endpoint of an account."""

    api_key: str = setting("", help="Key of the REST endpoint.", secret=True)
    api_url: str = setting(
        "https://alert.victorops.com/integrations/generic/20131114/alert/", help="Address of the REST endpoint."
    )
    routing_key: str = setting("", help="Routing key, which picks the team.")
    message_type: str = setting("", help="CRITICAL, WARNING or INFO instead of the severity's own.")
    entity_display_name: str = setting("", help="Heading instead of ours.")
    state_message: str = setting("", help="Text instead of ours.")
    monitoring_tool: str = setting("Tocsin", help="Name shown as the sender.")

    @property
    def lacks(self) -> str:
        return missing(api_key=self.api_key, routing_key=self.routing_key)


def send(settings: Settings, message: Message) -> Receipt:
    url = f"{settings.api_url.rstrip('/')}/{quote(settings.api_key)}/{quote(settings.routing_key)}"
    made = payload(settings, message)
    said = ask(message, "POST", url, json=made).json()
    if said.get("result") != "success":
        raise DeliveryError(f"Splunk On-Call did not take it: {told(str(said))}", retryable=False)
    return message.sent(str(said.get("entity_id") or made["entity_id"]))


def payload(settings: Settings, message: Message) -> dict[str, Any]:
    text = message.text
    usual = "CRITICAL" if text.severity <= Severity.P2 else "WARNING" if text.severity == Severity.P3 else "INFO"
    return {
        "message_type": message.worded(settings.message_type, usual) if text.is_firing else "RECOVERY",
        "entity_id": hashlib.sha256(message.notification.group_key.encode()).hexdigest(),
        "entity_display_name": cut(message.worded(settings.entity_display_name, text.title), 500),
        "state_message": cut(message.worded(settings.state_message, text.plain), 20_480),
        "monitoring_tool": settings.monitoring_tool,
    }
