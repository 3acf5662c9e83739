"""Opsgenie, until its end on 5 April 2027: one alert a group, closed when it is over. Then use jsm.

Sources: docs.opsgenie.com/docs/alert-api and, for its end, Atlassian's announcement; see _genie.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.channels import _genie
from tocsin.notify.contract import Message, Origin, Pace, missing

ALERTMANAGER = Origin(("opsgenie_configs",), {"opsgenie_api_key": "api_key", "opsgenie_api_url": "api_url"})
PACE = Pace(0.2, burst=20)


@dataclass(frozen=True)
class Settings:
    """The API integration of a team."""

    api_key: str = setting("", help="Key of an API integration.", secret=True)
    api_url: str = setting("https://api.opsgenie.com/", help="Address; https://api.eu.opsgenie.com/ in the EU.")
    message: str = setting("", help="Heading instead of ours.")
    description: str = setting("", help="Text instead of ours.")
    priority: str = setting("", help="P1 to P5 instead of the alert's own.")
    tags: tuple[str, ...] = setting((), help="Tags of every alert.")

    @property
    def lacks(self) -> str:
        return missing(api_key=self.api_key)


def send(settings: Settings, message: Message) -> Receipt:
    words = message.worded(settings.message, message.text.title)
    description = message.worded(settings.description, message.text.plain)
    alert = _genie.alert_of(message, words, description, message.worded(settings.priority, ""))
    return _genie.tell(settings.api_url, settings.api_key, message, {**alert, "tags": list(settings.tags)})


def acknowledge(settings: Settings, message: Message) -> Receipt:
    """Tell Opsgenie that somebody here has seen it."""
    return _genie.acknowledge(settings.api_url, settings.api_key, message)
