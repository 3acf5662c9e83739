"""Slack: Block Kit by incoming webhook, or by chat.postMessage with a bot's token, which keeps a group in one thread.

Sources: docs.slack.dev/reference/block-kit (50 blocks; header 150, section 3000, button 75 characters),
docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (answers "ok" or 4xx with a word),
docs.slack.dev/reference/methods/chat.postMessage (answers 200 with "ok": false; thread_ts, reply_broadcast) and
docs.slack.dev/apis/web-api/rate-limits (one message a second and channel, 429 with Retry-After); for buttons that
Slack brings back to us docs.slack.dev/authentication/verifying-requests-from-slack and
docs.slack.dev/reference/interaction-payloads/block_actions-payload.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any, NamedTuple

from tocsin.model.delivery import Room
from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.channels._slack_api import LATER, called, opened
from tocsin.notify.contract import DeliveryError, Listed, Message, Origin, Pace
from tocsin.notify.http import ask, told
from tocsin.notify.render import Text, alert_line, cut

ALERTMANAGER = Origin(
    ("slack_configs", "mattermost_configs"),
    {"slack_api_url": "api_url", "slack_app_token": "app_token", "slack_app_url": "app_url"},
    renamed={"webhook_url": "api_url"},
    send_resolved=False,
    listed={
        "fields": Listed("title", ("value",), frozenset({"short"})),  # blocks have their own two columns
        "actions": Listed("text", ("url",), frozenset({"type"})),  # a button that leads somewhere
    },
)
PACE = Pace(1.0, burst=3)
HEADER_CHARS, SECTION_CHARS, BUTTON_CHARS, LISTED = 150, 3000, 75, 10
ALT_CHARS, URL_CHARS, MOST_BUTTONS = 2000, 3000, 25
ACKNOWLEDGE, RESOLVE, DECLARE, OLDEST_SECONDS = "acknowledge", "resolve", "declare", 300
COLORS = {"good": "#2e7d4f", "warning": "#b58105", "danger": "#b3261e"}
PRESSED = {"Acknowledge": ACKNOWLEDGE, "Declare": DECLARE}
STYLES = {"Acknowledge": "primary", "Silence": "danger"}


@dataclass(frozen=True)
class Settings:
    """A webhook, or a bot's token and the channel it writes to."""

    api_url: str = setting("", help="Incoming webhook, such as https://hooks.slack.com/services/…", secret=True)
    app_token: str = setting("", help="A bot's token (xoxb-…) with chat:write, instead of a webhook.", secret=True)
    app_url: str = setting("https://slack.com/api/chat.postMessage", help="Address of the method for bots.")
    channel: str = setting("", help="Channel (#oncall or its id); webhooks have one of their own.")
    signing_secret: str = setting(
        "",
        help="The app's signing secret: Acknowledge, Declare and Resolve are then done in Slack itself; needs the "
        "request URL <server>/api/v1/notify/slack/actions in the app's interactivity.",
        secret=True,
    )
    username: str = setting("", help="Name it writes under, where Slack allows that.")
    icon_emoji: str = setting("", help="Emoji as its picture, such as :rotating_light:.")
    icon_url: str = setting("", help="Picture beside the message.")
    title: str = setting("", help="Heading instead of ours.")
    text: str = setting("", help="Text instead of ours.")
    title_link: str = setting("", help="Where the heading leads, beside our own links.")
    pretext: str = setting("", help="Words above the message.")
    footer: str = setting("", help="Words below it.")
    fallback: str = setting("", help="What phones show, instead of our heading and sentence.")
    color: str = setting("", help="Its bar: good, warning, danger or such as #b3261e; unset: by severity.")
    fields: tuple[str, ...] = setting((), help='Facts instead of ours, as "Title=value".')
    actions: tuple[str, ...] = setting((), help='Buttons beside ours, as "Text=https://…".')
    image_url: str = setting("", help="Picture below the message; Slack fetches it.")
    thumb_url: str = setting("", help="Small picture beside the text.")

    @property
    def lacks(self) -> str:
        if self.app_token and not self.channel:
            return "channel"
        return "" if self.api_url or self.app_token else "api_url, or app_token and channel"


def send(settings: Settings, message: Message) -> Receipt:
    if not settings.app_token:
        return _by_webhook(settings, message)
    body = {**payload(settings, message), "channel": settings.channel}
    if message.reference:
        body["channel"], _, body["thread_ts"] = message.reference.partition(":")
        body["reply_broadcast"] = not message.text.is_firing
    said = called(message, settings.app_url, settings.app_token, body)
    thread = message.reference.partition(":")[2] or str(said.get("ts", ""))
    return message.sent(f"{said.get('channel', '')}:{thread}")


def open_room(settings: Settings, message: Message, user: str) -> Room | None:
    """A channel for an incident, with who declared it and the message in it; None where only a webhook is known."""
    if not settings.app_token:
        return None
    return opened(message, settings.app_url, settings.app_token, user, payload(settings, message))


def payload(settings: Settings, message: Message) -> dict[str, Any]:
    """The message in blocks; `text` is what notifications on phones show."""
    title = message.worded(settings.title, message.text.title)
    options = {"username": settings.username, "icon_emoji": settings.icon_emoji, "icon_url": settings.icon_url}
    return {
        "text": escaped(settings.fallback or f"{title}: {message.text.summary}"),
        "attachments": [{"color": _color(settings, message), "blocks": _blocks(settings, message, title)}],
        **{name: value for name, value in options.items() if value},
    }


def escaped(text: str) -> str:
    """Text in which Slack sees no mention, link or markup of its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _by_webhook(settings: Settings, message: Message) -> Receipt:
    body = payload(settings, message)
    if settings.channel:
        body["channel"] = settings.channel
    answer = ask(message, "POST", settings.api_url, json=body)
    if answer.text != "ok":
        said = told(answer.text) or "an empty answer"
        raise DeliveryError(f"Slack did not take it: {said}", retryable=answer.text in LATER)
    return message.sent(reason="ok")


def _blocks(settings: Settings, message: Message, title: str) -> list[dict[str, Any]]:
    text = message.text
    blocks: list[dict[str, Any]] = [
        *([_section(escaped(settings.pretext))] if settings.pretext else []),
        {
            "type": "header",
            "text": {"type": "plain_text", "text": cut(escaped(cut(title, 120)), HEADER_CHARS), "emoji": False},
        },
        _section(escaped(message.worded(settings.text, _body(text)))) | _beside(settings.thumb_url, title),
    ]
    own = tuple((heading, words) for heading, _, words in (pair.partition("=") for pair in settings.fields))
    facts = own or (() if settings.text else text.facts)
    if facts:
        fields = [_markdown(cut(f"*{escaped(heading)}*\n{escaped(words)}", 2000)) for heading, words in facts[:10]]
        blocks.append({"type": "section", "fields": fields})
    is_heard = bool(settings.signing_secret)
    buttons = [
        _pressed(PRESSED[link.label], link.label, message.key)
        if is_heard and link.label in PRESSED
        else _button(link.label, link.url, place)
        for place, link in enumerate(text.links)
    ]
    if is_heard and text.is_firing:
        buttons.append(_pressed(RESOLVE, "Resolve", message.key) | {"confirm": _SURE})
    if _is_url(settings.title_link):
        buttons.append(_button("More", settings.title_link, len(buttons)))
    for pair in settings.actions:
        words, _, url = pair.partition("=")
        if _is_url(url):
            buttons.append(_button(words, url, len(buttons)))
    if _is_url(settings.image_url):
        blocks.append({"type": "image", "image_url": settings.image_url, "alt_text": cut(title, ALT_CHARS)})
    if buttons:
        blocks.append({"type": "actions", "elements": buttons[:MOST_BUTTONS]})
    if settings.footer:
        blocks.append({"type": "context", "elements": [_markdown(cut(escaped(settings.footer), 2000))]})
    return blocks


def _beside(url: str, title: str) -> dict[str, Any]:
    picture = {"type": "image", "image_url": url, "alt_text": cut(title, ALT_CHARS)}
    return {"accessory": picture} if _is_url(url) else {}


def _is_url(text: str) -> bool:
    """Slack refuses a whole message for one address that is none or too long."""
    return text.startswith(("http://", "https://")) and len(text) <= URL_CHARS


def _color(settings: Settings, message: Message) -> str:
    return COLORS.get(settings.color, settings.color) or message.text.color


def is_from_slack(signing_secret: str, timestamp: str, body: bytes, signature: str, now: float) -> bool:
    """Whether a request was signed with this secret within the last five minutes."""
    if not signing_secret or not timestamp.isascii() or not timestamp.isdigit():
        return False
    if abs(now - int(timestamp)) > OLDEST_SECONDS:
        return False
    signed = b"v0:" + timestamp.encode() + b":" + body
    expected = "v0=" + hmac.digest(signing_secret.encode(), signed, "sha256").hex()
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


class Pressed(NamedTuple):
    """A button that somebody pressed: acknowledge, resolve or declare; the notification's key; who, and their id."""

    what: str
    key: str
    by: str
    user: str


def pressed_in(payload: dict[str, Any]) -> Pressed | None:
    """None of anything else."""
    user = payload.get("user") or {}
    id = str(user.get("id") or "")
    by = str(user.get("name") or user.get("username") or id or "somebody at Slack")
    known = (ACKNOWLEDGE, RESOLVE, DECLARE)
    pressed = [one for one in payload.get("actions") or [] if one.get("action_id") in known]
    if payload.get("type") != "block_actions" or not pressed:
        return None
    return Pressed(str(pressed[0]["action_id"]), str(pressed[0].get("value", "")), by, id)


def _pressed(action: str, label: str, key: str) -> dict[str, Any]:
    """A button that Slack brings back to us."""
    button = {"type": "button", "text": {"type": "plain_text", "text": label}, "action_id": action, "value": key}
    return {**button, "style": STYLES[label]} if label in STYLES else button


_SURE = {
    "title": {"type": "plain_text", "text": "Is it over?"},
    "text": {"type": "plain_text", "text": "These alerts are ended by hand and come back only when they fire anew."},
    "confirm": {"type": "plain_text", "text": "Resolve"},
    "deny": {"type": "plain_text", "text": "Not yet"},
}


def _body(text: Text) -> str:
    lines = [text.summary]
    if len(text.alerts) > 1:
        lines += [alert_line(alert) for alert in text.alerts[:LISTED]]
    left = text.left_out + max(0, len(text.alerts) - LISTED)
    return "\n".join([*lines, f"and {left} more"] if left else lines)


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _markdown(cut(text, SECTION_CHARS))}


def _markdown(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def _button(label: str, url: str, place: int) -> dict[str, Any]:
    button = {
        "type": "button",
        "text": {"type": "plain_text", "text": cut(label, BUTTON_CHARS)},
        "url": url,
        "action_id": f"open_{place}",
    }
    return {**button, "style": STYLES[label]} if label in STYLES else button
