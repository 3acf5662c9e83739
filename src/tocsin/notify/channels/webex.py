"""Webex: a bot writes to a room.

Source: developer.webex.com/docs/api/v1/messages (roomId, markdown of 7439 bytes; 429 with Retry-After).
"""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.contract import Message, Origin, Pace, missing
from tocsin.notify.http import ask
from tocsin.notify.render import cut_bytes

ALERTMANAGER = Origin(("webex_configs",), {"webex_api_url": "api_url"})
PACE = Pace(1.0, burst=5)
MARKDOWN_BYTES = 7439


@dataclass(frozen=True)
class Settings:
    """The bot and its room."""

    room_id: str = setting("", help="Room it writes to.")
    bot_token: str = setting("", help="The bot's token; Alertmanager has it in http_config.authorization.", secret=True)
    api_url: str = setting("https://webexapis.com/v1/messages", help="Address of the API.")
    message: str = setting("", help="Text instead of ours.")

    @property
    def lacks(self) -> str:
        return missing(room_id=self.room_id)


def send(settings: Settings, message: Message) -> Receipt:
    text = message.text
    links = " · ".join(f"[{link.label}]({link.url})" for link in text.links)
    ours = f"**{text.title}**\n\n{text.short}\n\n{links}"
    body = {"roomId": settings.room_id, "markdown": cut_bytes(message.worded(settings.message, ours), MARKDOWN_BYTES)}
    headers = {"authorization": f"Bearer {settings.bot_token}"} if settings.bot_token else {}
    return message.sent(str(ask(message, "POST", settings.api_url, json=body, headers=headers).json().get("id", "")))
