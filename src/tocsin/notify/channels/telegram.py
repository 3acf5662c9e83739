"""Telegram: a bot writes to a chat or to a topic of a group.

Source: core.telegram.org/bots/api#sendmessage (text 4096 characters after parsing; {"ok": true, "result": …}, errors
with error_code and parameters.retry_after) and core.telegram.org/bots/faq (one message a second and chat).
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.contract import DeliveryError, Message, Origin, Pace, missing
from tocsin.notify.http import ask, told
from tocsin.notify.render import cut

ALERTMANAGER = Origin(("telegram_configs",), {"telegram_api_url": "api_url", "telegram_bot_token": "bot_token"})
PACE = Pace(3.0, burst=5)
TEXT_CHARS = 4096


@dataclass(frozen=True)
class Settings:
    """The bot and the chat it writes to."""

    bot_token: str = setting("", help="The bot's token, from @BotFather.", secret=True)
    chat_id: str = setting("", help="Chat it writes to: a number, or @name of a channel.")
    message_thread_id: int | None = setting(None, help="Topic of a group with topics.")
    api_url: str = setting("https://api.telegram.org", help="Address of the API.")
    message: str = setting("", help="Text instead of ours.")
    parse_mode: str = setting("HTML", help="How a text of one's own is marked up: HTML, MarkdownV2 or Markdown.")
    disable_notifications: bool = setting(False, help="Send without a sound.")

    @property
    def lacks(self) -> str:
        return missing(bot_token=self.bot_token, chat_id=self.chat_id)


def send(settings: Settings, message: Message) -> Receipt:
    url = f"{settings.api_url.rstrip('/')}/bot{settings.bot_token}/sendMessage"
    said = ask(message, "POST", url, json=payload(settings, message)).json()
    if not said.get("ok"):
        raise DeliveryError(f"Telegram did not take it: {told(str(said.get('description')))}", retryable=False)
    return message.sent(str((said.get("result") or {}).get("message_id", "")))


def payload(settings: Settings, message: Message) -> dict[str, Any]:
    text = message.text
    ours = f"<b>{html.escape(text.title)}</b>\n{html.escape(cut(text.short, 3000))}"
    buttons = [{"text": link.label, "url": link.url} for link in text.links]
    made: dict[str, Any] = {
        "chat_id": settings.chat_id,
        "text": cut(message.worded(settings.message, ours), TEXT_CHARS),
        "parse_mode": settings.parse_mode if settings.message else "HTML",
        "disable_notification": settings.disable_notifications,
        "link_preview_options": {"is_disabled": True},
    }
    if settings.message_thread_id is not None:
        made["message_thread_id"] = settings.message_thread_id
    if buttons:
        made["reply_markup"] = {"inline_keyboard": [buttons[place : place + 3] for place in range(0, len(buttons), 3)]}
    return made
