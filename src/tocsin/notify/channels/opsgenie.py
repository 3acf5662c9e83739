"""Opsgenie, until its end on 5 April 2027: one alert a group, closed when it is over. Then use jsm.

Sources: docs.opsgenie.com/docs/alert-api and, for its end, Atlassian's announcement; see _genie.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.channels import _genie
from tocsin.notify.contract import Listed, Message, Origin, Pace, missing

ALERTMANAGER = Origin(
    ("opsgenie_configs",),
    {"opsgenie_api_key": "api_key", "opsgenie_api_url": "api_url"},
    listed={"responders": Listed("type", ("id", "name", "username"))},
)
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
    responders: tuple[str, ...] = setting(
        (), help='Who is called: "team.name=exports", "user.username=ada@acme.example", "schedule.id=…".'
    )
    details: tuple[str, ...] = setting((), help='More details, as "name=value".')
    entity: str = setting("", help="What it is about, instead of the service.")
    source: str = setting("", help="Who says it, instead of Tocsin.")
    note: str = setting("", help="Note on the alert.")
    actions: tuple[str, ...] = setting((), help="Custom actions of the alert, by name.")

    webhook_secret: str = setting(
        "",
        help="What an outgoing webhook to <server>/api/v1/notify/opsgenie/events has as its header Authorization, "
        "after 'Bearer '; then who acknowledges there has acknowledged here.",
        secret=True,
    )

    @property
    def lacks(self) -> str:
        return missing(api_key=self.api_key)


def send(settings: Settings, message: Message) -> Receipt:
    words = message.worded(settings.message, message.text.title)
    description = message.worded(settings.description, message.text.plain)
    alert = _genie.alert_of(message, words, description, message.worded(settings.priority, ""))
    details = alert["details"] | dict(pair.partition("=")[::2] for pair in settings.details)
    own = {"entity": settings.entity, "source": settings.source, "note": settings.note}
    lists = {"tags": settings.tags, "actions": settings.actions, "responders": responders(settings.responders)}
    more = {name: list(value) if name in lists else value for name, value in (own | lists).items() if value}
    return _genie.tell(settings.api_url, settings.api_key, message, {**alert, "details": details, **more})


def responders(said: tuple[str, ...]) -> list[dict[str, str]]:
    """Each with its type and one of id, name and username; a team without a word is meant by name."""
    made = []
    for pair in said:
        place, _, value = pair.partition("=")
        kind, _, key = place.partition(".")
        if value:
            made.append({"type": kind, key or "name": value})
    return made


def acknowledge(settings: Settings, message: Message) -> Receipt:
    """Tell Opsgenie that somebody here has seen it."""
    return _genie.acknowledge(settings.api_url, settings.api_key, message)
