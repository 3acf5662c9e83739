"""A look back at the history of alerts: which are noise, which flap, which fire together, how fast people were."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

from tocsin.model.alert_state import AlertChange, Change

TOGETHER = timedelta(seconds=60)
FLAP_WITHIN = timedelta(hours=1)
NIGHT_HOURS = (22, 6)


@dataclass(frozen=True, slots=True)
class NameReview:
    """What alerts of one name did. Ratios are 0-1, None where nothing fired; durations None where there is none."""

    name: str
    fired: int
    notified: int
    at_night: int  # notified between 22 and 6 o'clock
    acknowledged: int
    false_positives: int
    flaps: int  # firings of the same alert within an hour of its last end
    median_seconds: float | None  # from firing to its end
    median_acknowledge_seconds: float | None
    noise: float  # the higher, the more it rang for nothing
    advice: str

    @property
    def false_positive_ratio(self) -> float | None:
        return self.false_positives / self.fired if self.fired else None

    @property
    def acknowledged_ratio(self) -> float | None:
        return self.acknowledged / self.fired if self.fired else None


@dataclass(frozen=True, slots=True)
class Review:
    """names: the noisiest first. together: pairs of names that began within a minute of each other, and how often."""

    names: tuple[NameReview, ...]
    together: tuple[tuple[str, str, int], ...]
    fired: int
    notified: int


@dataclass(slots=True)
class _Found:
    fired: int = 0
    notified: set[str] = field(default_factory=set)
    at_night: set[str] = field(default_factory=set)
    acknowledged: int = 0
    false_positives: int = 0
    flaps: int = 0
    lasted: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)


def review(changes: Sequence[AlertChange], zone: tzinfo) -> Review:
    """changes: of a time, in any order. zone: whose nights count."""
    found: dict[str, _Found] = defaultdict(_Found)
    began: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    starts: list[tuple[datetime, str]] = []
    for change in sorted(changes, key=lambda each: (each.at, each.id)):
        mine, key = found[change.name], change.fingerprint
        match change.change:
            case Change.FIRING:
                mine.fired += 1
                mine.flaps += key in ended and change.at - ended[key] < FLAP_WITHIN
                began[key] = change.at
                starts.append((change.at, change.name))
            case Change.RESOLVED | Change.EXPIRED:
                if key in began:
                    mine.lasted.append((change.at - began.pop(key)).total_seconds())
                ended[key] = change.at
            case Change.NOTIFIED:
                message = str(change.detail.get("key", change.id))
                mine.notified.add(message)
                hour = change.at.astimezone(zone).hour
                if hour >= NIGHT_HOURS[0] or hour < NIGHT_HOURS[1]:
                    mine.at_night.add(message)
            case Change.ACKNOWLEDGED:
                mine.acknowledged += 1
                if key in began:
                    mine.waited.append((change.at - began[key]).total_seconds())
            case Change.FALSE_POSITIVE:
                mine.false_positives += 1
    names = sorted((_review(name, each) for name, each in found.items()), key=lambda each: (-each.noise, each.name))
    messages = set().union(*(each.notified for each in found.values()))
    return Review(tuple(names), _together(starts), sum(each.fired for each in found.values()), len(messages))


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
        found.false_positives,
        found.flaps,
        median,
        statistics.median(found.waited) if found.waited else None,
        round(noise, 2),
        _advice(found, median),
    )


def _advice(found: _Found, median_seconds: float | None) -> str:
    if found.false_positives * 2 > found.fired:
        return "most firings were false: raise the threshold, or delete the rule"
    if found.flaps >= 3:
        return "it flaps: give the rule a longer `for`, `keep_firing_for`, or a cooldown"
    if median_seconds is not None and median_seconds < 120 and found.fired >= 5:
        return "it is mostly over within two minutes: give the rule a longer `for`"
    if found.fired >= 10 and not found.acknowledged:
        return "nobody ever acknowledged it: lower its severity, or delete the rule"
    return ""


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
