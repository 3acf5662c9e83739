"""Prometheus' look-ups: series, labels, label values, metadata and exemplars."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from tocsin.query.promql.expressions import selectors
from tocsin.query.promql.literals import quote
from tocsin.web.api.contract import BEARER
from tocsin.web.api.prometheus import BOTH, PREFIX, TRUNCATED, parsed
from tocsin.web.api.prometheus_answer import PrometheusError, PrometheusRoute, success
from tocsin.web.api.prometheus_asked import Asked, AskedOf
from tocsin.web.api.prometheus_json import value_text
from tocsin.web.metrics import while_waited_for

router = APIRouter(prefix=PREFIX, tags=["prometheus"], dependencies=[Depends(BEARER)], route_class=PrometheusRoute)
_ESCAPED = re.compile(r"__|_([0-9a-fA-F]{1,6})_")


@router.api_route("/series", methods=BOTH, operation_id="prometheus_series")
async def series(request: Request, asked: AskedOf) -> Response:
    """The label sets of the series that match one of `match[]`."""
    wanted, limit = asked.selectors(is_required=True), asked.limit()
    window = asked.window()
    found = await while_waited_for(request, lambda _: asked.reader.series(wanted, *window))
    return _limited(found, limit)


@router.api_route("/labels", methods=BOTH, operation_id="prometheus_labels")
async def labels(request: Request, asked: AskedOf) -> Response:
    wanted, limit = asked.selectors(), asked.limit()
    window = asked.window()
    found = await while_waited_for(request, lambda _: asked.reader.label_names(wanted, *window))
    return _limited(found, limit)


@router.get("/label/{name}/values", operation_id="prometheus_label_values")
async def label_values(request: Request, asked: AskedOf, name: str) -> Response:
    """A name with other characters than classic ones is written escaped, as `U__http_2e_route`."""
    wanted, limit = asked.selectors(), asked.limit()
    window = asked.window()
    label = unescaped(name)
    if not label:
        raise PrometheusError("bad_data", f"invalid label name: {quote(name)}")
    found = await while_waited_for(request, lambda _: asked.reader.label_values(label, wanted, *window))
    return _limited(found, limit)


@router.get("/metadata", operation_id="prometheus_metadata")
async def metadata(request: Request, asked: AskedOf) -> Response:
    """By metric: `metric`, `limit`, `limit_per_metric`."""
    limit, per_metric = asked.limit(), _count(asked, "limit_per_metric")
    found = await while_waited_for(request, lambda _: asked.reader.metadata(asked.text("metric")))
    kept = list(found.items())[:limit] if limit else list(found.items())
    return success(
        {
            name: [{"type": one.type, "unit": one.unit, "help": one.help} for one in said[: per_metric or None]]
            for name, said in kept
        }
    )


@router.api_route("/query_exemplars", methods=BOTH, operation_id="prometheus_query_exemplars")
async def query_exemplars(request: Request, asked: AskedOf) -> Response:
    """The examples behind the series of `query`."""
    start_ms, end_ms = asked.window()
    wanted = [one.matchers for one in selectors(parsed(asked.text("query")))]
    if not wanted:
        return success([])
    found = await while_waited_for(request, lambda _: asked.reader.exemplars(wanted, start_ms, end_ms))
    return success(
        [
            {
                "seriesLabels": labels,
                "exemplars": [
                    {"labels": one.labels, "value": value_text(one.value), "timestamp": one.time_ms / 1000}
                    for one in examples
                ],
            }
            for labels, examples in found
        ]
    )


def unescaped(name: str) -> str:
    """The label behind an escaped name; '' when the escaping is broken."""
    if not name.startswith("U__"):
        return name
    try:
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else "_", name[3:])
    except (ValueError, OverflowError):
        return ""
    return text if not any("\ud800" <= character <= "\udfff" for character in text) else ""


def _limited(found: list[Any], limit: int) -> Response:
    if limit and len(found) > limit:
        return success(found[:limit], [TRUNCATED])
    return success(found)


def _count(asked: Asked, name: str) -> int:
    given = asked.text(name)
    if given and not re.fullmatch(r"-?\d{1,18}", given):
        raise PrometheusError("bad_data", f"{name} must be a number")
    return max(0, int(given or 0))
