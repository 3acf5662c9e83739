"""Why somebody is told of an alert, or why nobody is: its routes, and at each what holds it back or what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tocsin.alerts.decide import Circumstances, Hold, holds_on_alert, holds_on_route
from tocsin.alerts.dispatch import Pipeline
from tocsin.alerts.matcher_text import matchers_text
from tocsin.alerts.route import group_key, group_labels, route_alert
from tocsin.model.alert_state import KnownAlert
from tocsin.model.told import group_id
from tocsin.storage.control.notifications import StoredNotification


@dataclass(frozen=True, slots=True)
class Way:
    """One route that an alert takes. line: in the alertmanager.yml. notifications: of its group, the newest first."""

    route: str
    matchers: str
    line: int
    receiver: str
    group_key: str
    group_labels: Mapping[str, str]
    holds: tuple[Hold, ...]
    is_storm: bool
    told_at: datetime | None
    next_look: datetime | None
    notifications: tuple[StoredNotification, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """state: active, suppressed or resolved."""

    state: str
    sentence: str
    holds: tuple[Hold, ...]
    ways: tuple[Way, ...]


def explain(pipeline: Pipeline, known: KnownAlert, around: Circumstances | None = None) -> Explanation:
    now = pipeline.clock()
    circumstances = around or pipeline.circumstances()
    holds = tuple(holds_on_alert(known, circumstances, now))
    ways = tuple(_way(pipeline, known, circumstances, holds, place, now) for place in _routes(pipeline, known))
    state = "resolved" if not known.is_firing(now) else "suppressed" if holds else "active"
    if holds:
        sentence = "Nobody is told: " + "; ".join(hold.reason for hold in holds) + "."
    else:
        sentence = " ".join(way.sentence for way in ways)
    return Explanation(state, sentence, holds, ways)


def _routes(pipeline: Pipeline, known: KnownAlert) -> range:
    return range(len(route_alert(pipeline.config.route, known.alert.labels)))


def _way(
    pipeline: Pipeline, known: KnownAlert, around: Circumstances, holds: tuple[Hold, ...], place: int, now: datetime
) -> Way:
    route = route_alert(pipeline.config.route, known.alert.labels)[place]
    labels = group_labels(route, known.alert.labels)
    key = group_key(route, labels)
    logged = pipeline.log_of(route.receiver, key)
    told = logged.told if logged else None
    here = tuple(holds_on_route(known, route, told, around, now))
    group = next((each for each in pipeline.groups() if each.route.id == route.id and each.labels == labels), None)
    sent = pipeline.control.notifications.recent(group_ids=[group_id(route.receiver, key)], limit=5)
    mine = tuple(one for one in sent if any(each.fingerprint == known.fingerprint for each in one.notification.alerts))
    is_storm = bool(mine) and mine[0].state == "held" and not mine[0].digest_key
    is_told = told is not None and known.fingerprint in (told.firing if known.is_firing(now) else told.resolved)
    told_at = told.at if told is not None and is_told else None
    next_look = group.next_flush if group else None
    sentence = _sentence(route.receiver, here or holds, is_storm, mine, told_at, next_look)
    return Way(
        route.key, matchers_text(route.matchers), route.line, route.receiver, key, labels, here, is_storm, told_at,
        next_look, mine, sentence,
    )  # fmt: skip


def _sentence(
    receiver: str,
    holds: tuple[Hold, ...],
    is_storm: bool,
    sent: tuple[StoredNotification, ...],
    told_at: datetime | None,
    next_look: datetime | None,
) -> str:
    if is_storm:
        return f"A storm holds back what {receiver} gets; this goes out with the next digest."
    if holds and told_at is None:
        return f"{receiver} is not told: {'; '.join(hold.reason for hold in holds)}."
    if sent and sent[0].state == "failed":
        return f"{receiver} could not be told: {sent[0].reason or 'the delivery failed'}; it is tried again."
    if sent and sent[0].state == "pending":
        return f"{receiver} is being told."
    if told_at is not None:
        return f"{receiver} was told at {told_at:%H:%M:%S} UTC."
    if next_look is not None:
        return f"{receiver} is told at {next_look:%H:%M:%S} UTC, when its group has waited."
    return f"{receiver} was not told: it ended before its group had waited."
