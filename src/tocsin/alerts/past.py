"""Why somebody was told of an alert at a past instant, or why nobody was: out of its history, by the routes of then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tocsin.alerts.config import AlertConfig
from tocsin.alerts.routed import Taking, takings, takings_in
from tocsin.model.alert_state import AlertChange, Change
from tocsin.storage.control.notifications import StoredNotification

_ENDED = (Change.RESOLVED, Change.EXPIRED)

Sent = Callable[[Collection[str]], Mapping[str, StoredNotification]]
"""What became of notifications, by their keys."""


@dataclass(frozen=True, slots=True)
class PastWay:
    """One receiver of the alert. told_at: the last time before; told_later_at: the first time after.

    route: its place in the tree, with its line in the alertmanager.yml of then. receipt: what the receiver answered.
    """

    receiver: str
    sentence: str
    told_at: datetime | None
    told_later_at: datetime | None
    route: str = ""
    line: int = 0
    receipt: str = ""


@dataclass(frozen=True, slots=True)
class PastExplanation:
    """state: active, suppressed, resolved (it had ended) or unknown (nothing of it is kept from before).

    is_by_routes_of_now: its history does not say where it went then, so the ways are those it would take now.
    """

    at: datetime
    state: str
    sentence: str
    ways: tuple[PastWay, ...] = ()
    is_by_routes_of_now: bool = False


def explain_at(
    labels: Mapping[str, str], history: Sequence[AlertChange], config: AlertConfig, at: datetime, sent: Sent
) -> PastExplanation:
    """history: every change of the alert that is kept, in any order. config: for histories that name no routes."""
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
    taken = takings_in(firing)
    routes = takings(config.route, labels) if taken is None else taken
    ways = tuple(_way(route, firing, after, sent) for route in routes)
    held = _last(firing, Change.SUPPRESSED, Change.UNSUPPRESSED)
    if held is not None and held.change is Change.SUPPRESSED:
        sentence = f"Nobody was told since {_clock(held.at)}: {_reason(held)}."
        return PastExplanation(at, "suppressed", sentence, ways, taken is None)
    said = [*(way.sentence for way in ways), *_handled(firing)]
    if taken is None:
        said.append("These are the routes of now: those of then are not in its history.")
    return PastExplanation(at, "active", " ".join(said), ways, taken is None)


def _way(route: Taking, firing: Sequence[AlertChange], after: Sequence[AlertChange], sent: Sent) -> PastWay:
    mine, later = _of(route.receiver, firing), _of(route.receiver, after)
    told, told_later = _last(mine, Change.NOTIFIED), _first(later, Change.NOTIFIED)
    receipt = _receipt(told, sent)
    told_at, later_at = told.at if told else None, told_later.at if told_later else None
    sentence = _said(route.receiver, mine, later, receipt)
    return PastWay(route.receiver, sentence, told_at, later_at, route.route, route.line, receipt)


def _said(receiver: str, mine: Sequence[AlertChange], after: Sequence[AlertChange], receipt: str) -> str:
    last, told_later = _last(mine, Change.NOTIFIED, Change.HELD, Change.FAILED), _first(after, Change.NOTIFIED)
    muted = _last(mine, Change.MUTED, Change.UNMUTED)
    then = f"; it was told at {_clock(told_later.at)}" if told_later is not None else ""
    if last is not None and last.change is Change.FAILED:
        return f"{receiver} could not be told at {_clock(last.at)}: {_reason(last)}{then}."
    if last is not None and last.change is Change.HELD:
        return f"{receiver} was not told: a storm held it back at {_clock(last.at)} ({_reason(last)}){then}."
    is_muted = muted is not None and muted.change is Change.MUTED
    if last is not None:
        answered = f" ({receipt})" if receipt else ""
        if is_muted and muted is not None:
            again = f"; its route held it back from {_clock(muted.at)} on ({_reason(muted)})"
        else:
            again = f" and not again before {_clock(told_later.at)}" if told_later is not None else ""
        return f"{receiver} was told at {_clock(last.at)}{answered}{again}."
    if is_muted and muted is not None:
        return f"{receiver} was not told: its route held it back from {_clock(muted.at)} on ({_reason(muted)}){then}."
    first = _first(after, Change.MUTED, Change.NOTIFIED)
    if first is not None and first.change is Change.MUTED:
        return f"{receiver} was not told: its group had not waited, and then its route held it back ({_reason(first)})."
    if told_later is not None:
        return f"{receiver} was told only at {_clock(told_later.at)}, when the group had waited."
    return f"{receiver} was not told: the group had not waited, and it was over before."


def _receipt(told: AlertChange | None, sent: Sent) -> str:
    """What became of the last notification, in words; '' where nothing is known of it."""
    key = str(told.detail.get("key", "")) if told is not None else ""
    found = sent([key]).get(key) if key else None
    if found is None:
        return ""
    answer = found.reference or found.reason
    when = f" at {found.ended_at:%H:%M:%S} UTC" if found.ended_at else ""
    return f"{'receipt' if found.state == 'sent' else found.state}{f' {answer}' if answer else ''}{when}"


def _of(receiver: str, changes: Sequence[AlertChange]) -> list[AlertChange]:
    return [one for one in changes if one.detail.get("receiver") == receiver]


def _handled(firing: Sequence[AlertChange]) -> list[str]:
    acknowledged = _last(firing, Change.ACKNOWLEDGED, Change.RELEASED)
    if acknowledged is None or acknowledged.change is Change.RELEASED:
        return []
    return [f"{acknowledged.actor} had acknowledged it at {_clock(acknowledged.at)}, so it was not repeated."]


def _not_yet(after: Sequence[AlertChange]) -> str:
    began = _first(after, Change.FIRING)
    if began is None:
        return "Nobody was told: nothing is kept of this alert from that time."
    return f"Nobody was told: it fired only at {_clock(began.at)}. Its rule's page says why not before."


def _last(changes: Sequence[AlertChange], *kinds: Change) -> AlertChange | None:
    return _first(list(reversed(changes)), *kinds)


def _first(changes: Sequence[AlertChange], *kinds: Change) -> AlertChange | None:
    return next((one for one in changes if one.change in kinds), None)


def _reason(change: AlertChange) -> str:
    return str(change.detail.get("reason") or change.detail.get("note") or "no reason was noted")


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
