"""Why somebody was told of an alert at a past instant, or why nobody was: out of its history and its routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tocsin.alerts.config import AlertConfig
from tocsin.alerts.mute import muted_by
from tocsin.alerts.route import Route, route_alert
from tocsin.model.alert_state import AlertChange, Change

_ENDED = (Change.RESOLVED, Change.EXPIRED)


@dataclass(frozen=True, slots=True)
class PastWay:
    """One receiver of the alert. told_at: the last time before; told_later_at: the first time after."""

    receiver: str
    sentence: str
    told_at: datetime | None
    told_later_at: datetime | None


@dataclass(frozen=True, slots=True)
class PastExplanation:
    """state: active, suppressed, resolved (it had ended) or unknown (nothing of it is kept from before)."""

    at: datetime
    state: str
    sentence: str
    ways: tuple[PastWay, ...] = ()


def explain_at(
    labels: Mapping[str, str], history: Sequence[AlertChange], config: AlertConfig, at: datetime
) -> PastExplanation:
    """history: every change of the alert that is kept, in any order. Routes are those of now; others are not kept."""
    changes = sorted(history, key=lambda change: (change.at, change.id))
    before, after = [one for one in changes if one.at <= at], [one for one in changes if one.at > at]
    began = _last(before, Change.FIRING)
    if began is None:
        return PastExplanation(at, "unknown", _not_yet(after))
    ended = _last(before, *_ENDED)
    if ended is not None and (ended.at, ended.id) > (began.at, began.id):
        why = " because its source stopped speaking of it" if ended.change is Change.EXPIRED else ""
        return PastExplanation(at, "resolved", f"Nobody was told: it was over since {_clock(ended.at)}{why}.")
    firing = [one for one in before if (one.at, one.id) >= (began.at, began.id)]
    held = _last(firing, Change.SUPPRESSED, Change.UNSUPPRESSED)
    ways = tuple(_way(route, firing, after, config, at) for route in _receivers(config, labels))
    if held is not None and held.change is Change.SUPPRESSED:
        sentence = f"Nobody was told since {_clock(held.at)}: {_reason(held)}."
        return PastExplanation(at, "suppressed", sentence, ways)
    return PastExplanation(at, "active", " ".join([*(way.sentence for way in ways), *_handled(firing)]), ways)


def _receivers(config: AlertConfig, labels: Mapping[str, str]) -> list[Route]:
    """The routes of the alert, one for each receiver."""
    return list({route.receiver: route for route in reversed(route_alert(config.route, labels))}.values())[::-1]


def _way(
    route: Route, firing: Sequence[AlertChange], after: Sequence[AlertChange], config: AlertConfig, at: datetime
) -> PastWay:
    mine = [one for one in firing if one.detail.get("receiver") == route.receiver]
    later = next((one for one in after if _tells(one, route.receiver)), None)
    told = _last(mine, Change.NOTIFIED)
    told_at, later_at = told.at if told else None, later.at if later else None
    return PastWay(route.receiver, _said(route, mine, told_at, later_at, config, at), told_at, later_at)


def _said(
    route: Route,
    mine: Sequence[AlertChange],
    told_at: datetime | None,
    later_at: datetime | None,
    config: AlertConfig,
    at: datetime,
) -> str:
    last, receiver = _last(mine, Change.NOTIFIED, Change.HELD, Change.FAILED), route.receiver
    then = f"; it was told at {_clock(later_at)}" if later_at is not None else ""
    if last is not None and last.change is Change.FAILED:
        return f"{receiver} could not be told at {_clock(last.at)}: {_reason(last)}{then}."
    if last is not None and last.change is Change.HELD:
        return f"{receiver} was not told: a storm held it back at {_clock(last.at)} ({_reason(last)}){then}."
    if told_at is not None:
        again = f" and not again before {_clock(later_at)}" if later_at is not None else ""
        return f"{receiver} was told at {_clock(told_at)}{again}."
    if names := muted_by(route.mute_times, route.active_times, config.intervals, at):
        return f"{receiver} was not told: its route is silent at that time ({', '.join(names)}){then}."
    if later_at is not None:
        return f"{receiver} was told only at {_clock(later_at)}, when the group had waited."
    return f"{receiver} was not told: the group had not waited, and it was over before."


def _handled(firing: Sequence[AlertChange]) -> list[str]:
    acknowledged = _last(firing, Change.ACKNOWLEDGED)
    if acknowledged is None:
        return []
    return [f"{acknowledged.actor} had acknowledged it at {_clock(acknowledged.at)}, so it was not repeated."]


def _not_yet(after: Sequence[AlertChange]) -> str:
    began = next((one for one in after if one.change is Change.FIRING), None)
    if began is None:
        return "Nobody was told: nothing is kept of this alert from that time."
    return f"Nobody was told: it fired only at {_clock(began.at)}. Its rule's page says why not before."


def _tells(change: AlertChange, receiver: str) -> bool:
    return change.change is Change.NOTIFIED and change.detail.get("receiver") == receiver


def _last(changes: Sequence[AlertChange], *kinds: Change) -> AlertChange | None:
    return next((one for one in reversed(changes) if one.change in kinds), None)


def _reason(change: AlertChange) -> str:
    return str(change.detail.get("reason") or change.detail.get("note") or "no reason was noted")


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
