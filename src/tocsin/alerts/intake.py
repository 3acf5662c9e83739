"""What an alert that arrives does to what is known of it: merged as Alertmanager merges, and what changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from tocsin.model.alert import Alert
from tocsin.model.alert_state import Change, Handling, KnownAlert

MOST_LABELS = 64
MOST_CHARACTERS = 32_768


def taken(
    known: KnownAlert | None, alert: Alert, now: datetime, resolve_timeout_seconds: float
) -> tuple[KnownAlert | None, Change | None]:
    """The alert as it is known from now on, None where there is nothing to know; and what happened to it."""
    is_timeout = alert.ends_at is None
    ends_at = alert.ends_at or now + timedelta(seconds=resolve_timeout_seconds)
    fresh = KnownAlert(replace(alert, ends_at=ends_at), now, is_timeout)
    if known is None:
        return (fresh, Change.FIRING) if fresh.is_firing(now) else (None, None)
    if known.handling.resolved_by and not known.is_firing(now) and alert.starts_at <= _end(known):
        return known, None  # a person said it is over; only a new firing opens it again
    merged = _merged(known, fresh, now)
    if known.is_firing(now) == merged.is_firing(now):
        return replace(merged, handling=known.handling, suppressed_by=known.suppressed_by), None
    if merged.is_firing(now):
        return replace(merged, handling=Handling(), suppressed_by=""), Change.FIRING
    return replace(merged, handling=known.handling, suppressed_by=known.suppressed_by), Change.RESOLVED


def why_refuse(alert: Alert) -> str:
    """Why an alert cannot be kept; '' when it can."""
    if not alert.labels:
        return "it has no labels; give it at least alertname"
    if len(alert.labels) > MOST_LABELS:
        return f"it has {len(alert.labels)} labels; {MOST_LABELS} are allowed"
    maps = (alert.labels, alert.annotations)
    if sum(len(name) + len(value) for map in maps for name, value in map.items()) > MOST_CHARACTERS:
        return f"its labels and annotations are longer than {MOST_CHARACTERS} characters; shorten them"
    if any("\0" in name or "\0" in value for map in maps for name, value in map.items()):
        return "a label has a NUL character; remove it"
    if alert.ends_at is not None and alert.ends_at < alert.starts_at:
        return "it ends before it starts"
    return ""


def _merged(old: KnownAlert, new: KnownAlert, now: datetime) -> KnownAlert:
    """Two that overlap become one with the earlier start; an end that was said outlives a later timeout."""
    start, end = new.alert.starts_at, _end(new)
    overlaps = old.alert.starts_at < end < _end(old) or old.alert.starts_at < start < _end(old)
    if not overlaps:
        return new
    starts_at = min(old.alert.starts_at, start)
    ends_at = end
    if new.is_firing(now):
        ends_at = _end(old) if _end(old) > end and not old.is_timeout else end
    elif not old.is_firing(now):
        ends_at = max(_end(old), end)
    return replace(new, alert=replace(new.alert, starts_at=starts_at, ends_at=ends_at))


def _end(known: KnownAlert) -> datetime:
    assert known.alert.ends_at is not None, "what is known has an end, be it a timeout"
    return known.alert.ends_at
