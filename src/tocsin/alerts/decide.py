"""Why an alert is not told: everything that holds it back, in the order of the stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from tocsin.alerts.cooldown import cooldown_key, cooldown_seconds, is_cooling
from tocsin.alerts.inhibit import Inhibitor
from tocsin.alerts.maintenance import maintenance_over
from tocsin.alerts.mute import Intervals, interval_at
from tocsin.alerts.route import Route
from tocsin.alerts.silence import Silencer
from tocsin.model.alert_state import AlertChange, Change, KnownAlert, change_of
from tocsin.model.path_check import is_check
from tocsin.model.silence import Maintenance
from tocsin.model.told import Cooldown, Told

OF_THE_ALERT = ("inhibition", "silence", "maintenance", "snooze")
"""Stages that hold an alert back on every route."""

ON_A_ROUTE = ("active_time", "mute_time", "cooldown")
"""Stages that hold an alert back on one route."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One stage that holds an alert back. by: inhibition, active_time, mute_time, silence, maintenance, snooze or
    cooldown; ids: of the alerts, silences or maintenance that do it.
    """

    by: str
    reason: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the stages look at besides the alert and its route."""

    inhibitor: Inhibitor
    silencer: Silencer
    maintenances: tuple[Maintenance, ...] = ()
    intervals: Intervals = field(default_factory=dict)
    cooldowns: Mapping[str, Cooldown] = field(default_factory=dict)
    cooldown_seconds: Mapping[str, float] = field(default_factory=dict)


def holds_on_alert(known: KnownAlert, around: Circumstances, now: datetime) -> list[Hold]:
    """What holds the alert back wherever it goes."""
    labels, found = known.alert.labels, []
    if is_check(labels):
        return []
    if inhibitions := around.inhibitor.inhibitions(labels, now):
        rule, source = inhibitions[0]
        reason = f"inhibited by {source.name}{f', {rule.note}' if rule.note else ''}"
        found.append(Hold("inhibition", reason, tuple(source.fingerprint for _, source in inhibitions)))
    if silences := around.silencer.silenced_by(labels, now):
        first = silences[0]
        why = f"silenced by {first.created_by} until {first.ends_at:%Y-%m-%d %H:%M} UTC"
        reason = f"{why}: {first.comment}" if first.comment else why
        found.append(Hold("silence", reason, tuple(silence.id for silence in silences)))
    if maintenance := maintenance_over(around.maintenances, labels, now):
        found.append(Hold("maintenance", "maintenance is on", (maintenance,)))
    if known.handling.is_snoozed(now):
        until = datetime.fromisoformat(known.handling.snoozed_until)
        found.append(Hold("snooze", f"snoozed by {known.handling.snoozed_by} until {until:%Y-%m-%d %H:%M} UTC"))
    return found


def holds_on_route(
    known: KnownAlert, route: Route, told: Told | None, around: Circumstances, now: datetime
) -> list[Hold]:
    """What holds the alert back on this route."""
    found = []
    if route.active_times and not interval_at(route.active_times, around.intervals, now):
        found.append(Hold("active_time", f"outside of {', '.join(route.active_times)}"))
    if name := interval_at(route.mute_times, around.intervals, now):
        found.append(Hold("mute_time", f"within {name}"))
    if told is None or known.fingerprint not in told.firing:
        last = around.cooldowns.get(cooldown_key(route.receiver, known.alert))
        seconds = cooldown_seconds(known.alert, around.cooldown_seconds)
        if last is not None and is_cooling(known.alert, last, seconds, now):
            found.append(Hold("cooldown", f"told at {last.told_at:%H:%M:%S} UTC, cools down {seconds:.0f} s"))
    return found


def suppression(known: KnownAlert, holds: Sequence[Hold], now: datetime) -> tuple[KnownAlert, AlertChange] | None:
    """The alert and its change where it is held back now and was not, or the other way; None where nothing changed."""
    by = next((f"{hold.by}:{hold.ids[0] if hold.ids else ''}" for hold in holds if hold.by in OF_THE_ALERT), "")
    if by == known.suppressed_by:
        return None
    change = Change.SUPPRESSED if by else Change.UNSUPPRESSED
    reason = "; ".join(hold.reason for hold in holds) or f"{known.suppressed_by.partition(':')[0]} is over"
    noted = change_of(known.alert, now, change, fingerprint=known.fingerprint, by=by, reason=reason)
    return replace(known, suppressed_by=by), noted
