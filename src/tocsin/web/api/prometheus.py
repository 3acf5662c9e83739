"""Prometheus' query API: /prometheus/api/v1/query, query_range, format_query and parse_query.

For Grafana, promtool, Perses and whatever else speaks it. A token of a tenant viewer reads its tenants' series only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from fastapi import APIRouter, Depends, Request, Response

from tocsin.query.promql.engine import Result, instant, range_query
from tocsin.query.promql.errors import LimitError, PromQLError
from tocsin.query.promql.expressions import Expression
from tocsin.query.promql.parser import parse
from tocsin.query.promql.printer import pretty
from tocsin.query.promql.signatures import TYPE_NAMES
from tocsin.web.api.contract import BEARER
from tocsin.web.api.prometheus_answer import PrometheusError, PrometheusRoute, invalid, streamed, success
from tocsin.web.api.prometheus_asked import AskedOf, now_ms
from tocsin.web.api.prometheus_json import encoded
from tocsin.web.api.prometheus_tree import tree_of
from tocsin.web.metrics import while_waited_for

PREFIX = "/prometheus/api/v1"
BOTH = ["GET", "POST"]
router = APIRouter(prefix=PREFIX, tags=["prometheus"], dependencies=[Depends(BEARER)], route_class=PrometheusRoute)
TRUNCATED = "results truncated due to limit"


@router.api_route("/query", methods=BOTH, operation_id="prometheus_query")
async def query(request: Request, asked: AskedOf) -> Response:
    """The value of `query` at `time` (now); also `timeout`, `limit`, `lookback_delta`, `stats`."""
    time_ms, limit = asked.time_ms("time", now_ms()), asked.limit()
    text, settings = asked.text("query"), asked.query_settings()
    parsed(text)
    result = await while_waited_for(
        request, lambda is_gone: instant(asked.reader, text, time_ms, settings, is_canceled=is_gone)
    )
    return answered(result, time_ms, limit, asked.text("stats"))


@router.api_route("/query_range", methods=BOTH, operation_id="prometheus_query_range")
async def query_range(request: Request, asked: AskedOf) -> Response:
    """The values of `query` from `start` to `end` every `step`."""
    start_ms, end_ms = asked.time_ms("start"), asked.time_ms("end")
    if end_ms < start_ms:
        raise invalid("end", "end timestamp must not be before start time")
    step = asked.seconds("step")
    if step is None:
        raise invalid("step", 'cannot parse "" to a valid duration')
    if round(step * 1000) <= 0:
        raise invalid("step", "zero or negative query resolution step widths are not accepted. Try a positive integer")
    text, settings, limit = asked.text("query"), asked.query_settings(), asked.limit()
    if (end_ms - start_ms) // round(step * 1000) > settings.max_points:
        raise PrometheusError(
            "bad_data",
            f"exceeded maximum resolution of {settings.max_points:,} points per timeseries. "
            "Try decreasing the query resolution (?step=XX)",
        )
    kind = parsed(text).type
    if kind not in ("scalar", "vector"):
        raise invalid(
            "query", f'invalid expression type "{TYPE_NAMES[kind]}" for range query, must be Scalar or instant Vector'
        )
    work = _ranging(asked.reader, text, (start_ms, end_ms, round(step * 1000)), settings)
    return answered(await while_waited_for(request, work), start_ms, limit, asked.text("stats"))


@router.api_route("/format_query", methods=BOTH, operation_id="prometheus_format_query")
async def format_query(asked: AskedOf) -> Response:
    """`query` in its canonical form."""
    return success(pretty(parsed(asked.text("query"))))


@router.api_route("/parse_query", methods=BOTH, operation_id="prometheus_parse_query")
async def parse_query(asked: AskedOf) -> Response:
    """`query` as a tree."""
    return success(tree_of(parsed(asked.text("query"))))


def parsed(text: str) -> Expression:
    """Raises PrometheusError (bad_data)."""
    try:
        return parse(text)
    except PromQLError as error:
        raise invalid("query", error) from error


def _ranging(
    reader: Any, text: str, grid: tuple[int, int, int], settings: Any
) -> Callable[[Callable[[], bool]], Result]:
    def work(is_gone: Callable[[], bool]) -> Result:
        try:
            return range_query(reader, text, *grid, settings, is_canceled=is_gone)
        except LimitError as error:
            if str(error).startswith("exceeded maximum resolution"):
                raise PrometheusError("bad_data", str(error)) from error
            raise

    return work


def answered(result: Result, time_ms: int, limit: int, stats: str) -> Response:
    """The result on its way, cut to `limit` series."""
    is_cut = bool(limit) and isinstance(result.data, list) and len(result.data) > limit
    warnings = [*result.warnings, *([TRUNCATED] if is_cut else [])]
    return streamed(_pieces(result, time_ms, limit, stats), warnings, result.infos)


def _pieces(result: Result, time_ms: int, limit: int, stats: str) -> Iterator[bytes]:
    yield b"{"
    yield from encoded(result, time_ms, limit)
    if stats:
        yield b',"stats":' + orjson.dumps(_statistics(result))
    yield b"}"


def _statistics(result: Result) -> dict[str, Any]:
    """As Prometheus names them; where it tells parts of the time, the whole is told here."""
    took = result.statistics
    return {
        "timings": {
            "evalTotalTime": took.seconds,
            "resultSortTime": 0,
            "queryPreparationTime": 0,
            "innerEvalTime": took.seconds,
            "execQueueTime": 0,
            "execTotalTime": took.seconds,
        },
        "samples": {"totalQueryableSamples": took.samples, "peakSamples": took.samples},
    }
