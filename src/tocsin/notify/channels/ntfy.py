"""ntfy: a push to phones through ntfy.sh or a server of one's own, also as UnifiedPush without a vendor's cloud.

Source: docs.ntfy.sh/publish (JSON to the server's root; priority 1 to 5; message 4096 bytes; three actions at most).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.contract import Message, Pace, missing
from tocsin.notify.http import ask
from tocsin.notify.render import cut, cut_bytes

PACE = Pace(5.0, burst=30)
PRIORITIES = (5, 5, 4, 3, 2)  # of P0 to P4
MESSAGE_BYTES, TITLE_CHARS, ACTIONS = 4096, 250, 3


@dataclass(frozen=True)
class Settings:
    """The topic that phones subscribe to."""

    url: str = setting("https://ntfy.sh", help="The ntfy server.")
    topic: str = setting("", help="Topic; whoever knows it reads along, unless the server asks who it is.", secret=True)
    token: str = setting("", help="Access token (tk_…), where the server asks for one.", secret=True)
    tags: tuple[str, ...] = setting((), help="Tags, of which some are shown as emoji.")

    @property
    def lacks(self) -> str:
        return missing(topic=self.topic)


def send(settings: Settings, message: Message) -> Receipt:
    headers = {"authorization": f"Bearer {settings.token}"} if settings.token else {}
    said = ask(message, "POST", settings.url.rstrip("/") + "/", json=payload(settings, message), headers=headers).json()
    return message.sent(str(said.get("id", "")))


def payload(settings: Settings, message: Message) -> dict[str, Any]:
    text = message.text
    state = "rotating_light" if text.is_firing else "white_check_mark"
    made: dict[str, Any] = {
        "topic": settings.topic,
        "title": cut(text.title, TITLE_CHARS),
        "message": cut_bytes(text.short, MESSAGE_BYTES),
        "priority": PRIORITIES[text.severity] if text.is_firing else 3,
        "tags": [state, *settings.tags],
    }
    if text.links:
        made["click"] = text.page_url
        made["actions"] = [{"action": "view", "label": one.label, "url": one.url} for one in text.links[:ACTIONS]]
    return made
