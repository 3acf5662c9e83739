"""Cooldown: an alert that comes back soon after somebody was told of it is not told again, unless it is worse."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

from tocsin.model.alert import ALERT_NAME, Alert
from tocsin.model.severity import SEVERITY_LABEL
from tocsin.model.told import Cooldown
from tocsin.query.promql.literals import parse_duration_ms

NAME = "cooldown"
"""The label or annotation of a rule that says how long."""


def cooldown_seconds(alert: Alert, by_name: Mapping[str, float]) -> float:
    """How long this alert cools down: what it says itself, else what the configuration says of its name; 0: not."""
    said = alert.annotations.get(NAME) or alert.labels.get(NAME) or ""
    try:
        return parse_duration_ms(said) / 1000 if said else by_name.get(alert.labels.get(ALERT_NAME, ""), 0.0)
    except ValueError:
        return 0.0  # a text that is no duration must not hide an alert


def cooldown_key(receiver: str, alert: Alert) -> str:
    """The same for an alert at every severity."""
    labels = sorted((name, value) for name, value in alert.labels.items() if name not in (SEVERITY_LABEL, NAME))
    text = "\0".join([receiver, *(part for pair in labels for part in pair)])
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def is_cooling(alert: Alert, last: Cooldown | None, seconds: float, now: datetime) -> bool:
    """Whether this alert, which its receiver has not been told of, has to wait."""
    if last is None or seconds <= 0 or int(alert.severity) < last.severity:
        return False
    return now < last.told_at + timedelta(seconds=seconds)
