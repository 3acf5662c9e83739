"""Microsoft Teams: an Adaptive Card to the webhook of a workflow ("When a Teams webhook request is received").

Sources: learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using (a message with
attachments of application/vnd.microsoft.card.adaptive; 28 KB; four requests a second), adaptivecards.io/explorer
(version 1.4: TextBlock, FactSet, Action.OpenUrl). The retired Office 365 connectors take the same card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.contract import DeliveryError, Message, Origin, Pace, missing
from tocsin.notify.http import ask, told
from tocsin.notify.render import alert_line, cut

ALERTMANAGER = Origin(("msteamsv2_configs", "msteams_configs"))
PACE = Pace(1.0, burst=4)
LARGEST_BYTES = 27 * 1024
LISTED = 10


@dataclass(frozen=True)
class Settings:
    """The workflow that posts to a team's channel."""

    webhook_url: str = setting("", help="Address of the workflow's webhook.", secret=True)
    title: str = setting("", help="Heading instead of ours.")
    summary: str = setting("", help="What a phone's notification says, instead of ours.")
    text: str = setting("", help="Text instead of ours.")

    @property
    def lacks(self) -> str:
        return missing(webhook_url=self.webhook_url)


def send(settings: Settings, message: Message) -> Receipt:
    answer = ask(message, "POST", settings.webhook_url, content=body(settings, message), headers=JSON)
    # Connectors answer 200 with "1", or with the error that a service behind them gave.
    if answer.status == 200 and "error" in answer.text.lower():
        is_busy = "429" in answer.text
        raise DeliveryError(f"Teams did not take it: {told(answer.text)}", retryable=is_busy)
    return message.sent(reason=f"it answered {answer.status}")


JSON = {"content-type": "application/json"}


def body(settings: Settings, message: Message) -> bytes:
    """The request, with as many alerts as fit."""
    for listed in (LISTED, 3, 0):
        made = orjson.dumps(card(settings, message, listed))
        if len(made) <= LARGEST_BYTES:
            return made
    raise DeliveryError("the card is larger than the 28 KB Teams takes; shorten the annotations", retryable=False)


def card(settings: Settings, message: Message, listed: int = LISTED) -> dict[str, Any]:
    text = message.text
    title = message.worded(settings.title, text.title)
    color = "Good" if not text.is_firing else "Attention" if text.severity <= 2 else "Warning"
    blocks: list[dict[str, Any]] = [
        _text(title, size="Large", weight="Bolder", color=color),
        _text(cut(message.worded(settings.text, text.summary), 5000)),
        {"type": "FactSet", "facts": [{"title": name, "value": cut(words, 2000)} for name, words in text.facts]},
    ]
    if len(text.alerts) > 1 and listed:
        lines = [alert_line(alert) for alert in text.alerts[:listed]]
        left = text.left_out + len(text.alerts) - len(lines)
        blocks.append(_text(cut("\n".join([*lines, f"- and {left} more"] if left else lines), 10_000)))
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "fallbackText": cut(message.worded(settings.summary, f"{title}: {text.summary}"), 1000),
        "body": blocks,
        "actions": [{"type": "Action.OpenUrl", "title": link.label, "url": link.url} for link in text.links[:6]],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


def _text(text: str, **more: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, "wrap": True, **more}
