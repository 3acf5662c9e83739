"""Rocket.Chat: a user with a token writes to a channel.

Source: developer.rocket.chat/apidocs/post-message (POST /api/v1/chat.postMessage with X-Auth-Token and X-User-Id;
{"success": true}).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.contract import DeliveryError, Message, Origin, Pace, missing
from tocsin.notify.http import ask, told
from tocsin.notify.render import cut

ALERTMANAGER = Origin(
    ("rocketchat_configs",),
    {"rocketchat_api_url": "api_url", "rocketchat_token": "token", "rocketchat_token_id": "token_id"},
    send_resolved=False,
)
PACE = Pace(1.0, burst=5)


@dataclass(frozen=True)
class Settings:
    """The server, the user and the channel."""

    api_url: str = setting("https://open.rocket.chat/", help="The Rocket.Chat server.")
    token: str = setting("", help="The user's personal access token.", secret=True)
    token_id: str = setting("", help="The user's id that belongs to it.", secret=True)
    channel: str = setting("", help="Channel (#oncall) or user (@ada) it writes to.")
    title: str = setting("", help="Heading instead of ours.")
    text: str = setting("", help="Text instead of ours.")

    @property
    def lacks(self) -> str:
        return missing(token=self.token, token_id=self.token_id, channel=self.channel)


def send(settings: Settings, message: Message) -> Receipt:
    url = f"{settings.api_url.rstrip('/')}/api/v1/chat.postMessage"
    headers = {"x-auth-token": settings.token, "x-user-id": settings.token_id}
    said = ask(message, "POST", url, json=payload(settings, message), headers=headers).json()
    if not said.get("success"):
        raise DeliveryError(f"Rocket.Chat did not take it: {told(str(said.get('error')))}", retryable=False)
    return message.sent(str((said.get("message") or {}).get("_id", "")))


def payload(settings: Settings, message: Message) -> dict[str, Any]:
    text = message.text
    attachment = {
        "title": message.worded(settings.title, text.title),
        "title_link": text.page_url,
        "text": cut(message.worded(settings.text, text.short), 4000),
        "color": text.color,
        "fields": [{"short": True, "title": link.label, "value": link.url} for link in text.links],
    }
    return {"channel": settings.channel, "text": "", "attachments": [attachment]}
