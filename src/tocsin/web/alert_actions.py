"""What the buttons of the alerting pages do; operators only. Each returns to the page it was pressed on."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from tocsin.alerts.handling import Handler
from tocsin.alerts.matcher_text import MatcherError, plain_matcher, read_matchers
from tocsin.alerts.silence import checked
from tocsin.model.access import Principal
from tocsin.model.silence import LabelMatcher
from tocsin.storage.control import InvalidInput
from tocsin.web.alert_board import alert_board, of_group
from tocsin.web.alerting import alert_for, pipeline_of
from tocsin.web.api.alerts import duration_of
from tocsin.web.auth import Operator
from tocsin.web.paths import at, safe_next
from tocsin.web.refusals import RefusingRoute
from tocsin.web.state import control_of

router = APIRouter(include_in_schema=False, route_class=RefusingRoute)
Text = Annotated[str, Form()]


@router.post("/alerts-acknowledge")
def acknowledge_group(request: Request, operator: Operator, group: Text) -> Response:
    """Everything of a group that fires and that nobody has acknowledged."""
    board = alert_board(request, operator.scope)
    handler = Handler(board.pipeline)
    for known in of_group(board, group):
        if not known.handling.acknowledged_by:
            handler.acknowledge(operator, known)
    return _back(request, f"/alerts?{urlencode({'group': group})}")


@router.post("/alerts-declare")
def declare_group(request: Request, operator: Operator, group: Text) -> Response:
    """Everything of a group that fires."""
    board = alert_board(request, operator.scope)
    handler = Handler(board.pipeline)
    for known in of_group(board, group):
        if known.is_firing(board.now):
            handler.declare(operator, known)
    return _back(request, f"/alerts?{urlencode({'group': group})}")


@router.post("/alerts/{fingerprint}/{action}")
def handle(
    request: Request,
    operator: Operator,
    fingerprint: str,
    action: str,
    duration: Text = "1h",
    note: Text = "",
    to: Text = "",
    back: Text = "",
) -> Response:
    """action: ack, release, silence, assign, snooze, resolve, declare or false-positive."""
    known = alert_for(request, operator.scope, fingerprint)
    handler = Handler(pipeline_of(request))
    match action:
        case "ack":
            handler.acknowledge(operator, known, note)
        case "release":
            handler.release(operator, known, note)
        case "assign":
            handler.assign(operator, known, to or operator.name, note)
        case "snooze":
            handler.snooze(operator, known, duration_of(duration), note)
        case "resolve":
            handler.resolve(operator, known, note)
        case "declare":
            handler.declare(operator, known, note)
        case "false-positive":
            handler.mark_false_positive(operator, known, note)
        case "silence":
            matchers = [LabelMatcher(name, value) for name, value in known.alert.labels.items()]
            _silence(request, operator, matchers, duration_of(duration), note or f"from the alert {known.alert.name}")
        case _:
            raise InvalidInput(f"cannot do {action[:40]!r} with an alert: there is no such action")
    return _back(request, back or "/alerts")


@router.post("/silences")
def add_silence(request: Request, operator: Operator, matchers: Text, duration: Text, comment: Text = "") -> Response:
    """matchers: such as alertname="Down", tenant=~"a|b"."""
    try:
        given = [plain_matcher(matcher) for matcher in read_matchers(matchers)]
    except MatcherError as error:
        raise InvalidInput(str(error)) from error
    _silence(request, operator, given, duration_of(duration), comment)
    return _back(request, "/silences")


@router.post("/silences/{id}/expire")
def expire_silence(request: Request, operator: Operator, id: str) -> Response:
    control_of(request).silences.expire(operator, id)
    pipeline_of(request).wake()
    return _back(request, "/silences")


@router.post("/maintenance")
def begin_maintenance(request: Request, operator: Operator, duration: Text, reason: Text = "") -> Response:
    pipeline = pipeline_of(request)
    ends_at = pipeline.clock() + duration_of(duration)
    control_of(request).maintenances.begin(operator, ends_at=ends_at, reason=reason)
    pipeline.wake()
    return _back(request, "/silences")


@router.post("/maintenance/end")
def end_maintenance(request: Request, operator: Operator) -> Response:
    control_of(request).maintenances.end(operator)
    pipeline_of(request).wake()
    return _back(request, "/silences")


def _silence(
    request: Request, operator: Principal, matchers: list[LabelMatcher], length: timedelta, comment: str
) -> None:
    pipeline = pipeline_of(request)
    now = pipeline.clock()
    control_of(request).silences.set(
        operator, matchers=checked(matchers), starts_at=now, ends_at=now + length, comment=comment
    )
    pipeline.wake()


def _back(request: Request, path: str) -> Response:
    return RedirectResponse(safe_next(request, path if path.startswith(at(request, "/")) else at(request, path)), 303)
