"""Jira Service Management's operations: one alert a group, closed when it is over.

Source: developer.atlassian.com/cloud/jira/service-desk-ops/rest/v1/api-group-integration-events; see _genie.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.channels import _genie
from tocsin.notify.contract import Message, Pace, missing

PACE = Pace(0.2, burst=20)


@dataclass(frozen=True)
class Settings:
    """The API integration of a team."""

    api_key: str = setting("", help="Key of an API integration (Operations, Integrations).", secret=True)
    api_url: str = setting("https://api.atlassian.com/jsm/ops/integration", help="Address of the integration events.")
    message: str = setting("", help="Heading instead of ours.")
    description: str = setting("", help="Text instead of ours.")
    tags: tuple[str, ...] = setting((), help="Tags of every alert.")

    webhook_secret: str = setting(
        "",
        help="What an outgoing webhook to <server>/api/v1/notify/jsm/events has as its header Authorization, "
        "after 'Bearer '; then who acknowledges there has acknowledged here.",
        secret=True,
    )

    @property
    def lacks(self) -> str:
        return missing(api_key=self.api_key)


def send(settings: Settings, message: Message) -> Receipt:
    words = message.worded(settings.message, message.text.title)
    alert = _genie.alert_of(message, words, message.worded(settings.description, message.text.plain), "")
    return _genie.tell(settings.api_url, settings.api_key, message, {**alert, "tags": list(settings.tags)})


def acknowledge(settings: Settings, message: Message) -> Receipt:
    """Tell Jira Service Management that somebody here has seen it."""
    return _genie.acknowledge(settings.api_url, settings.api_key, message)
