"""Pushover: a push to phones, which at the worst severity comes again until somebody acknowledges it.

Sources: pushover.net/api (message 1024, title 250, url 512, url_title 100 characters; priority 2 needs retry of at
least 30 and expire of at most 10800 seconds; "status": 1 when taken; 4xx must not be repeated, 5xx not within five
seconds) and pushover.net/api/receipts (a receipt says who acknowledged; not asked more often than each five seconds;
cancelled when the alert is over).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.contract import Acknowledged, DeliveryError, Message, Origin, Pace, missing
from tocsin.notify.http import Answer, ask, told
from tocsin.notify.render import cut

ALERTMANAGER = Origin(("pushover_configs",))
PACE = Pace(1.0, burst=5)
EMERGENCY, HIGH, NORMAL, LOW = 2, 1, 0, -1
PRIORITIES = (EMERGENCY, EMERGENCY, HIGH, NORMAL, LOW)  # of P0 to P4: critical, critical, high, medium, low
LONGEST_EXPIRY_SECONDS, SHORTEST_RETRY_SECONDS = 10_800, 30


@dataclass(frozen=True)
class Settings:
    """Who gets the push, from which application."""

    token: str = setting("", help="The application's API token.", secret=True)
    user_key: str = setting("", help="Key of the user or group that gets it.", secret=True)
    api_url: str = setting("https://api.pushover.net/1", help="Address of the API.")
    device: str = setting("", help="One device of theirs instead of all.")
    sound: str = setting("", help="Sound instead of their own choice.")
    priority: str = setting("", help="-2 to 2 instead of the severity's: 2 for P0 and P1, 1, 0, -1.")
    retry: float = setting(30.0, unit="seconds", help="Time until an emergency comes again; at least 30.")
    expire: float = setting(3600.0, unit="seconds", help="Time until it stops coming; at most three hours.")
    ttl: float = setting(0.0, unit="seconds", help="Time after which it is removed from the devices; 0 keeps it.")
    title: str = setting("", help="Heading instead of ours.")
    message: str = setting("", help="Text instead of ours.")
    url: str = setting("", help="Link instead of the group's page.")
    url_title: str = setting("", help="Words of that link.")
    html: bool = setting(False, help="The text is HTML.")
    monospace: bool = setting(False, help="Show the text in a monospaced font.")

    def __post_init__(self) -> None:
        if self.retry < SHORTEST_RETRY_SECONDS or not 0 < self.expire <= LONGEST_EXPIRY_SECONDS:
            raise ValueError("retry and expire are out of bounds; Pushover takes retry >= 30s and expire <= 3h")

    @property
    def lacks(self) -> str:
        return missing(token=self.token, user_key=self.user_key)


def send(settings: Settings, message: Message) -> Receipt:
    if not message.text.is_firing and message.reference:
        _cancel(settings, message)
    answer = ask(message, "POST", f"{settings.api_url}/messages.json", form=form(settings, message))
    said = _taken(answer)
    return message.sent(str(said.get("receipt", "")), f"request {said.get('request', '')}")


def acknowledged(settings: Settings, reference: str, message: Message) -> Acknowledged | None:
    """Who acknowledged the emergency that this receipt stands for; None while nobody has. Raises DeliveryError."""
    answer = ask(message, "GET", f"{settings.api_url}/receipts/{reference}.json?token={settings.token}")
    said = _taken(answer)
    if said.get("acknowledged") != 1:
        return None
    by = str(said.get("acknowledged_by_device") or said.get("acknowledged_by") or "Pushover")
    return Acknowledged(by, datetime.fromtimestamp(float(said.get("acknowledged_at") or 0), UTC))


def form(settings: Settings, message: Message) -> dict[str, str]:
    text = message.text
    priority = priority_of(settings, message)
    fields = {
        "token": settings.token,
        "user": settings.user_key,
        "title": cut(message.worded(settings.title, text.title), 250),
        "message": cut(message.worded(settings.message, text.short), 1024) or "-",
        "priority": str(priority),
        "timestamp": str(int(message.notification.made_at.timestamp())),
        "url": message.worded(settings.url, text.page_url),
        "url_title": cut(settings.url_title or "Open in Tocsin", 100),
        "device": settings.device,
        "sound": settings.sound,
        "html": "1" if settings.html else "",
        "monospace": "1" if settings.monospace and not settings.html else "",
        "ttl": str(int(settings.ttl)) if settings.ttl and priority < EMERGENCY else "",
    }
    if priority == EMERGENCY:
        fields |= {"retry": str(int(settings.retry)), "expire": str(int(settings.expire))}
    if not fields["url"] or len(fields["url"]) > 512:
        fields["url"] = fields["url_title"] = ""
    return {name: value for name, value in fields.items() if value}


def priority_of(settings: Settings, message: Message) -> int:
    """Pushover's priority; what is over wakes nobody."""
    own = message.worded(settings.priority, "").strip()
    if own and own.lstrip("-").isdigit() and -2 <= int(own) <= EMERGENCY:
        return int(own)
    usual = PRIORITIES[message.text.severity]
    return usual if message.text.is_firing else min(usual, NORMAL)


def _cancel(settings: Settings, message: Message) -> None:
    """An emergency that is over does not come again; one that has expired anyway needs no cancelling."""
    try:
        url = f"{settings.api_url}/receipts/{message.reference}/cancel.json"
        ask(message, "POST", url, form={"token": settings.token})
    except DeliveryError as error:
        if error.retryable:
            raise


def _taken(answer: Answer) -> dict[str, Any]:
    said = answer.json()
    if said.get("status") != 1:
        raise DeliveryError(f"Pushover did not take it: {told(str(said.get('errors') or said))}", retryable=False)
    return said
