"""Alerts out of a webhook's JSON: what Alertmanager, Grafana and Tocsin send, or one plain alert.

Source: prometheus.io/docs/alerting/latest/configuration (webhook_config, version 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tocsin.model.alert import ALERT_NAME, Alert

OVER = frozenset({"resolved", "ok", "closed", "normal"})
_NAMES = ("alertname", "title", "name")
_LABELS = ("severity", "tenant", "service", "environment", "instance")
_WORDS = ("summary", "description", "runbook_url")


class WebhookError(ValueError):
    """It is no webhook about alerts."""


def alerts_in(said: Any, now: datetime, firing: timedelta) -> list[Alert]:
    """Each with its end: its own where it is over, else `firing` from now, since a webhook speaks of an alert only when
    it begins, is repeated after hours, and ends. Raises WebhookError."""
    if not isinstance(said, Mapping):
        raise WebhookError("it is no JSON object; send an object with alerts, or with title and status")
    if "alerts" not in said:
        return [_plain(said, now, firing)]
    listed = said["alerts"]
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        raise WebhookError("its alerts are no list of objects")
    return [_alert(one, _texts(one, "labels"), _texts(one, "annotations"), now, firing) for one in listed]


def _plain(said: Mapping[str, Any], now: datetime, firing: timedelta) -> Alert:
    name = next((str(said[key]) for key in _NAMES if said.get(key)), "")
    if not name:
        raise WebhookError("it has neither alerts nor a title; name the alert by title")
    labels = {ALERT_NAME: name} | {key: str(said[key]) for key in _LABELS if said.get(key)} | _texts(said, "labels")
    words = {key: str(said[key]) for key in _WORDS if said.get(key)} | _texts(said, "annotations")
    return _alert(said, labels, words, now, firing)


def _alert(
    said: Mapping[str, Any], labels: dict[str, str], words: dict[str, str], now: datetime, firing: timedelta
) -> Alert:
    is_over = str(said.get("status", "")).lower() in OVER
    starts_at = min(_time(said, "startsAt") or now, now)
    ends_at = max(starts_at, _time(said, "endsAt") or now) if is_over else now + firing
    source = str(said.get("generatorURL") or said.get("url") or "")
    return Alert(
        {name: text for name, text in labels.items() if text}, words, starts_at=starts_at, ends_at=ends_at,
        is_until_told=not is_over, generator_url=source,
    )  # fmt: skip


def _texts(said: Mapping[str, Any], key: str) -> dict[str, str]:
    found = said.get(key) or {}
    if not isinstance(found, Mapping) or any(isinstance(one, Mapping | list) for one in found.values()):
        raise WebhookError(f"its {key} are no names with texts")
    return {str(name): str(text) for name, text in found.items() if text is not None}


def _time(said: Mapping[str, Any], key: str) -> datetime | None:
    """None where none is said, as which Go's zero time counts."""
    text = said.get(key)
    if not text:
        return None
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise WebhookError(f"its {key} {str(text)[:40]!r} is no time; write it as 2026-03-02T03:12:00Z") from error
    if at.year == 1:
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
