"""Every HTTP channel with settings that lead to a local receiver, and what its provider answers to a good request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.notify.providers import NOW, Told

from tocsin.model.notification import Notification
from tocsin.notify.contract import Message, channels
from tocsin.notify.render import text_of

TOPIC = "arn:aws:sns:eu-central-1:123456789012:oncall"
SECRET = "acme-secret-0123456789abcdefghijkl"


@dataclass(frozen=True)
class Wired:
    """settings(url) of a channel, and the answer by which its provider says it took the message."""

    settings: Callable[[str], dict[str, Any]]
    good: Told


def _json(body: Any, status: int = 200) -> Told:
    return Told(status, body, {"content-type": "application/json"})


WIRED = {
    "alertmanager": Wired(lambda url: {"urls": (url,)}, Told(200, b"")),
    "discord": Wired(lambda url: {"webhook_url": f"{url}/api/webhooks/1/{SECRET}"}, _json({"id": "77"})),
    "gotify": Wired(lambda url: {"url": url, "token": SECRET}, _json({"id": 25})),
    "jira": Wired(
        lambda url: {"api_url": f"{url}/rest/api/2", "project": "OPS", "issue_type": "Bug", "api_token": SECRET},
        _json({"key": "OPS-7", "issues": []}),
    ),
    "jsm": Wired(lambda url: {"api_url": url, "api_key": SECRET}, _json({"result": "…", "requestId": "r-1"}, 202)),
    "msteams": Wired(lambda url: {"webhook_url": f"{url}/workflows/{SECRET}"}, Told(202, b"")),
    "ntfy": Wired(lambda url: {"url": url, "topic": "alerts", "token": SECRET}, _json({"id": "sPs71M8A2T"})),
    "opsgenie": Wired(lambda url: {"api_url": url, "api_key": SECRET}, _json({"result": "…", "requestId": "r-1"}, 202)),
    "pagerduty": Wired(
        lambda url: {"url": f"{url}/v2/enqueue", "routing_key": SECRET},
        _json({"status": "success", "message": "Event processed", "dedup_key": "d-1"}, 202),
    ),
    "pushover": Wired(
        lambda url: {"api_url": f"{url}/1", "token": SECRET, "user_key": "u" * 30},
        _json({"status": 1, "request": "q-1", "receipt": "rcpt30"}),
    ),
    "rocketchat": Wired(
        lambda url: {"api_url": url, "token": SECRET, "token_id": "id", "channel": "#oncall"},
        _json({"success": True, "message": {"_id": "m1"}}),
    ),
    "slack": Wired(lambda url: {"api_url": f"{url}/services/{SECRET}"}, Told(200, b"ok")),
    "sms": Wired(
        lambda url: {"api_url": url, "account_sid": "AC1", "auth_token": SECRET, "sender": "+491", "to": ("+492",)},
        _json({"sid": "SM1"}, 201),
    ),
    "sns": Wired(
        lambda url: {"api_url": f"{url}/", "topic_arn": TOPIC, "access_key": "AKID", "secret_key": SECRET},
        Told(200, b"<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>"),
    ),
    "telegram": Wired(
        lambda url: {"api_url": url, "bot_token": SECRET, "chat_id": "-100"},
        _json({"ok": True, "result": {"message_id": 8}}),
    ),
    "victorops": Wired(
        lambda url: {"api_url": f"{url}/alert/", "api_key": SECRET, "routing_key": "exports"},
        _json({"result": "success", "entity_id": "e1"}),
    ),
    "webex": Wired(
        lambda url: {"api_url": f"{url}/v1/messages", "room_id": "R", "bot_token": SECRET}, _json({"id": "w1"})
    ),
    "wechat": Wired(
        lambda url: {
            "api_url": f"{url}/cgi-bin/",
            "corp_id": "c",
            "api_secret": SECRET,
            "agent_id": "1",
            "to_user": "ada",
        },
        _json({"errcode": 0, "errmsg": "ok", "access_token": "tok", "expires_in": 7200, "msgid": "w-1"}),
    ),
    "webhook": Wired(lambda url: {"url": f"{url}/{SECRET}", "secret": SECRET}, Told(204, b"")),
}


def settings_of(name: str, url: str, **more: Any) -> Any:
    return channels()[name].Settings(**{**WIRED[name].settings(url), **more})


def message_of(told: Notification, **more: Any) -> Message:
    return Message(told, text_of(told), told.key, **{"timeout_seconds": 5.0, "now": NOW, **more})
