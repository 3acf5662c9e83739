"""What is worth telling about patterns: one that was never seen before, one that comes far more often than usual.

Plain values in and out; `watch.py` reads and sends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tocsin.detect.patterns.settings import PatternSettings
from tocsin.query.log_pattern_state import EXPLODING_MINUTES, USUAL_MINUTES, Burst, ShapeSeen

NEW, EXPLODING = "tocsin.log.pattern.new", "tocsin.log.pattern.exploding"
"""Names of the events."""

LATE_SECONDS = 900.0
"""Lines older than this when they arrive are history that is imported, not news."""

LEVELS = ("", "trace", "debug", "info", "warn", "error", "fatal")


@dataclass(frozen=True, slots=True)
class News:
    """An event about a pattern. tenant: '' unless it is one tenant's alone."""

    name: str
    body: str
    service: str
    environment: str
    release: str
    tenant: str
    level: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Counted:
    """A pattern's lines, recently and usually, with the shape that has most of them."""

    pattern: int
    template: str
    made_ms: int
    recent: int
    usual: int
    largest: Burst


def pattern_name(id: int) -> str:
    """The id of a pattern as people and programs write it."""
    return f"{id:016x}"


def new_pattern(id: int, template: str, seen: ShapeSeen) -> News:
    since = f" since release {seen.release}" if seen.release else ""
    whom = f" for {seen.tenants[0]}" if len(seen.tenants) == 1 and seen.tenants[0] else ""
    body = f"New in the logs of {seen.service}{since}{whom}: {template}"
    return News(NEW, body, *_place(seen), _tenant(seen.tenants), seen.level, _said(id, template, seen.level))


def is_news(seen: ShapeSeen, learned_since_ms: int, now_ms: int, settings: PatternSettings) -> bool:
    """Whether a new pattern is told. learned_since_ms: when the first pattern of its service was found."""
    is_learned = now_ms - learned_since_ms >= settings.learning_seconds * 1000
    return is_learned and now_ms - seen.first_ns // 1_000_000 <= LATE_SECONDS * 1000


def exploding(found: Iterable[Counted], settings: PatternSettings, now_ms: int) -> list[Counted]:
    """Those that came so much more often than usual that it is told, the most lines first.

    A pattern younger than the hour compared with is new, which is told as such.
    """
    told = []
    for one in found:
        usual = one.usual * EXPLODING_MINUTES / USUAL_MINUTES
        is_old = now_ms - one.made_ms >= (USUAL_MINUTES + EXPLODING_MINUTES) * 60_000
        if is_old and one.recent >= settings.exploding_lines and one.recent >= settings.exploding_factor * usual:
            told.append(one)
    return sorted(told, key=lambda one: -one.recent)


def explosion(one: Counted) -> News:
    burst = one.largest
    usual = one.usual * EXPLODING_MINUTES / USUAL_MINUTES
    often = f"{one.recent / usual:.0f} times as often as in the hour before" if usual else "not once in the hour before"
    body = f"{one.recent} lines in five minutes in the logs of {burst.service}, {often}: {one.template}"
    said = _said(one.pattern, one.template, burst.level) | {"tocsin.log.lines": str(one.recent)}
    if usual:
        said["tocsin.log.factor"] = f"{one.recent / usual:.1f}"
    if burst.tenants and burst.tenants[0]:
        said["tocsin.log.most_of_tenant"] = burst.tenants[0]
    return News(EXPLODING, body, *_place(burst), _tenant(burst.tenants), burst.level, said)


def _place(of: ShapeSeen | Burst) -> tuple[str, str, str]:
    return of.service, of.environment, of.release


def _tenant(tenants: Sequence[str]) -> str:
    return tenants[0] if len(tenants) == 1 else ""


def _said(id: int, template: str, level: str) -> dict[str, str]:
    return {"tocsin.log.pattern": pattern_name(id), "tocsin.log.template": template, "tocsin.log.level": level}
