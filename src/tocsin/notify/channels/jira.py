"""Jira: one issue a group of alerts, found again by its label, moved to its end when they are over.

Sources: prometheus.io/docs/alerting/latest/configuration (jira_config, whose names these are),
developer.atlassian.com/cloud/jira/platform/rest/v2 (POST issue, PUT issue/{key}, POST search/jql, issue transitions;
summary 255, description 32767 characters) and, for api_type datacenter, docs.atlassian.com's REST API 2 (POST search).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.contract import DeliveryError, Message, Origin, Pace, missing
from tocsin.notify.http import Answer, ask
from tocsin.notify.render import cut

ALERTMANAGER = Origin(("jira_configs",), {"jira_api_url": "api_url"})
PACE = Pace(1.0, burst=5)
SUMMARY_CHARS, DESCRIPTION_CHARS = 255, 32_767
CLOUD = ".atlassian.net"


@dataclass(frozen=True)
class Settings:
    """The project that gets the issues."""

    api_url: str = setting("", help="The REST API with its version, such as https://acme.atlassian.net/rest/api/2/.")
    api_type: str = setting("auto", help="cloud, datacenter, or auto: cloud at atlassian.net.")
    user: str = setting("", help="E-mail address or name that signs in; Alertmanager has it in http_config.")
    api_token: str = setting("", help="Token or password of that user.", secret=True)
    project: str = setting("", help="Key of the project.")
    issue_type: str = setting("", help="Type of the issues, such as Bug.")
    summary: str = setting("", help="Summary instead of ours.")
    description: str = setting("", help="Description instead of ours.")
    labels: tuple[str, ...] = setting((), help="Labels of every issue.")
    priority: str = setting("", help="Priority of the issues; empty for the project's own.")
    resolve_transition: str = setting("", help="Transition when the alerts are over; empty leaves the issue open.")
    reopen_transition: str = setting("", help="Transition when they fire again; empty makes a new issue.")

    @property
    def lacks(self) -> str:
        return missing(api_url=self.api_url, project=self.project, issue_type=self.issue_type)


def send(settings: Settings, message: Message) -> Receipt:
    found = _find(settings, message)
    if found is None:
        if not message.text.is_firing:
            return message.sent(reason="there is no issue to close")
        return message.sent(_create(settings, message), "opened")
    key, is_done = found
    if not message.text.is_firing:
        if settings.resolve_transition and not is_done:
            _move(settings, message, key, settings.resolve_transition)
            return message.sent(key, "closed")
        return message.sent(key, "left as it is")
    if is_done:
        _move(settings, message, key, settings.reopen_transition)
    _call(settings, message, "PUT", f"issue/{key}", {"fields": _words(settings, message)})
    return message.sent(key, "reopened" if is_done else "updated")


def label_of(message: Message) -> str:
    """The label by which the issue of a group is found again."""
    return "ALERT{" + hashlib.sha256(message.notification.group_key.encode()).hexdigest() + "}"


def _find(settings: Settings, message: Message) -> tuple[str, bool] | None:
    """(key, whether it is done) of the group's newest issue; a done one counts only where it can be reopened."""
    jql = f'project="{_quoted(settings.project)}" and labels="{label_of(message)}"'
    jql += "" if settings.reopen_transition else " and statusCategory != Done"
    asked = {"jql": f"{jql} order by status ASC,resolutiondate DESC", "maxResults": 1, "fields": ["status"]}
    is_cloud = settings.api_type == "cloud" or (settings.api_type == "auto" and CLOUD in settings.api_url)
    issues = _call(settings, message, "POST", "search/jql" if is_cloud else "search", asked).json().get("issues") or []
    if not issues:
        return None
    status = (issues[0].get("fields") or {}).get("status") or {}
    return str(issues[0]["key"]), (status.get("statusCategory") or {}).get("key") == "done"


def _create(settings: Settings, message: Message) -> str:
    fields: dict[str, Any] = {
        **_words(settings, message),
        "project": {"key": settings.project},
        "issuetype": {"name": settings.issue_type},
        "labels": [*settings.labels, label_of(message)],
    }
    if settings.priority:
        fields["priority"] = {"name": message.worded(settings.priority, settings.priority)}
    return str(_call(settings, message, "POST", "issue", {"fields": fields}).json().get("key", ""))


def _words(settings: Settings, message: Message) -> dict[str, Any]:
    summary = message.worded(settings.summary, f"{message.text.title}: {message.text.summary}")
    description = cut(message.worded(settings.description, message.text.plain), DESCRIPTION_CHARS)
    return {"summary": cut(" ".join(summary.split()), SUMMARY_CHARS), "description": _document(settings, description)}


def _document(settings: Settings, text: str) -> Any:
    """Version 3 of the API takes Atlassian's document format, version 2 plain text."""
    if "/rest/api/3" not in settings.api_url:
        return text
    paragraph = {"type": "paragraph", "content": [{"type": "text", "text": text}]}
    return {"type": "doc", "version": 1, "content": [paragraph]}


def _move(settings: Settings, message: Message, key: str, name: str) -> None:
    path = f"issue/{key}/transitions"
    listed = _call(settings, message, "GET", path).json().get("transitions") or []
    id = next((one["id"] for one in listed if str(one.get("name", "")).lower() == name.lower()), None)
    if id is None:
        known = ", ".join(str(one.get("name")) for one in listed)
        raise DeliveryError(f"issue {key} has no transition {name!r} now, only {known or 'none'}", retryable=False)
    _call(settings, message, "POST", path, {"transition": {"id": id}})


def _call(settings: Settings, message: Message, method: str, path: str, body: Any = None) -> Answer:
    headers = {}
    if settings.api_token:
        pair = base64.b64encode(f"{settings.user}:{settings.api_token}".encode()).decode()
        headers["authorization"] = f"Basic {pair}"
    return ask(message, method, f"{settings.api_url.rstrip('/')}/{path}", json=body, headers=headers)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
