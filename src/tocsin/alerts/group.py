"""Groups of alerts that are told together, and whether what there is to say differs from what was said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tocsin.alerts.route import Route
from tocsin.model.alert_state import KnownAlert
from tocsin.model.told import Told

ALL_RESOLVED = "all resolved"


@dataclass(slots=True)
class Group:
    """Alerts of one route with the same group labels. next_flush: when it is looked at again."""

    route: Route
    labels: Mapping[str, str]
    key: str
    next_flush: datetime
    has_flushed: bool = False
    members: set[str] = field(default_factory=set)  # fingerprints

    def hurry(self, known: KnownAlert, now: datetime) -> None:
        """A group that was not told yet does not wait for an alert that has waited already."""
        waited = known.alert.starts_at + timedelta(seconds=self.route.group_wait_seconds)
        if not self.has_flushed and waited < now:
            self.next_flush = min(self.next_flush, now)

    def flushed(self, now: datetime) -> None:
        self.has_flushed = True
        self.next_flush = now + timedelta(seconds=self.route.group_interval_seconds)


def first_flush(route: Route, told: Told | None, now: datetime) -> datetime:
    """When a group that has just come to be is looked at; after a restart the rhythm of before goes on."""
    if told is not None:
        after = told.at + timedelta(seconds=route.group_interval_seconds)
        if now < after:
            return after
    return now + timedelta(seconds=route.group_wait_seconds)


def why_tell(
    told: Told | None,
    firing: Iterable[str],
    resolved: Iterable[str],
    *,
    sends_resolved: bool,
    repeat_interval_seconds: float,
    now: datetime,
    may_repeat: bool = True,
) -> str:
    """Why the group is told now, by Alertmanager's rules; '' when there is nothing to say.

    ALL_RESOLVED is said also where the receiver hears of no resolved alerts: the log has to forget what fired.
    may_repeat False: somebody has acknowledged all of it.
    """
    fires, ended = frozenset(firing), frozenset(resolved)
    if told is None:
        return "first" if fires else ""
    if not fires <= told.firing:
        return "new alerts"
    if not fires:
        return ALL_RESOLVED if told.firing else ""
    if sends_resolved and not ended <= told.resolved:
        return "some resolved"
    if may_repeat and told.at < now - timedelta(seconds=repeat_interval_seconds):
        return "repeat"
    return ""
