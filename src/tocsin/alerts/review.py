"""A look back at the history of alerts: which are noise, which flap, which fire together, how fast people were."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Literal

from tocsin.model.alert_state import AlertChange, Change
from tocsin.model.path_check import CHECK
from tocsin.model.severity import Severity

TOGETHER = timedelta(seconds=60)
FLAP_WITHIN = timedelta(hours=1)
NIGHT_HOURS = (22, 6)


Proposal = Literal["", "delete", "demote", "tune"]
"""What to do about a rule: delete it, lower its severity, make it slower or its threshold higher; '' leaves it."""


@dataclass(frozen=True, slots=True)
class NameReview:
    """What alerts of one name did. Ratios are 0-1, None where nothing fired; durations None where there is none."""

    name: str
    fired: int
    notified: int
    at_night: int  # notified between 22 and 6 o'clock
    acknowledged: int
    acted: int  # firings that somebody acknowledged, took or ended by hand
    late: int  # firings that nobody acknowledged within the time their severity allows
    false_positives: int
    flaps: int  # firings of the same alert within an hour of its last end
    median_seconds: float | None  # from firing to its end
    median_acknowledge_seconds: float | None
    noise: float  # the higher, the more it rang for nothing
    proposal: Proposal
    advice: str

    @property
    def false_positive_ratio(self) -> float | None:
        return _ratio(self.false_positives, self.fired)

    @property
    def acknowledged_ratio(self) -> float | None:
        return _ratio(self.acknowledged, self.fired)

    @property
    def actionable_ratio(self) -> float | None:
        """Firings that made somebody do something."""
        return _ratio(self.acted, self.fired)


@dataclass(frozen=True, slots=True)
class Review:
    """names: the noisiest first. together: pairs of names that began within a minute of each other, and how often."""

    names: tuple[NameReview, ...]
    together: tuple[tuple[str, str, int], ...]
    fired: int
    notified: int
    critical_fired: int  # P0 and P1
    critical_false: int

    @property
    def critical_false_ratio(self) -> float | None:
        """The part of critical alerts that people called false; the aim is below 0.02."""
        return _ratio(self.critical_false, self.critical_fired)


@dataclass(slots=True)
class _Found:
    fired: int = 0
    notified: set[str] = field(default_factory=set)
    at_night: set[str] = field(default_factory=set)
    acknowledged: int = 0
    acted: int = 0
    late: int = 0
    critical_fired: int = 0
    critical_false: int = 0
    false_positives: int = 0
    flaps: int = 0
    lasted: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Firing:
    """One firing that is not over."""

    began: datetime
    severity: Severity
    is_acknowledged: bool = False
    is_acted: bool = False

    def is_late(self, now: datetime) -> bool:
        """Nobody acknowledged it in time; what is to be answered at once has no time to be late by."""
        allowed = self.severity.response_seconds
        return 0 < allowed < (now - self.began).total_seconds()


def review(changes: Sequence[AlertChange], zone: tzinfo, now: datetime | None = None) -> Review:
    """changes: of a time, in any order. zone: whose nights count. now: by when what still fires is judged."""
    found: dict[str, _Found] = defaultdict(_Found)
    open_firings: dict[str, _Firing] = {}
    ended: dict[str, datetime] = {}
    starts: list[tuple[datetime, str]] = []
    names: dict[str, str] = {}
    for change in sorted((one for one in changes if one.name != CHECK), key=lambda each: (each.at, each.id)):
        mine, key = found[change.name], change.fingerprint
        firing = open_firings.get(key)
        names[key] = change.name
        match change.change:
            case Change.FIRING:
                mine.fired += 1
                mine.critical_fired += change.severity <= Severity.P1
                mine.flaps += key in ended and change.at - ended[key] < FLAP_WITHIN
                open_firings[key] = _Firing(change.at, change.severity)
                starts.append((change.at, change.name))
            case Change.RESOLVED | Change.EXPIRED:
                _act(mine, firing, is_acted=bool(change.actor))
                _end(mine, open_firings.pop(key, None), change.at)
                ended[key] = change.at
            case Change.NOTIFIED:
                _tell(mine, change, zone)
            case Change.ACKNOWLEDGED:
                mine.acknowledged += 1
                _act(mine, firing, is_acted=True)
                _acknowledge(mine, firing, change.at)
            case Change.ASSIGNED | Change.RELEASED | Change.DECLARED:
                _act(mine, firing, is_acted=True)
            case Change.FALSE_POSITIVE:
                mine.false_positives += 1
                mine.critical_false += change.severity <= Severity.P1
    if now is not None:
        for key, still in open_firings.items():
            found[names[key]].late += not still.is_acknowledged and still.is_late(now)
    return _made(found, starts)


def _made(found: Mapping[str, _Found], starts: Sequence[tuple[datetime, str]]) -> Review:
    names = sorted((_review(name, each) for name, each in found.items()), key=lambda each: (-each.noise, each.name))
    messages = set().union(*(each.notified for each in found.values()))
    return Review(
        tuple(names),
        _together(starts),
        sum(each.fired for each in found.values()),
        len(messages),
        sum(each.critical_fired for each in found.values()),
        sum(each.critical_false for each in found.values()),
    )


def _act(mine: _Found, firing: _Firing | None, is_acted: bool) -> None:
    """Once a firing."""
    if firing is not None and is_acted and not firing.is_acted:
        firing.is_acted = True
        mine.acted += 1


def _acknowledge(mine: _Found, firing: _Firing | None, at: datetime) -> None:
    if firing is not None and not firing.is_acknowledged:
        firing.is_acknowledged = True
        mine.waited.append((at - firing.began).total_seconds())
        mine.late += firing.is_late(at)


def _end(mine: _Found, firing: _Firing | None, at: datetime) -> None:
    if firing is not None:
        mine.lasted.append((at - firing.began).total_seconds())
        mine.late += not firing.is_acknowledged and firing.is_late(at)


def _tell(mine: _Found, change: AlertChange, zone: tzinfo) -> None:
    message = str(change.detail.get("key", change.id))
    mine.notified.add(message)
    hour = change.at.astimezone(zone).hour
    if hour >= NIGHT_HOURS[0] or hour < NIGHT_HOURS[1]:
        mine.at_night.add(message)


def _review(name: str, found: _Found) -> NameReview:
    median = statistics.median(found.lasted) if found.lasted else None
    ignored = max(0, found.fired - found.acknowledged)
    noise = (
        len(found.notified) * (0.2 + 0.8 * ignored / max(1, found.fired))
        + 2.0 * found.flaps
        + 3.0 * found.false_positives
    )
    return NameReview(
        name,
        found.fired,
        len(found.notified),
        len(found.at_night),
        found.acknowledged,
        found.acted,
        found.late,
        found.false_positives,
        found.flaps,
        median,
        statistics.median(found.waited) if found.waited else None,
        round(noise, 2),
        *_advice(found, median),
    )


def _advice(found: _Found, median_seconds: float | None) -> tuple[Proposal, str]:
    if found.false_positives * 2 > found.fired:
        return "delete", "most firings were false: delete the rule, or raise its threshold"
    if found.flaps >= 3:
        return "tune", "it flaps: give the rule a longer `for`, `keep_firing_for`, or a cooldown"
    if median_seconds is not None and median_seconds < 120 and found.fired >= 5:
        return "tune", "it is mostly over within two minutes: give the rule a longer `for`"
    if found.fired >= 10 and not found.acted:
        return "demote", "nobody ever did anything about it: lower its severity, or delete the rule"
    return "", ""


def _ratio(part: int, whole: int) -> float | None:
    return min(1.0, part / whole) if whole else None


def _together(starts: Sequence[tuple[datetime, str]]) -> tuple[tuple[str, str, int], ...]:
    pairs: Counter[tuple[str, str]] = Counter()
    first = 0
    for place, (at, name) in enumerate(starts):
        while starts[first][0] < at - TOGETHER:
            first += 1
        # A storm of one minute is bounded: beyond fifty names the pairs say nothing more.
        for other in {each for _, each in starts[max(first, place - 50) : place]} - {name}:
            pairs[min(name, other), max(name, other)] += 1
    return tuple((one, other, count) for (one, other), count in pairs.most_common(20) if count > 1)
