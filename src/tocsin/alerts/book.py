"""What is open now: alerts, which of them fire, their groups, and what each group was told; kept in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from tocsin.alerts.group import Group, first_flush
from tocsin.alerts.route import Route, group_key, group_labels, route_alert
from tocsin.model.alert import Alert
from tocsin.model.alert_state import AlertChange, Change, KnownAlert, change_of
from tocsin.model.notification import Notification
from tocsin.model.told import GroupLog, group_id
from tocsin.storage.control import ControlStore

GroupId = tuple[str, tuple[tuple[str, str], ...]]  # route and group labels
LONGEST_WAIT = timedelta(hours=1)
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Book:
    """Written through by the pipeline, which holds the lock; nothing here is read from the store."""

    tree: Route
    logs: dict[str, GroupLog] = field(default_factory=dict)
    alerts: dict[str, KnownAlert] = field(default_factory=dict)
    firing: set[str] = field(default_factory=set)
    groups: dict[GroupId, Group] = field(default_factory=dict)

    @classmethod
    def recalled(cls, tree: Route, control: ControlStore, now: datetime, timeout: timedelta) -> Book:
        """What the control store has open, in the groups of this tree. timeout: as in `waited_for`."""
        made = cls(tree, {each.id: each for each in control.notifications.logs()})
        for known in waited_for(control.alerts.open(), control, now, timeout):
            made.keep(known.fingerprint, known, now)
            if known.is_firing(now):
                made.firing.add(known.fingerprint)
        return made

    def rerouted(self, tree: Route, now: datetime) -> Book:
        """The same alerts by another tree; what a receiver was told of a group stays told."""
        made = Book(tree, self.logs)
        for key, known in self.alerts.items():
            made.keep(key, known, now)
        made.firing = set(self.firing)  # what ended meanwhile is still to be noted
        return made

    def forget_logs(self, before: datetime) -> None:
        """What was told of groups that are gone, where that is long ago."""
        kept = {group_id(group.route.receiver, group.key) for group in self.groups.values()}
        old = [id for id, log in self.logs.items() if id not in kept and log.told is not None and log.told.at < before]
        for id in old:
            del self.logs[id]

    def keep(self, key: str, known: KnownAlert, now: datetime) -> None:
        """The alert as it is from now on, in the groups of its routes."""
        self.alerts[key] = known
        if known.is_firing(now):
            self.firing.add(key)
        else:
            self.firing.discard(key)
        for route in route_alert(self.tree, known.alert.labels):
            group = self._group_of(route, known.alert, now)
            group.members.add(key)
            group.hurry(known, now)

    def hear(self, said: Iterable[KnownAlert], now: datetime) -> None:
        """What another server knows of alerts, where that is newer."""
        for known in said:
            if (mine := self.alerts.get(known.fingerprint)) is None or mine.updated_at < known.updated_at:
                self.keep(known.fingerprint, known, now)

    def urgency(self, group: Group) -> tuple[int, datetime]:
        """The worst first, then who waits longest."""
        return min((int(self.alerts[key].alert.severity) for key in group.members), default=9), group.next_flush

    def log_for(self, group: Group) -> GroupLog:
        id = group_id(group.route.receiver, group.key)
        return self.logs.get(id) or GroupLog(group.route.receiver, group.key)

    def note_ended(self, now: datetime) -> list[AlertChange]:
        """Alerts whose source stopped speaking of them, or had said when they would end."""
        ended = [key for key in self.firing if not self.alerts[key].is_firing(now)]
        self.firing.difference_update(ended)
        return [
            change_of(known.alert, now, Change.EXPIRED if known.is_timeout else Change.RESOLVED, fingerprint=key)
            for key, known in ((key, self.alerts[key]) for key in ended)
        ]

    def drop_resolved(self, group: Group, only: Collection[str] | None = None) -> dict[str, KnownAlert]:
        """Alerts that are over leave the group; those that are in no group any more are closed, and given back."""
        closed = {}
        for key in [key for key in group.members if key not in self.firing and (only is None or key in only)]:
            group.members.discard(key)
            if not any(key in other.members for other in self._groups_with(self.alerts[key].alert)):
                closed[key] = replace(self.alerts.pop(key), is_open=False)
        return closed

    def drop_told(self, notification: Notification) -> dict[str, KnownAlert]:
        """Resolved alerts that its receiver has heard of leave its group."""
        told = {alert.fingerprint for alert in notification.resolved}
        touched: dict[str, KnownAlert] = {}
        for group in self.groups.values():
            if group.key == notification.group_key and group.route.receiver == notification.receiver:
                touched |= self.drop_resolved(group, told)
        return touched

    def forget_empty(self, groups: Iterable[Group]) -> None:
        for group in groups:
            if not group.members:
                del self.groups[_id(group.route, group.labels)]

    def _group_of(self, route: Route, alert: Alert, now: datetime) -> Group:
        labels = group_labels(route, alert.labels)
        id = _id(route, labels)
        if id not in self.groups:
            key = group_key(route, labels)
            logged = self.logs.get(group_id(route.receiver, key))
            told = logged.told if logged else None
            self.groups[id] = Group(route, labels, key, first_flush(route, told, now))
        return self.groups[id]

    def _groups_with(self, alert: Alert) -> list[Group]:
        """The groups an alert belongs to, where they are."""
        routes = route_alert(self.tree, alert.labels)
        found = (self.groups.get(_id(route, group_labels(route, alert.labels))) for route in routes)
        return [group for group in found if group is not None]


def _id(route: Route, labels: Mapping[str, str]) -> GroupId:
    return route.id, tuple(sorted(labels.items()))


def waited_for(
    opened: Iterable[KnownAlert], control: ControlStore, now: datetime, timeout: timedelta
) -> Iterator[KnownAlert]:
    """The alerts, and more time for those that ran out while no server was there to hear that they go on.

    Their sources get as long as they had, at least `timeout`, at most an hour.
    """
    alerts = list(opened)
    silent = [known for known in alerts if known.updated_at < known.ends_at <= now]
    ended: dict[str, datetime] = {}
    for change in (Change.RESOLVED, Change.EXPIRED) if silent else ():
        since = min(known.ends_at for known in silent)
        for one in control.alerts.history(start=since, change=change, limit=100_000):
            ended[one.fingerprint] = max(one.at, ended.get(one.fingerprint, one.at))
    late = {known.fingerprint for known in silent if ended.get(known.fingerprint, NEVER) < known.ends_at}
    for known in alerts:
        if known.fingerprint in late:
            until = now + min(max(known.ends_at - known.updated_at, timeout), LONGEST_WAIT)
            yield replace(known, alert=replace(known.alert, ends_at=until), is_timeout=True)
        else:
            yield known
