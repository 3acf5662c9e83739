"""/prometheus/federate: the newest samples as text, for a Prometheus that scrapes what Tocsin has."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from fastapi import APIRouter, Depends, Request, Response

from tocsin.query.metric_reader import Selector
from tocsin.query.promql.source import NAME, Hints, is_stale
from tocsin.sdk.exposition import TEXT, braces, format_value
from tocsin.web.api.contract import BEARER
from tocsin.web.api.prometheus import BOTH
from tocsin.web.api.prometheus_answer import PrometheusRoute
from tocsin.web.api.prometheus_asked import AskedOf, now_ms
from tocsin.web.metrics import while_waited_for

router = APIRouter(
    prefix="/prometheus", tags=["prometheus"], dependencies=[Depends(BEARER)], route_class=PrometheusRoute
)
LOOKBACK_MS = 300_000

Sample = tuple[str, str, int, float]  # name, labels as text, milliseconds, value


@router.api_route("/federate", methods=BOTH, operation_id="prometheus_federate")
async def federate(request: Request, asked: AskedOf) -> Response:
    """Every series that matches one of `match[]` with its newest sample of five minutes; of histograms the classic."""
    wanted, at = asked.selectors(is_required=True), now_ms()
    found = await while_waited_for(request, lambda _: {one for each in wanted for one in _newest(asked, each, at)})
    lines: list[str] = []
    for name, samples in groupby(sorted(found), key=lambda sample: sample[0]):
        lines.append(f"# TYPE {name} untyped")
        lines += [f"{name}{labels} {format_value(value)} {time_ms}" for _, labels, time_ms, value in samples]
    return Response("\n".join([*lines, ""]), media_type=TEXT)


def _newest(asked: AskedOf, selector: Selector, at: int) -> Iterator[Sample]:
    hints = Hints(at, at, 0, LOOKBACK_MS)
    for series in asked.reader.select(selector, at - LOOKBACK_MS, at, hints):
        is_native = series.histograms is not None and series.histograms[-1] is not None
        if not len(series.timestamps) or is_native or is_stale(series.values[-1:])[0]:
            continue
        labels = braces(tuple(sorted((name, value) for name, value in series.labels.items() if name != NAME)))
        yield series.labels[NAME], labels, int(series.timestamps[-1]), float(series.values[-1])
