"""Loki's query API: /loki/api/v1/query, query_range and format_query.

For Grafana, LogCLI and whatever else speaks it. A token of a tenant viewer reads its tenants' lines only.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from fastapi import APIRouter, Depends, Request, Response

from tocsin.query.logql.engine import Asked as Wanted
from tocsin.query.logql.engine import instant, range_query, select_lines
from tocsin.query.logql.errors import LogQLError
from tocsin.query.logql.expressions import LogQuery
from tocsin.query.logql.parser import parse
from tocsin.query.logql.printer import printed
from tocsin.query.promql.source import Grid
from tocsin.web.api.contract import BEARER
from tocsin.web.api.loki_answer import LokiRoute, bare, lines_answer, samples_answer, success
from tocsin.web.api.loki_asked import AskedOf
from tocsin.web.metrics import while_waited_for

PREFIX = "/loki/api/v1"
BOTH = ["GET", "POST"]
VERSION = "3.0.0"
"""The Loki whose API this is like; clients decide by it what they ask."""
router = APIRouter(prefix=PREFIX, tags=["loki"], dependencies=[Depends(BEARER)], route_class=LokiRoute)


@router.api_route("/query", methods=BOTH, operation_id="loki_query")
async def query(request: Request, asked: AskedOf) -> Response:
    """The value of a metric `query` at `time` (now)."""
    text = asked.query()
    node, time_ms = parse(text), asked.time_ns("time", asked.now_ns) // 1_000_000
    if isinstance(node, LogQuery):
        raise LogQLError("log queries are not supported as an instant query type; ask for lines by query_range")

    def work(is_gone: Callable[[], bool]) -> Response:
        asked.source.canceled = is_gone
        return samples_answer(instant(asked.source, node, time_ms, text, asked.settings), time_ms)

    return await while_waited_for(request, work)


@router.api_route("/query_range", methods=BOTH, operation_id="loki_query_range")
async def query_range(request: Request, asked: AskedOf) -> Response:
    """The lines of `query` from `start` to `end` (newest first, `limit` of them), or its values every `step`."""
    text = asked.query()
    node, (start_ns, end_ns) = parse(text), asked.window()
    limit, newest_first, step_ms = asked.limit(), asked.newest_first(), asked.step_ms(start_ns, end_ns)

    def work(is_gone: Callable[[], bool]) -> Response:
        asked.source.canceled = is_gone
        if isinstance(node, LogQuery):
            wanted = Wanted(start_ns, end_ns, limit, newest_first)
            return lines_answer(select_lines(asked.source, node, wanted, asked.settings), asked.is_categorized)
        grid = Grid(start_ns // 1_000_000, end_ns // 1_000_000, step_ms)
        return samples_answer(range_query(asked.source, node, grid, text, asked.settings), grid.start_ms)

    return await while_waited_for(request, work)


@router.api_route("/format_query", methods=BOTH, operation_id="loki_format_query")
async def format_query(asked: AskedOf) -> Response:
    """`query` in its canonical form."""
    return success(printed(parse(asked.query())))


@router.get("/status/buildinfo", operation_id="loki_buildinfo")
async def buildinfo(asked: AskedOf) -> Response:
    """The version of Loki whose API this is, as clients ask for it to know what they may use."""
    return bare(
        {
            "version": VERSION,
            "revision": f"tocsin-{version('tocsin')}",
            "branch": "tocsin",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
        }
    )
