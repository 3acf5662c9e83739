"""Rules over stored history: how often they would have fired, at night, and how often they would have been right."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from tocsin.detect.rules.alerting import moment
from tocsin.detect.rules.precision import Mark, precision
from tocsin.detect.rules.replay import Replayed, backtest
from tocsin.web.api.contract import BEARER, REFUSALS
from tocsin.web.api.dashboards import BodyText
from tocsin.web.api.rules import PeriodShown, ms_of, periods_shown, rules_in
from tocsin.web.auth import Viewer
from tocsin.web.backtest_marks import marks_of
from tocsin.web.refusals import RefusingRoute
from tocsin.web.ruling import surroundings_for, tally

router = APIRouter(
    prefix="/api/v1/rules",
    tags=["rules"],
    dependencies=[Depends(BEARER)],
    responses=REFUSALS,
    route_class=RefusingRoute,
)


class Backtested(BaseModel):
    """One rule over stored history. night_pages: fires between 22:00 and 07:00 UTC of P0 to P2."""

    rule: str
    severity: str
    fires: int
    night_pages: int
    firing_seconds: float
    longest_seconds: float
    real: int = Field(description="Fires in an incident, or about which somebody acted")
    noise: int = Field(description="Fires that were called false")
    unjudged: int = Field(description="Fires of which nobody said anything")
    missed: int = Field(description="Incidents in which it did not fire")
    after_deploys: int = Field(description="Fires within a quarter of an hour after a deploy")
    precision: float | None = Field(description="Of the fires that were judged, how many were real, 0 to 1")
    error: str
    periods: list[PeriodShown]


class Backtests(BaseModel):
    start: datetime
    end: datetime
    incidents: int = Field(description="Incidents that were marked in this time")
    rules: list[Backtested]


@router.post("/backtest", summary="Rules over stored history")
def backtest_rules(
    request: Request,
    viewer: Viewer,
    text: BodyText,
    since: Annotated[str, Query(description="How far back, such as 7d")] = "7d",
) -> Backtests:
    """The rule file is the body. Judged by what people did about alerts of the same name, and by `tocsin.incident`."""
    file = rules_in(text, "these rules")
    now_ms = int(time.time() * 1000)
    start_ms = now_ms - ms_of(since)
    found = backtest(file, surroundings_for(request, viewer, file.tenant), start_ms, now_ms, 60.0)
    marks = marks_of(request, viewer, moment(start_ms), moment(now_ms))
    alerting = [one for one in found if one.rule.is_alerting or one.error]
    return Backtests(
        start=moment(start_ms),
        end=moment(now_ms),
        incidents=sum(1 for mark in marks if mark.kind == "incident"),
        rules=[_backtested(one, marks, now_ms) for one in alerting],
    )


def _backtested(found: Replayed, marks: list[Mark], now_ms: int) -> Backtested:
    sums, judged = tally(found, found.rule.severity), precision(found, marks, now_ms)
    return Backtested(
        rule=found.rule.name,
        severity=found.rule.severity.name,
        fires=sums.fires,
        night_pages=sums.night_pages,
        firing_seconds=sums.firing_seconds,
        longest_seconds=sums.longest_seconds,
        real=judged.real,
        noise=judged.noise,
        unjudged=judged.unjudged,
        missed=judged.missed,
        after_deploys=judged.after_deploys,
        precision=judged.ratio,
        error=found.error,
        periods=periods_shown(found),
    )
