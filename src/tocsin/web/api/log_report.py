"""/api/v1/logs/report: the reports of `tocsin logs analyze` over what is stored."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query

from tocsin.detect.patterns.log_report import report_of
from tocsin.model.log_views import BUILT_IN
from tocsin.query.filters import Filter
from tocsin.query.log_report import STORED_COLUMNS, ReportGroup, report_sql, stored_lines
from tocsin.web.api.asked import READING, Asked, Store, note_asked
from tocsin.web.api.contract import BEARER
from tocsin.web.api.log_report_answer import ReportAnswer, plain_report
from tocsin.web.auth import Anybody
from tocsin.web.refusals import RefusingRoute

router = APIRouter(
    prefix="/api/v1/logs/report",
    tags=["telemetry"],
    dependencies=[Depends(BEARER), Depends(note_asked)],
    responses=READING,
    route_class=RefusingRoute,
)


@router.get("", summary="Errors, slow requests and queries, security and business events in log lines")
def read_report(
    store: Store,
    principal: Anybody,
    asked: Asked,
    report: Annotated[list[str] | None, Query(description=f"One or several of {', '.join(BUILT_IN)}; else all")] = None,
    threshold_seconds: Annotated[float | None, Query(ge=0, description="What is slow")] = None,
    service: Annotated[str, Query(description="service.name; all without it")] = "",
) -> ReportAnswer:
    wanted = report or list(BUILT_IN)
    if unknown := [name for name in wanted if name not in BUILT_IN]:
        raise HTTPException(400, f"cannot report '{unknown[0][:40]}': pick of {', '.join(BUILT_IN)}")
    views = [BUILT_IN[name].with_threshold(threshold_seconds) for name in wanted]
    narrowed = Filter(asked.window, asked.environment, asked.tenant, service or None)
    sql = report_sql(stored_lines(narrowed.conditions()), STORED_COLUMNS, views)
    rows = store.read(narrowed.narrowed(principal.scope), sql, **narrowed.parameters()).dicts()
    return plain_report(report_of((ReportGroup(**row) for row in rows), views))
