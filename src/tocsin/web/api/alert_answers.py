"""What /api/v1/alerts answers with: alerts, clusters, their history, and why who is told."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Literal, cast

from pydantic import BaseModel, Field

from tocsin.alerts.explain import Explanation
from tocsin.alerts.past import PastExplanation
from tocsin.alerts.routed import ROUTES
from tocsin.model.alert_state import AlertChange, KnownAlert
from tocsin.model.tenant import Scope
from tocsin.web.alert_board import AlertBoard

OF_ROUTES = (ROUTES, "group")
"""Details of a change that say how the tree of routes looks, whose matchers may name other tenants."""


class AlertAnswer(BaseModel):
    """An alert as it stands."""

    fingerprint: str
    name: str
    severity: str = Field(description="P0, the worst, to P4")
    state: Literal["active", "suppressed", "resolved"]
    suppressed_by: list[str] = Field(description="inhibition, silence, maintenance or snooze, with why")
    labels: dict[str, str]
    annotations: dict[str, str]
    tenant: str
    starts_at: datetime
    ends_at: datetime | None = Field(description="null while it fires")
    updated_at: datetime
    generator_url: str
    receivers: list[str]
    handling: dict[str, str] = Field(description="Who acknowledged, whom it is assigned to, until when it sleeps")


class ClusterAnswer(BaseModel):
    """Alerts that belong together, the likely root first."""

    root: str
    cause: str
    severity: str
    since: datetime
    fingerprints: list[str]
    tenants: dict[str, int]


class AlertList(BaseModel):
    alerts: list[AlertAnswer]
    clusters: list[ClusterAnswer]
    compression: float = Field(description="The part of the alerts that needs no look of its own, 0 to 1")


class ChangeAnswer(BaseModel):
    """One line of the history."""

    id: int
    at: datetime
    fingerprint: str
    name: str
    tenant: str
    severity: str
    change: str
    actor: str
    detail: dict[str, Any]


class PastWayAnswer(BaseModel):
    """One receiver at a past instant."""

    receiver: str
    sentence: str
    told_at: datetime | None = Field(description="The last time before")
    told_later_at: datetime | None = Field(description="The first time after")
    route: str = Field(description="Its place in the tree of routes")
    line: int = Field(description="The route's line in the alertmanager.yml of then, 0 without one")
    receipt: str = Field(description="What became of the last notification before")


class PastAnswer(BaseModel):
    """Why somebody was told at a past instant, or why nobody was."""

    at: datetime
    state: Literal["active", "suppressed", "resolved", "unknown"]
    sentence: str
    ways: list[PastWayAnswer]
    is_by_routes_of_now: bool = Field(description="Its history does not say which routes it took then")


class AlertDetail(BaseModel):
    alert: AlertAnswer
    sentence: str
    explanation: dict[str, Any]
    history: list[ChangeAnswer]
    then: PastAnswer | None = Field(None, description="Why who was told at the instant that was asked for")


def alert_answer(board: AlertBoard, known: KnownAlert) -> AlertAnswer:
    alert = known.alert
    return AlertAnswer(
        fingerprint=known.fingerprint,
        name=alert.name,
        severity=alert.severity.name,
        state=board.state(known),
        suppressed_by=[hold.reason for hold in board.holds(known)],
        labels=dict(alert.labels),
        annotations=dict(alert.annotations),
        tenant=alert.tenant,
        starts_at=alert.starts_at,
        ends_at=None if known.is_firing(board.now) else alert.ends_at,
        updated_at=known.updated_at,
        generator_url=alert.generator_url,
        receivers=board.receivers(known),
        handling=known.handling.plain(),
    )


def change_answer(change: AlertChange, scope: Scope) -> ChangeAnswer:
    hidden = () if scope.is_platform else OF_ROUTES
    return ChangeAnswer(
        id=change.id,
        at=change.at,
        fingerprint=change.fingerprint,
        name=change.name,
        tenant=change.tenant,
        severity=change.severity.name,
        change=change.change.value,
        actor=change.actor,
        detail={name: value for name, value in change.detail.items() if name not in hidden},
    )


def plain_explanation(made: Explanation, scope: Scope) -> dict[str, Any]:
    is_open = scope.is_platform  # routes may name other tenants
    return {
        "state": made.state,
        "holds": [{"by": hold.by, "reason": hold.reason, "ids": list(hold.ids)} for hold in made.holds],
        "routes": [
            {
                "route": way.route if is_open else "",
                "line": way.line if is_open else 0,
                "receiver": way.receiver,
                "group_key": way.group_key if is_open else "",
                "group_labels": dict(way.group_labels),
                "holds": [{"by": hold.by, "reason": hold.reason, "ids": list(hold.ids)} for hold in way.holds],
                "is_storm": way.is_storm,
                "told_at": way.told_at,
                "next_look": way.next_look,
                "sentence": way.sentence,
                "notifications": [
                    {
                        "key": one.notification.key,
                        "made_at": one.notification.made_at,
                        "state": one.state,
                        "ended_at": one.ended_at,
                        "reason": one.reason,
                        "reference": one.reference,
                        "digest_key": one.digest_key,
                    }
                    for one in way.notifications
                ],
            }
            for way in made.ways
        ],
    }


def past_answer(made: PastExplanation, scope: Scope) -> PastAnswer:
    told = made.ways if scope.is_platform else [replace(way, route="", line=0) for way in made.ways]
    ways = [PastWayAnswer(**asdict(way)) for way in told]
    return PastAnswer(
        at=made.at,
        state=cast("Any", made.state),
        sentence=made.sentence,
        ways=ways,
        is_by_routes_of_now=made.is_by_routes_of_now,
    )
