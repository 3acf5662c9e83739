"""Operation: one critical operation over time, per tenant, with the traces of its latest failures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.model.thresholds import BELOW
from tocsin.query import operations as query
from tocsin.query import traces
from tocsin.query.operations import OperationSeries, profile_of, tone_for
from tocsin.query.traces import TraceQuery
from tocsin.web import operation_headline
from tocsin.web.charts import Chart, Line, settle_rates
from tocsin.web.page import Page
from tocsin.web.view import View, view_of

page = Page(
    id="operation", title="Operation", group="Customers", path="/operations/{operation}", order=4, parent="operations"
)
router = APIRouter()

TRACES, MOST_TENANTS = 10, 200


@router.get(page.path)
def operation(view: Annotated[View, Depends(view_of(page))], operation: str) -> Response:
    rows = query.operations(view.store, view.scope, view.filter, operation)
    row = next(iter(rows), None)
    series = query.series(view.store, view.scope, view.filter, operation)
    tenants = sorted(row.tenants.items() if row else (), key=lambda pair: (-pair[1].failure, -pair[1].runs))[
        :MOST_TENANTS
    ]
    return view.render(
        page_title=operation,
        operation=operation,
        row=row,
        headline=operation_headline.one(view.speech, row, operation),
        charts=_charts(view, operation, series),
        tenants=[(name, tally, tone_for(operation, tally.success_ratio)) for name, tally in tenants],
        failing=_failing(view, operation),
    )


def _failing(view: View, operation: str) -> list[traces.TraceSummary]:
    asked = view.filter
    wanted = TraceQuery(
        asked.window, asked.environment, asked.tenant, status="error", limit=TRACES,
        attributes=(("tocsin.operation", operation),),
    )  # fmt: skip
    return traces.search(view.store, view.scope, wanted)


def _charts(view: View, operation: str, series: OperationSeries) -> list[Chart]:
    window, times = view.window, series.times
    close, harm = BELOW[profile_of(operation)]
    href = view.traces_in(attribute=f"tocsin.operation:{operation}")
    failing = view.traces_in(attribute=f"tocsin.operation:{operation}", status="error")
    rest = view.rest(f"/operations/{operation}")
    runs = settle_rates(series.run_rate, times, series.step_seconds, window)
    failures = settle_rates(series.failure_rate, times, series.step_seconds, window)
    waits = [Line("p50", series.p50_seconds, "c2"), Line("p95", series.p95_seconds, "c1")]
    return [
        Chart(
            "runs", "Runs", "per second", "rate", times,
            [Line("runs", runs, "c1", is_filled=True), Line("failures", failures, "bad")], window, href=href, rest=rest,
        ),
        Chart(
            "success", "Success", "of those not rejected", "percent", times,
            [Line("success", series.success_ratio, "c2")], window, href=failing, rest=rest,
            limits=((close, "warn"), (harm, "bad")),
        ),
        Chart("duration", "Duration", "", "seconds", times, waits, window, href=href, rest=rest),
    ]  # fmt: skip
