"""Slack's Web API with a bot's token: one method called, and a channel made for an incident.

Sources: docs.slack.dev/reference/methods/conversations.create (channels:manage; at most 80 lowercase letters, digits,
hyphens and underscores; name_taken), conversations.invite, conversations.setTopic (250 characters), chat.postMessage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tocsin.model.delivery import Room
from tocsin.notify.contract import DeliveryError, Message
from tocsin.notify.http import ask, told
from tocsin.notify.render import cut

LATER = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout",
     "team_added_to_org", "ekm_access_denied"}
)  # fmt: skip
NAME_CHARS, TOPIC_CHARS, MOST_NAMES = 80, 250, 9
NAME_TAKEN = "name_taken"


def called(message: Message, url: str, token: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What a method answers. Raises DeliveryError, also where Slack answers 200 with an error inside."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json; charset=utf-8"}
    said = ask(message, "POST", url, json=body, headers=headers).json()
    if not said.get("ok"):
        error = str(said.get("error", "unknown_error"))
        raise DeliveryError(f"Slack answered {told(error)}", retryable=error in LATER)
    return said


def opened(message: Message, post_url: str, token: str, user: str, posted: Mapping[str, Any]) -> Room:
    """A new channel with the message and who declared it, named in the message's thread. Raises DeliveryError when
    there is no channel; what fails after that is the room's problem."""
    api = post_url.rpartition("/")[0]
    room = _created(message, f"{api}/conversations.create", token)
    id, topic = room["id"], cut(message.text.title, TOPIC_CHARS)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("conversations.setTopic", {"channel": id, "topic": topic}),
        ("chat.postMessage", {**posted, "channel": id}),
    ]
    if user:
        steps.insert(0, ("conversations.invite", {"channel": id, "users": user}))
    if message.reference:
        where, _, thread = message.reference.partition(":")
        words = f"{f'<@{user}> declared' if user else 'This was declared'} an incident: <#{id}>"
        steps.append(("chat.postMessage", {"channel": where, "thread_ts": thread, "text": words}))
    problems = []
    for method, body in steps:
        try:
            called(message, post_url if method == "chat.postMessage" else f"{api}/{method}", token, body)
        except DeliveryError as error:
            problems.append(f"{method}: {error.reason}")
    return Room("slack", f"#{room['name']}", f"https://slack.com/app_redirect?channel={id}", "; ".join(problems))


def _created(message: Message, url: str, token: str) -> dict[str, str]:
    """id and name of the new channel; another name where there is one of this already."""
    notification = message.notification
    name = notification.common_labels.get("alertname") or notification.alerts[0].name
    words = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    base = f"inc-{notification.made_at:%Y%m%d-%H%M}-{words}"[: NAME_CHARS - 2].rstrip("-")
    for number in range(1, MOST_NAMES):
        asked = base if number == 1 else f"{base}-{number}"
        try:
            made = called(message, url, token, {"name": asked, "is_private": False})["channel"]
        except DeliveryError as error:
            if NAME_TAKEN not in error.reason:
                raise
        else:
            return {"id": str(made["id"]), "name": str(made.get("name") or asked)}
    raise DeliveryError(f"Slack has {MOST_NAMES - 1} channels named {base} already", retryable=False)
