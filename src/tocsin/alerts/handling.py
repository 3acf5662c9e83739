"""What people do about an alert: acknowledge, assign, snooze, resolve, declare, call it false; noted with who and
when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tocsin.alerts.dispatch import Pipeline
from tocsin.model.access import Principal, Role
from tocsin.model.alert_state import Change, Handling, KnownAlert
from tocsin.model.delivery import Room
from tocsin.model.notification import Notification
from tocsin.storage.control import InvalidInput

LONGEST_SNOOZE = timedelta(days=30)


class Handler:
    """Every action gives the alert as it is afterwards, and is in the audit. Raises NotFound and InvalidInput."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def acknowledge(self, actor: Principal, known: KnownAlert, note: str = "") -> KnownAlert:
        """It is not repeated any more; what is new in its group is told."""
        at = self._pipeline.clock().isoformat()
        handling = replace(
            known.handling, acknowledged_by=actor.name, acknowledged_at=at, note=note or known.handling.note
        )
        after = self._done(actor, known, handling, Change.ACKNOWLEDGED, note)
        now = self._pipeline.clock()
        for key, members in self._pipeline.members(after.fingerprint).items():
            if all(one.handling.acknowledged_by or not one.is_firing(now) for one in members):
                self._pipeline.on_acknowledged(key)  # now everything that fires in this group is taken
        return after

    def acknowledge_told(self, notification: Notification, by: str, channel: str) -> None:
        """Somebody who was told has acknowledged it where they were told."""
        known = self._pipeline.known()
        for alert in notification.firing:
            if (found := known.get(alert.fingerprint)) and not found.handling.acknowledged_by:
                self.acknowledge(Principal(f"channel:{channel}", by or channel, Role.OPERATOR), found, f"at {channel}")

    def release(self, actor: Principal, known: KnownAlert, note: str = "") -> KnownAlert:
        """Nobody has it any more: it is repeated again while it fires."""
        handling = replace(known.handling, acknowledged_by="", acknowledged_at="", note=note)
        return self._done(actor, known, handling, Change.RELEASED, note)

    def release_told(self, notification: Notification, by: str, channel: str, is_closed: bool) -> None:
        """Who was told has let go of it where they were told. What fires goes on, since its condition holds."""
        known, now = self._pipeline.known(), self._pipeline.clock()
        note = f"closed at {channel} while it fires" if is_closed else f"at {channel}"
        for alert in notification.firing:
            found = known.get(alert.fingerprint)
            if found and found.is_firing(now) and (is_closed or found.handling.acknowledged_by):
                self.release(Principal(f"channel:{channel}", by or channel, Role.OPERATOR), found, note)

    def resolve_told(self, notification: Notification, by: str, channel: str) -> None:
        """Who was told has ended it where they were told."""
        known, now = self._pipeline.known(), self._pipeline.clock()
        for alert in notification.firing:
            if (found := known.get(alert.fingerprint)) and found.is_firing(now):
                self.resolve(Principal(f"channel:{channel}", by or channel, Role.OPERATOR), found, f"at {channel}")

    def declare(self, actor: Principal, known: KnownAlert, note: str = "", user: str = "") -> KnownAlert:
        """It is an incident: where its group was told, people get a place to gather. user: to be there, by the id that
        the channel knows them by."""
        if known.handling.declared_by:
            return known
        if not known.is_firing(self._pipeline.clock()):
            raise InvalidInput(f"cannot declare alert '{known.fingerprint}' an incident: it does not fire")
        groups = self._pipeline.members(known.fingerprint)
        others = [one for members in groups.values() for one in members if one.handling.declared_by]
        room = next((one.handling.incident_room for one in others if one.handling.incident_room), "")
        handling = replace(known.handling, declared_by=actor.name, incident_room=room)
        after = self._done(actor, known, handling, Change.DECLARED, note, **({"to": room} if room else {}))
        for key in groups if not others else ():
            self._pipeline.on_declared(key, user)
        return after

    def declare_told(self, notification: Notification, by: str, channel: str, user: str) -> None:
        """Who was told has declared it an incident where they were told."""
        known, now = self._pipeline.known(), self._pipeline.clock()
        for alert in notification.firing:
            if (found := known.get(alert.fingerprint)) and found.is_firing(now):
                self.declare(
                    Principal(f"channel:{channel}", by or channel, Role.OPERATOR), found, f"at {channel}", user
                )

    def gather(self, group_key: str, room: Room) -> None:
        """Notes where people gather about what was declared in a group, or why they cannot."""
        actor = Principal(f"channel:{room.channel}", room.channel, Role.OPERATOR)
        keys = {key for group in self._pipeline.groups() if group.key == group_key for key in group.members}
        known = self._pipeline.known()
        said = {"to": room.name} if room.name else {}
        for one in [known[key] for key in keys & known.keys()]:
            if one.handling.declared_by and not one.handling.incident_room:
                handling = replace(one.handling, incident_room=room.name)
                self._done(actor, one, handling, Change.DECLARED, room.problem, **said)

    def assign(self, actor: Principal, known: KnownAlert, person: str, note: str = "") -> KnownAlert:
        person = person.strip()
        if not person or len(person) > 320:
            raise InvalidInput("cannot assign this alert: nobody is named; name a person, such as their e-mail address")
        handling = replace(known.handling, assigned_to=person)
        return self._done(actor, known, handling, Change.ASSIGNED, note, to=person)

    def snooze(self, actor: Principal, known: KnownAlert, duration: timedelta, note: str = "") -> KnownAlert:
        """Nobody is told of it for so long."""
        if not timedelta(0) < duration <= LONGEST_SNOOZE:
            raise InvalidInput("cannot snooze this alert: the duration is not between 0 and 30 days; write such as 1h")
        until = (self._pipeline.clock() + duration).isoformat()
        handling = replace(known.handling, snoozed_until=until, snoozed_by=actor.name)
        return self._done(actor, known, handling, Change.SNOOZED, note, until=until)

    def resolve(self, actor: Principal, known: KnownAlert, note: str = "") -> KnownAlert:
        """It is over, whatever its source goes on saying of this firing; a new firing opens it again."""
        now = self._pipeline.clock()
        if not known.is_firing(now):
            raise InvalidInput(f"cannot resolve alert '{known.fingerprint}': it does not fire")
        ended = replace(known, alert=replace(known.alert, ends_at=now), is_timeout=False)
        handling = replace(known.handling, resolved_by=actor.name)
        return self._done(actor, ended, handling, Change.RESOLVED, note)

    def mark_false_positive(self, actor: Principal, known: KnownAlert, note: str = "") -> KnownAlert:
        """There was nothing to do; it counts in the rate of false alarms of its rule, once a firing."""
        if known.handling.false_positive_by:
            return known
        handling = replace(known.handling, false_positive_by=actor.name)
        return self._done(actor, known, handling, Change.FALSE_POSITIVE, note)

    def _done(
        self, actor: Principal, known: KnownAlert, handling: Handling, change: Change, note: str, **detail: str
    ) -> KnownAlert:
        said = detail | ({"note": note[:1000]} if note else {})
        after = self._pipeline.control.alerts.handle(actor, known, handling, change, **said)
        self._pipeline.handled(after)
        return after
