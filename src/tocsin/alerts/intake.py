"""What an alert that arrives does to what is known of it: merged as Alertmanager merges, and what changed."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tocsin.model.alert import Alert
from tocsin.model.alert_state import AlertChange, Change, Handling, KnownAlert, change_of

MOST_LABELS = 64
MOST_CHARACTERS = 32_768


class Refused(Exception):
    """Alerts that cannot be kept; the others of the same call are."""


@dataclass(slots=True)
class Taken:
    """Alerts that arrived, as they are known from now on, what happened to them, and which cannot be kept."""

    known: dict[str, KnownAlert] = field(default_factory=dict)
    changes: list[AlertChange] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Room:
    """How many alerts may be open. open: those that are."""

    open: Container[str]
    count: int
    most: int

    def why_refuse(self, alert: Alert, fresh: int) -> str:
        """'' when it may be kept beside so many others that have come with it."""
        if problem := why_refuse(alert):
            return problem
        if alert.fingerprint not in self.open and self.count + fresh >= self.most:
            return f"{self.most} are kept already; raise alerting.most_alerts or mend what sends so many"
        return ""


def taken_in(
    alerts: Sequence[Alert], before: Mapping[str, KnownAlert], now: datetime, resolve_timeout_seconds: float, room: Room
) -> Taken:
    """What becomes of alerts that arrive, in their order. before: what was known of them, by fingerprint."""
    made = Taken()
    for alert in alerts:
        if problem := room.why_refuse(alert, len(made.known)):
            made.problems.append(f"alert {alert.name[:80]!r}: {problem}")
            continue
        key = alert.fingerprint
        known, change = taken(made.known.get(key) or before.get(key), alert, now, resolve_timeout_seconds)
        if known is None:
            continue
        made.known[key] = known
        if change is not None:
            made.changes.append(change_of(known.alert, now, change, fingerprint=key))
    return made


def taken(
    known: KnownAlert | None, alert: Alert, now: datetime, resolve_timeout_seconds: float
) -> tuple[KnownAlert | None, Change | None]:
    """The alert as it is known from now on, None where there is nothing to know; and what happened to it."""
    is_timeout = alert.ends_at is None or alert.is_until_told
    ends_at = alert.ends_at or now + timedelta(seconds=resolve_timeout_seconds)
    fresh = KnownAlert(replace(alert, ends_at=ends_at), now, is_timeout)
    if known is None:
        return (fresh, Change.FIRING) if fresh.is_firing(now) else (None, None)
    if known.handling.resolved_by and not known.is_firing(now) and alert.starts_at <= known.ends_at:
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
    start, end = new.alert.starts_at, new.ends_at
    overlaps = old.alert.starts_at < end < old.ends_at or old.alert.starts_at < start < old.ends_at
    if not overlaps:
        return new
    starts_at = min(old.alert.starts_at, start)
    ends_at = end
    if new.is_firing(now):
        ends_at = old.ends_at if old.ends_at > end and not old.is_timeout else end
    elif not old.is_firing(now):
        ends_at = max(old.ends_at, end)
    return replace(new, alert=replace(new.alert, starts_at=starts_at, ends_at=ends_at))
