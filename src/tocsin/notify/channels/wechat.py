"""WeChat Work (WeCom): an application writes to members, departments or tags of a company.

Source: developer.work.weixin.qq.com/document/path/91039 (gettoken, valid for two hours) and …/path/90236 (message/send;
text 2048 bytes; answers 200 with an errcode) and …/path/90313 (error codes).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.contract import DeliveryError, Message, Origin, Pace, missing
from tocsin.notify.http import ask, told
from tocsin.notify.render import cut_bytes

ALERTMANAGER = Origin(
    ("wechat_configs",),
    {"wechat_api_url": "api_url", "wechat_api_secret": "api_secret", "wechat_api_corp_id": "corp_id"},
    send_resolved=False,
)
PACE = Pace(2.0, burst=20)
TEXT_BYTES = 2048
STALE, BUSY = frozenset({40014, 42001, 41001}), frozenset({-1, 45009, 45033, 50001})
EARLY_SECONDS = 60.0

_lock = threading.Lock()
_tokens: dict[tuple[str, str, str], tuple[str, float]] = {}


@dataclass(frozen=True)
class Settings:
    """The application and whom it writes to."""

    corp_id: str = setting("", help="Id of the company.")
    api_secret: str = setting("", help="Secret of the application.", secret=True)
    agent_id: str = setting("", help="Id of the application.")
    to_user: str = setting("", help="Members, divided by |; @all for everybody.")
    to_party: str = setting("", help="Departments, divided by |.")
    to_tag: str = setting("", help="Tags, divided by |.")
    message: str = setting("", help="Text instead of ours.")
    message_type: str = setting("text", help="text or markdown.")
    api_url: str = setting("https://qyapi.weixin.qq.com/cgi-bin/", help="Address of the API.")

    def __post_init__(self) -> None:
        if self.message_type not in ("text", "markdown"):
            raise ValueError(f"message_type is {self.message_type!r}; WeChat takes text or markdown")

    @property
    def lacks(self) -> str:
        reached = self.to_user or self.to_party or self.to_tag
        return missing(corp_id=self.corp_id, api_secret=self.api_secret, agent_id=self.agent_id, to_user=reached)


def send(settings: Settings, message: Message) -> Receipt:
    said = _post(settings, message)
    if said.get("errcode") in STALE:
        _forget(settings)
        said = _post(settings, message)
    if said.get("errcode"):
        raise _refused(said)
    wrong = [str(said[name]) for name in ("invaliduser", "invalidparty", "invalidtag") if said.get(name)]
    return message.sent(str(said.get("msgid", "")), f"not taken for {', '.join(wrong)}" if wrong else "")


def payload(settings: Settings, message: Message) -> dict[str, Any]:
    words = cut_bytes(message.worded(settings.message, f"{message.text.title}\n{message.text.plain}"), TEXT_BYTES)
    kind = settings.message_type
    made: dict[str, Any] = {
        "msgtype": kind,
        "agentid": settings.agent_id,
        kind: {"content": words},
        "enable_duplicate_check": 1,
    }
    reached = {"touser": settings.to_user, "toparty": settings.to_party, "totag": settings.to_tag}
    return made | {name: value for name, value in reached.items() if value}


def _post(settings: Settings, message: Message) -> dict[str, Any]:
    url = f"{settings.api_url.rstrip('/')}/message/send?{urlencode({'access_token': _token(settings, message)})}"
    return ask(message, "POST", url, json=payload(settings, message)).json()


def _token(settings: Settings, message: Message) -> str:
    """The application's token, asked for anew shortly before it ends."""
    with _lock:
        token, until = _tokens.get(_place(settings), ("", 0.0))
    if token and time.monotonic() < until:
        return token
    asked = urlencode({"corpid": settings.corp_id, "corpsecret": settings.api_secret})
    said = ask(message, "GET", f"{settings.api_url.rstrip('/')}/gettoken?{asked}").json()
    token = str(said.get("access_token", ""))
    if said.get("errcode") or not token:
        raise _refused(said)
    with _lock:
        _tokens[_place(settings)] = token, time.monotonic() + float(said.get("expires_in", 7200)) - EARLY_SECONDS
    return token


def _forget(settings: Settings) -> None:
    with _lock:
        _tokens.pop(_place(settings), None)


def _place(settings: Settings) -> tuple[str, str, str]:
    return settings.api_url, settings.corp_id, settings.api_secret


def _refused(said: dict[str, Any]) -> DeliveryError:
    code = said.get("errcode")
    return DeliveryError(f"WeChat answered {code}: {told(str(said.get('errmsg', '')))}", retryable=code in BUSY)
