"""Which routes an alert took, written into its history, so that the past is told by the routes of then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tocsin.alerts.decide import ON_A_ROUTE, Hold
from tocsin.alerts.intake import Taken
from tocsin.alerts.route import Route, route_alert
from tocsin.model.alert_state import AlertChange, Change, KnownAlert, change_of

ROUTES = "routes"
"""Name of the detail of a change: [{"receiver": …, "route": …, "line": …}, …]."""


@dataclass(frozen=True, slots=True)
class Taking:
    """A route that an alert took. line: in the alertmanager.yml of then."""

    receiver: str
    route: str
    line: int = 0

    def plain(self) -> dict[str, Any]:
        return {"receiver": self.receiver, "route": self.route, "line": self.line}


def takings(tree: Route, labels: Mapping[str, str]) -> list[Taking]:
    """The routes an alert takes, one for each receiver, in order."""
    found: dict[str, Taking] = {}
    for route in route_alert(tree, labels):
        found.setdefault(route.receiver, Taking(route.receiver, route.key, route.line))
    return list(found.values())


def takings_in(changes: Sequence[AlertChange]) -> list[Taking] | None:
    """Those the last of these changes tells of; None where none does."""
    said = next((one.detail[ROUTES] for one in reversed(changes) if ROUTES in one.detail), None)
    return None if said is None else [Taking(one["receiver"], one["route"], one["line"]) for one in said]


def with_routes(taken: Taken, tree: Route) -> Taken:
    """What arrived, each firing with the routes it takes."""
    taken.changes = [
        replace(one, detail={**one.detail, ROUTES: _plain(tree, taken.known[one.fingerprint])})
        if one.change is Change.FIRING
        else one
        for one in taken.changes
    ]
    return taken


def rerouted(
    firing: Iterable[KnownAlert], before: Mapping[str, Sequence[Mapping[str, Any]]], tree: Route, now: datetime
) -> list[AlertChange]:
    """What changes for alerts that fire when the tree is another. before: their routes until now, by fingerprint."""
    made = []
    for known in firing:
        routes = _plain(tree, known)
        if _names(routes) != _names(before.get(known.fingerprint, ())):
            said: dict[str, Any] = {ROUTES: routes, "reason": ", ".join(one["receiver"] for one in routes)}
            made.append(change_of(known.alert, now, Change.ROUTED, fingerprint=known.fingerprint, **said))
    return made


class Mutes:
    """Which alerts a route holds back by its times or a cooldown; notes when that begins and ends."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, str], str] = {}  # by fingerprint and receiver

    def noted(
        self, members: Iterable[KnownAlert], receiver: str, held: Mapping[str, Sequence[Hold]], now: datetime
    ) -> list[AlertChange]:
        """held: what holds each member back, by fingerprint."""
        made = []
        for known in members:
            key = known.fingerprint, receiver
            before = self._reasons.get(key, "")
            reason = "; ".join(hold.reason for hold in held.get(known.fingerprint, ()) if hold.by in ON_A_ROUTE)
            if not known.is_firing(now):
                self._reasons.pop(key, None)
            elif reason != before:
                self._reasons[key] = reason
                change = Change.MUTED if reason else Change.UNMUTED
                said = {"receiver": receiver, "reason": reason or f"no longer {before}"}
                made.append(change_of(known.alert, now, change, fingerprint=known.fingerprint, **said))
        return made

    def forget(self, open: Mapping[str, KnownAlert]) -> None:
        """All but those of alerts that are open."""
        self._reasons = {key: reason for key, reason in self._reasons.items() if key[0] in open}


def _plain(tree: Route, known: KnownAlert) -> list[dict[str, Any]]:
    return [one.plain() for one in takings(tree, known.alert.labels)]


def _names(routes: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """A route is the same on another line."""
    return [(one["receiver"], one["route"]) for one in routes]
