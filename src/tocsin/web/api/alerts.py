"""/api/v1/alerts: what fires, why who is told, and what people do about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, Field

from tocsin.alerts.correlate import compression
from tocsin.alerts.explain import explain
from tocsin.alerts.handling import Handler
from tocsin.alerts.matcher_text import MatcherError, plain_matcher, read_matchers
from tocsin.alerts.review import review
from tocsin.model.access import Principal
from tocsin.model.alert_state import KnownAlert
from tocsin.model.severity import is_known, severity_of
from tocsin.model.silence import LabelMatcher, Maintenance
from tocsin.query.promql.literals import parse_duration_ms
from tocsin.storage.control import InvalidInput
from tocsin.web.alert_board import AlertBoard, alert_board
from tocsin.web.alerting import alert_for, past, pipeline_of
from tocsin.web.api.alert_answers import (
    AlertAnswer,
    AlertDetail,
    AlertList,
    ClusterAnswer,
    alert_answer,
    change_answer,
    past_answer,
    plain_explanation,
)
from tocsin.web.api.contract import BEARER, MISSING, REFUSALS
from tocsin.web.auth import Anybody, Operator, Viewer
from tocsin.web.refusals import RefusingRoute
from tocsin.web.state import control_of

router = APIRouter(
    prefix="/api/v1/alerts",
    tags=["alerts"],
    dependencies=[Depends(BEARER)],
    responses=REFUSALS,
    route_class=RefusingRoute,
)
DAY_SECONDS = 86_400


class Note(BaseModel):
    note: str = Field("", max_length=1000)


class Assignment(Note):
    to: str = Field(description="Who takes care of it, such as an e-mail address")


class Snooze(Note):
    duration: str = Field("1h", examples=["1h30m"])


class NewMaintenance(BaseModel):
    duration: str = Field(examples=["2h"])
    reason: str = Field("", max_length=1000)
    matchers: list[str] = Field(default_factory=list, examples=[['tenant="acme"']])


@router.get("", summary="What fires now")
def list_alerts(
    request: Request,
    principal: Anybody,
    state: Literal["firing", "active", "suppressed", "resolved", "all"] = "firing",
    tenant: str = "",
    name: str = "",
    severity: Annotated[str, Query(description="At least this: P0 to P4, or a word such as critical")] = "P4",
) -> AlertList:
    """resolved and all: with those that ended within the time the history is kept."""
    if not is_known(severity):
        words = "it is none of P0 to P4 and no word for one, such as critical or low"
        raise HTTPException(422, f"cannot use severity {severity[:20]!r}: {words}")
    board = alert_board(request, principal.scope, tenant=tenant, with_resolved=state in ("resolved", "all"))
    wanted = {"firing": ("active", "suppressed"), "all": ("active", "suppressed", "resolved")}.get(state, (state,))
    chosen = [
        known
        for known in board.alerts
        if board.state(known) in wanted
        and (not name or known.alert.name == name)
        and known.alert.severity <= severity_of(severity)
    ]
    shown = {known.fingerprint for known in chosen}
    clusters = [
        ClusterAnswer(
            root=cluster.root.fingerprint,
            cause=cluster.cause,
            severity=cluster.severity.name,
            since=cluster.since,
            fingerprints=[alert.fingerprint for alert in cluster.alerts],
            tenants=cluster.tenants,
        )
        for cluster in board.clusters
        if any(alert.fingerprint in shown for alert in cluster.alerts)
    ]
    return AlertList(
        alerts=[alert_answer(board, known) for known in chosen],
        clusters=clusters,
        compression=round(compression(board.clusters), 4),
    )


@router.get("/status", summary="How is the pipeline?")
def status(request: Request, principal: Viewer) -> dict[str, Any]:
    """Storms, maintenance, faults of the configuration, and what of it is not carried out."""
    board = alert_board(request, principal.scope)
    pipeline, now = pipeline_of(request), board.now
    return {
        "firing": len(board.firing),
        "suppressed": len(board.suppressed),
        "refused": pipeline.refused,
        "problems": board.problems,
        "not_carried_out": list(pipeline.config.ignored),
        "maintenance": [_maintenance(one, board) for one in control_of(request).maintenances.all() if one.is_on(now)],
        "storms": _storms(board),
    }


@router.get("/storm", summary="Is there a storm, and what is its root?")
def storm(request: Request, principal: Viewer) -> dict[str, Any]:
    """Receivers that get digests instead of single notifications, and the likely root among what fires."""
    board = alert_board(request, principal.scope)
    settings = pipeline_of(request).settings
    return {
        "limits": {
            "same": [settings.storm_same_count, settings.storm_same_seconds],
            "total": [settings.storm_total_count, settings.storm_total_seconds],
        },
        "storms": _storms(board),
        "clusters": [
            {
                "root": cluster.root.name,
                "cause": cluster.cause,
                "alerts": len(cluster.alerts),
                "tenants": cluster.tenants,
            }
            for cluster in board.clusters[:20]
        ],
        "compression": round(compression(board.clusters), 4),
    }


@router.get("/review", summary="Which alerts are noise?")
def review_alerts(request: Request, principal: Viewer, last: str = "24h") -> dict[str, Any]:
    """The noisiest names first, with what made people act, false alarms, nights, flapping, and what to do about it."""
    now = pipeline_of(request).clock()
    start = now - duration_of(last)
    changes = control_of(request).alerts.history(principal.scope, start=start, limit=100_000)
    made = review(changes, UTC, now)
    ratios = ("false_positive_ratio", "acknowledged_ratio", "actionable_ratio")
    rows = [{field: getattr(one, field) for field in (*one.__slots__, *ratios)} for one in made.names]
    together = [{"names": [one, other], "times": count} for one, other, count in made.together]
    critical = {"fired": made.critical_fired, "false": made.critical_false, "false_ratio": made.critical_false_ratio}
    sums = {"since": start, "fired": made.fired, "notified": made.notified, "critical": critical}
    return sums | {"names": rows, "together": together}


@router.get("/maintenance", summary="Maintenance, and what it holds back")
def maintenances(request: Request, principal: Viewer) -> dict[str, Any]:
    board = alert_board(request, principal.scope)
    return {"maintenance": [_maintenance(one, board) for one in control_of(request).maintenances.all()]}


@router.post("/maintenance", summary="Begin maintenance: nobody is told", status_code=201)
def begin_maintenance(request: Request, operator: Operator, given: NewMaintenance) -> dict[str, Any]:
    """It ends by itself; what it held back is listed, and what still fires then is told."""
    pipeline = pipeline_of(request)
    begun = control_of(request).maintenances.begin(
        operator,
        ends_at=pipeline.clock() + duration_of(given.duration),
        reason=given.reason,
        matchers=_matchers(given.matchers),
    )
    pipeline.wake()
    return _maintenance(begun, alert_board(request, operator.scope))


@router.delete("/maintenance", summary="End maintenance now")
def end_maintenance(request: Request, operator: Operator) -> dict[str, Any]:
    board = alert_board(request, operator.scope)
    ended = control_of(request).maintenances.end(operator)
    pipeline_of(request).wake()
    return {"ended": [_maintenance(one, board) for one in ended]}


@router.get("/{fingerprint}", summary="One alert, and why who is told", responses=MISSING)
def detail(
    request: Request,
    principal: Anybody,
    fingerprint: str,
    at: Annotated[datetime | None, Query(description="A past instant: why who was told then")] = None,
) -> AlertDetail:
    known = alert_for(request, principal.scope, fingerprint)
    board = alert_board(request, principal.scope)
    made = explain(pipeline_of(request), known)
    history = control_of(request).alerts.history(principal.scope, fingerprint=fingerprint, limit=200)
    return AlertDetail(
        alert=alert_answer(board, known),
        sentence=made.sentence,
        explanation=plain_explanation(made, principal.scope),
        history=[change_answer(change, principal.scope) for change in history],
        then=None if at is None else past_answer(past(request, principal.scope, known, at), principal.scope),
    )


@router.post("/{fingerprint}/ack", summary="Acknowledge an alert", responses=MISSING)
def acknowledge(request: Request, operator: Operator, fingerprint: str, given: Note | None = None) -> AlertAnswer:
    """It is not repeated any more; what is new in its group is told."""
    note = given.note if given else ""
    return _handled(request, operator, fingerprint, lambda handler, known: handler.acknowledge(operator, known, note))


@router.post("/{fingerprint}/release", summary="Take back an acknowledgement", responses=MISSING)
def release(request: Request, operator: Operator, fingerprint: str, given: Note | None = None) -> AlertAnswer:
    """Nobody has it any more: it is repeated again while it fires."""
    note = given.note if given else ""
    return _handled(request, operator, fingerprint, lambda handler, known: handler.release(operator, known, note))


@router.post("/{fingerprint}/assign", summary="Assign an alert", responses=MISSING)
def assign(request: Request, operator: Operator, fingerprint: str, given: Assignment) -> AlertAnswer:
    return _handled(
        request, operator, fingerprint, lambda handler, known: handler.assign(operator, known, given.to, given.note)
    )


@router.post("/{fingerprint}/snooze", summary="Snooze an alert", responses=MISSING)
def snooze(request: Request, operator: Operator, fingerprint: str, given: Snooze) -> AlertAnswer:
    """Nobody is told of it for so long."""
    length = duration_of(given.duration)
    return _handled(
        request, operator, fingerprint, lambda handler, known: handler.snooze(operator, known, length, given.note)
    )


@router.post("/{fingerprint}/resolve", summary="Resolve an alert by hand", responses=MISSING)
def resolve(request: Request, operator: Operator, fingerprint: str, given: Note | None = None) -> AlertAnswer:
    """Until it fires anew."""
    note = given.note if given else ""
    return _handled(request, operator, fingerprint, lambda handler, known: handler.resolve(operator, known, note))


@router.post("/{fingerprint}/declare", summary="Declare an alert an incident", responses=MISSING)
def declare(request: Request, operator: Operator, fingerprint: str, given: Note | None = None) -> AlertAnswer:
    """Where Slack is told by a bot's token, a channel is made for it."""
    note = given.note if given else ""
    return _handled(request, operator, fingerprint, lambda handler, known: handler.declare(operator, known, note))


@router.post("/{fingerprint}/false-positive", summary="Call an alert false", responses=MISSING)
def false_positive(request: Request, operator: Operator, fingerprint: str, given: Note | None = None) -> AlertAnswer:
    """It counts in the rate of false alarms of its rule."""
    note = given.note if given else ""
    return _handled(
        request, operator, fingerprint, lambda handler, known: handler.mark_false_positive(operator, known, note)
    )


def duration_of(text: str) -> timedelta:
    """Raises InvalidInput."""
    try:
        return timedelta(milliseconds=parse_duration_ms(text.strip()))
    except ValueError as error:
        raise InvalidInput(f"cannot use duration {text[:40]!r}: {error}; write it as 2h or 1h30m") from error


def _handled(
    request: Request, operator: Principal, fingerprint: str, act: Callable[[Handler, KnownAlert], KnownAlert]
) -> AlertAnswer:
    known = alert_for(request, operator.scope, fingerprint)
    after = act(Handler(pipeline_of(request)), known)
    return alert_answer(alert_board(request, operator.scope), after)


def _matchers(texts: list[str]) -> list[LabelMatcher]:
    try:
        return [plain_matcher(matcher) for text in texts for matcher in read_matchers(text)]
    except MatcherError as error:
        raise InvalidInput(str(error)) from error


def _maintenance(one: Maintenance, board: AlertBoard) -> dict[str, Any]:
    return {
        "id": one.id,
        "is_on": one.is_on(board.now),
        "starts_at": one.starts_at,
        "ends_at": one.ends_at,
        "created_by": one.created_by,
        "ended_by": one.ended_by,
        "reason": one.reason,
        "matchers": [str(matcher) for matcher in one.matchers],
        "held_back": [
            {"fingerprint": change.fingerprint, "name": change.name, "severity": change.severity.name, "at": change.at}
            for change in board.held_by(one)
        ],
    }


def _storms(board: AlertBoard) -> list[dict[str, Any]]:
    return [
        {"receiver": receiver, "notifications": len(held), "alerts": sum(len(one.alerts) for one in held)}
        for receiver, held in board.storms.items()
    ]
