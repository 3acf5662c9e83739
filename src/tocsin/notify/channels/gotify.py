"""Gotify: a push to phones and browsers through a server of one's own.

Source: gotify.net/api-docs (POST /message with X-Gotify-Key; priority 0 to 10; extras for click and Markdown).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.contract import Message, Pace, missing
from tocsin.notify.http import ask

PACE = Pace(0.2, burst=20)
PRIORITIES = (10, 9, 7, 5, 2)  # of P0 to P4


@dataclass(frozen=True)
class Settings:
    """The server and the application that writes."""

    url: str = setting("", help="The Gotify server.")
    token: str = setting("", help="The application's token.", secret=True)

    @property
    def lacks(self) -> str:
        return missing(url=self.url, token=self.token)


def send(settings: Settings, message: Message) -> Receipt:
    url = f"{settings.url.rstrip('/')}/message"
    said = ask(message, "POST", url, json=payload(message), headers={"x-gotify-key": settings.token}).json()
    return message.sent(str(said.get("id", "")))


def payload(message: Message) -> dict[str, Any]:
    text = message.text
    made: dict[str, Any] = {
        "title": text.title,
        "message": text.plain,
        "priority": PRIORITIES[text.severity] if text.is_firing else 4,
    }
    if text.page_url:
        made["extras"] = {"client::notification": {"click": {"url": text.page_url}}}
    return made
