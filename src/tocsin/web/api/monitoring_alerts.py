"""/api/v1/monitoring: alerts/history, what happened to alerts; dashboard, one call that feeds a board."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import BaseModel

from tocsin.model.alert_state import AlertChange, Change
from tocsin.model.severity import Severity
from tocsin.model.tenant import Scope
from tocsin.query import errors, red, tenants
from tocsin.query.timerange import TimeRangeError, instant_ns
from tocsin.web.alert_board import alert_board
from tocsin.web.alerting import pipeline_of
from tocsin.web.api.alert_answers import ChangeAnswer, alert_answer, change_answer
from tocsin.web.api.alerts import duration_of
from tocsin.web.api.asked import READING, Asked, Store, note_asked
from tocsin.web.api.contract import BEARER, REFUSALS
from tocsin.web.api.services import EndpointAnswer, RedAnswer
from tocsin.web.auth import Anybody
from tocsin.web.refusals import RefusingRoute
from tocsin.web.state import control_of

router = APIRouter(
    prefix="/api/v1/monitoring", tags=["monitoring"], dependencies=[Depends(BEARER)], route_class=RefusingRoute
)
COLUMNS = ("id", "at", "fingerprint", "name", "tenant", "severity", "change", "actor", "detail")


class HistoryPage(BaseModel):
    """Changes, the newest first; `next_before_id` asks for the page after, null when this was the last."""

    changes: list[ChangeAnswer]
    next_before_id: int | None


@router.get("/alerts/history", summary="What happened to alerts", response_model=HistoryPage, responses=REFUSALS)
def history(
    request: Request,
    principal: Anybody,
    start: Annotated[str, Query(description="Unix seconds or ISO 8601; default: all that is kept")] = "",
    end: Annotated[str, Query(description="Unix seconds or ISO 8601; default now")] = "",
    last: Annotated[str, Query(description="Such as 24h, instead of start")] = "",
    name: str = "",
    fingerprint: str = "",
    tenant: str = "",
    change: Annotated[Change | None, Query()] = None,
    severity: Annotated[Literal["P0", "P1", "P2", "P3", "P4"] | None, Query(description="At least this")] = None,
    before_id: int | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    format: Annotated[Literal["json", "csv"], Query(description="csv to open it in a spreadsheet")] = "json",
) -> Response:
    """Filter, page through with before_id, or export: every change of every alert with who and why."""
    since = pipeline_of(request).clock() - duration_of(last) if last else _instant(start)
    found = control_of(request).alerts.history(
        principal.scope,
        start=since,
        end=_instant(end),
        name=name,
        fingerprint=fingerprint,
        tenant=tenant,
        change=change.value if change else "",
        severities=[int(each) for each in Severity if severity is not None and each <= Severity[severity]],
        before_id=before_id,
        limit=limit,
    )
    if format == "csv":
        headers = {"Content-Disposition": 'attachment; filename="alert-history.csv"'}
        return Response(csv_of(found, principal.scope), media_type="text/csv; charset=utf-8", headers=headers)
    answers = [change_answer(each, principal.scope) for each in found]
    page = HistoryPage(changes=answers, next_before_id=answers[-1].id if len(answers) == limit else None)
    return Response(page.model_dump_json(), media_type="application/json")


@router.get("/dashboard", summary="Everything a board needs, in one call", responses=READING)
def dashboard(
    request: Request,
    store: Store,
    principal: Anybody,
    asked: Asked,
    _: Annotated[None, Depends(note_asked)],
) -> dict[str, Any]:
    """Health, rate, errors and durations, who is hurt, what fires, the worst endpoints and faults."""
    scope = principal.scope
    board = alert_board(request, scope, tenant=asked.tenant or "")
    vitals = getattr(request.app.state.tocsin, "vitals", None)
    worst = [known for known in board.alerts if board.state(known) == "active"][:50]
    return {
        "status": vitals.status if vitals else "ok",
        "at": datetime.now(UTC),
        "requests": RedAnswer.model_validate(red.totals(store, scope, asked)),
        "tenants_hurt": [
            {"tenant": each.tenant, "errors": each.errors, "requests": each.requests}
            for each in tenants.harmed(store, scope, asked)
        ],
        "alerts": {
            "active": len(board.active),
            "suppressed": len(board.suppressed),
            "by_severity": {
                level.name: sum(1 for known in board.active if known.alert.severity is level) for level in Severity
            },
            "worst": [alert_answer(board, known) for known in worst],
            "problems": board.problems,
        },
        "endpoints": [EndpointAnswer.model_validate(row) for row in red.endpoints(store, scope, asked, limit=10)],
        "errors": [
            {"fingerprint": group.fingerprint, "type": group.type, "message": group.message, "count": group.count}
            for group in errors.error_groups(store, scope, asked, limit=10)
        ],
    }


def csv_of(changes: Sequence[AlertChange], scope: Scope) -> str:
    """One row a change; a cell that a spreadsheet would take for a formula is quoted by an apostrophe."""
    written = io.StringIO()
    rows = csv.writer(written)
    rows.writerow(COLUMNS)
    for change in changes:
        answer = change_answer(change, scope)
        values = [getattr(answer, column) for column in COLUMNS[:-1]]
        detail = orjson.dumps(answer.detail).decode() if answer.detail else ""
        rows.writerow(
            [_cell(value.isoformat() if isinstance(value, datetime) else value) for value in (*values, detail)]
        )
    return written.getvalue()


def _cell(value: Any) -> str:
    text = str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromtimestamp(instant_ns(text, UTC) / 1e9, UTC)
    except TimeRangeError as error:
        raise HTTPException(400, str(error)) from error
