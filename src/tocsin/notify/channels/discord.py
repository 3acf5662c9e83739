"""Discord: an embed to a channel's webhook.

Source: discord.com/developers/docs/resources/webhook#execute-webhook (wait=true answers with the message; content 2000,
embed title 256, description 4096 characters, 25 fields) and …/topics/rate-limits (429 with Retry-After).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.contract import Message, Origin, Pace, missing
from tocsin.notify.http import ask
from tocsin.notify.render import alert_line, cut

ALERTMANAGER = Origin(("discord_configs",))
PACE = Pace(2.0, burst=5)


@dataclass(frozen=True)
class Settings:
    """The webhook of a channel."""

    webhook_url: str = setting("", help="The webhook's address.", secret=True)
    title: str = setting("", help="Heading instead of ours.")
    message: str = setting("", help="Text instead of ours.")
    content: str = setting("", help="Words above the embed; mentions in it ring.")
    username: str = setting("Tocsin", help="Name it writes under.")
    avatar_url: str = setting("", help="Picture beside the message.")

    @property
    def lacks(self) -> str:
        return missing(webhook_url=self.webhook_url)


def send(settings: Settings, message: Message) -> Receipt:
    separator = "&" if "?" in settings.webhook_url else "?"
    said = ask(message, "POST", f"{settings.webhook_url}{separator}wait=true", json=payload(settings, message)).json()
    return message.sent(str(said.get("id", "")))


def payload(settings: Settings, message: Message) -> dict[str, Any]:
    text = message.text
    lines = [text.summary, *(alert_line(one) for one in text.alerts if len(text.alerts) > 1)]
    links = " · ".join(f"[{link.label}]({link.url})" for link in text.links)
    embed = {
        "title": cut(message.worded(settings.title, text.title), 256),
        "description": cut(message.worded(settings.message, "\n".join(lines)), 3000) + (f"\n\n{cut(links, 1000)}"),
        "color": int(text.color[1:], 16),
        "fields": [{"name": name, "value": cut(words, 1024)} for name, words in text.facts if words][:25],
        "timestamp": message.notification.made_at.isoformat(),
    }
    if text.page_url:
        embed["url"] = text.page_url
    own = {"content": cut(message.worded(settings.content, ""), 2000), "avatar_url": settings.avatar_url}
    # What alerts say must not ring everybody; only words of the administrator's own may.
    allowed = {"parse": ["users", "roles", "everyone"] if settings.content else []}
    made = {"username": settings.username, "embeds": [embed], "allowed_mentions": allowed}
    return {**made, **{name: value for name, value in own.items() if value}}
