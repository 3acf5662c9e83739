"""Loki's look-ups: labels, their values, series, volumes and which fields lines have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Request, Response

from tocsin.query import log_streams
from tocsin.query.logql.engine import Asked as Wanted
from tocsin.query.logql.engine import select_lines
from tocsin.query.logql.errors import LimitError, LogQLError
from tocsin.query.logql.expressions import LogQuery
from tocsin.query.logql.extract import logfmt_pairs
from tocsin.query.logql.line import Line
from tocsin.query.logql.names import label_name
from tocsin.query.logql.parser import parse_log_query
from tocsin.query.logql.ranges import MOST_SERIES
from tocsin.query.promql.engine import Result, ResultSeries
from tocsin.query.promql.matchers import Matcher
from tocsin.query.promql.query import Statistics
from tocsin.query.promql.source import Grid
from tocsin.web.api.contract import BEARER
from tocsin.web.api.loki import BOTH, PREFIX
from tocsin.web.api.loki_answer import LokiRoute, bare, samples_answer, success
from tocsin.web.api.loki_asked import Asked, AskedOf
from tocsin.web.metrics import while_waited_for

router = APIRouter(prefix=PREFIX, tags=["loki"], dependencies=[Depends(BEARER)], route_class=LokiRoute)
HOURS_OF_LABELS = 6
LINES_SAMPLED = 1_000
FIELDS = 1_000


@router.api_route("/labels", methods=BOTH, operation_id="loki_labels")
@router.api_route("/label", methods=BOTH, include_in_schema=False, operation_id="loki_label")
async def labels(request: Request, asked: AskedOf) -> Response:
    """The labels of streams in the last six hours, or from `start` to `end`."""
    selectors, window = asked.selectors(), asked.window(HOURS_OF_LABELS)
    found = await while_waited_for(request, lambda _: log_streams.label_names(asked.source, selectors, *window))
    return success(found)


@router.api_route("/label/{name}/values", methods=BOTH, operation_id="loki_label_values")
async def label_values(request: Request, asked: AskedOf, name: str) -> Response:
    selectors, window = asked.selectors(), asked.window(HOURS_OF_LABELS)
    found = await while_waited_for(request, lambda _: log_streams.label_values(asked.source, name, selectors, *window))
    return success(found)


@router.api_route("/series", methods=BOTH, operation_id="loki_series")
async def series(request: Request, asked: AskedOf) -> Response:
    """The labels of the streams that match one of `match[]`."""
    selectors, window = asked.selectors(), asked.window()
    return success(await while_waited_for(request, lambda _: log_streams.series(asked.source, selectors, *window)))


@router.api_route("/index/stats", methods=BOTH, operation_id="loki_index_stats")
async def index_stats(request: Request, asked: AskedOf) -> Response:
    """How many streams, lines and bytes `query` selects."""
    matchers, window = selected_by(asked).matchers, asked.window()

    def work(_: Callable[[], bool]) -> Response:
        total = log_streams.volumes(asked.source, matchers, (), *window, 1)
        streams = log_streams.stream_count(asked.source, matchers, *window)
        lines, size = (total[0].lines, total[0].bytes) if total else (0, 0)
        return bare({"streams": streams, "chunks": streams, "bytes": size, "entries": lines})

    return await while_waited_for(request, work)


@router.api_route("/index/volume", methods=BOTH, operation_id="loki_index_volume")
async def index_volume(request: Request, asked: AskedOf) -> Response:
    """The bytes that `query` selects, by the labels it names or `targetLabels`."""
    selected, window, limit = selected_by(asked), asked.window(), asked.limit()
    by = _by(asked, selected)

    def work(_: Callable[[], bool]) -> Response:
        found = log_streams.volumes(asked.source, selected.matchers, by, *window, limit)
        at_ms = window[1] // 1_000_000
        rows = [ResultSeries(one.labels, np.array([at_ms]), np.array([float(one.bytes)])) for one in found]
        return samples_answer(Result("vector", rows, [], [], Statistics()), at_ms)

    return await while_waited_for(request, work)


@router.api_route("/index/volume_range", methods=BOTH, operation_id="loki_index_volume_range")
async def index_volume_range(request: Request, asked: AskedOf) -> Response:
    """The same for every `step`."""
    selected, (start_ns, end_ns), limit = selected_by(asked), asked.window(), asked.limit()
    by, step_ms = _by(asked, selected), asked.step_ms(start_ns, end_ns)
    grid = Grid(start_ns // 1_000_000 + step_ms, max(start_ns // 1_000_000 + step_ms, end_ns // 1_000_000), step_ms)
    if len(grid) > asked.settings.max_points:
        raise LimitError(f"exceeded maximum resolution of {asked.settings.max_points:,} points; make the step longer")

    def work(is_gone: Callable[[], bool]) -> Response:
        asked.source.canceled = is_gone
        edges = grid.start_ms - step_ms, grid.end_ms
        bare_query = LogQuery(selected.matchers)
        found = asked.source.counts(bare_query, by, edges, step_ms, in_bytes=True, max_series=MOST_SERIES) or []
        kept = sorted(found, key=lambda one: -float(one.values.sum()))[:limit]
        rows = [ResultSeries(one.labels, one.timestamps, one.values) for one in kept]
        return samples_answer(Result("matrix", rows, [], [], Statistics()), grid.start_ms)

    return await while_waited_for(request, work)


@router.api_route("/detected_labels", methods=BOTH, operation_id="loki_detected_labels")
async def detected_labels(request: Request, asked: AskedOf) -> Response:
    """The labels of streams with how many values each has."""
    selectors, window = asked.selectors(), asked.window()

    def work(_: Callable[[], bool]) -> Response:
        values: dict[str, set[str]] = {}
        for stream in log_streams.series(asked.source, selectors, *window):
            for name, value in stream.items():
                values.setdefault(name, set()).add(value)
        levels = log_streams.label_values(asked.source, "level", selectors, *window)
        values |= {"level": set(levels)} if levels else {}
        return bare(
            {"detectedLabels": [{"label": name, "cardinality": len(of)} for name, of in sorted(values.items())]}
        )

    return await while_waited_for(request, work)


@router.api_route("/detected_fields", methods=BOTH, operation_id="loki_detected_fields")
async def detected_fields(request: Request, asked: AskedOf) -> Response:
    """The fields of the newest thousand lines that `query` selects, and what reads them."""
    selected, window, limit = selected_by(asked), asked.window(), asked.limit(FIELDS)

    def work(_: Callable[[], bool]) -> Response:
        fields: dict[str, tuple[set[str], set[str]]] = {}
        for line in sampled(asked, selected, *window):
            for name, value in line.metadata.items():
                fields.setdefault(name, (set(), set()))[0].add(value)
            kind, pairs = fields_of(line.text)
            for name, value in pairs.items():
                held = fields.setdefault(name, (set(), set()))
                held[0].add(value)
                held[1].add(kind)
        described = [_described(name, *held) for name, held in sorted(fields.items())[:limit]]
        return bare({"fields": described, "limit": limit})

    return await while_waited_for(request, work)


def sampled(asked: Asked, query: LogQuery, start_ns: int, end_ns: int) -> list[Line]:
    """The newest lines that pass the query, to tell which fields there are."""
    most = min(LINES_SAMPLED, asked.settings.max_lines)
    return select_lines(asked.source, query, Wanted(start_ns, end_ns, most), asked.settings).lines


def fields_of(text: str) -> tuple[str, dict[str, str]]:
    if text.startswith("{"):
        try:
            found = orjson.loads(text)
        except ValueError:
            return "json", {}
        return "json", {
            label_name(key): str(value) for key, value in found.items() if not isinstance(value, dict | list)
        }
    return "logfmt", {label_name(key): value for key, value in logfmt_pairs(text) if key and value}


def _described(name: str, values: set[str], parsers: set[str]) -> dict[str, Any]:
    kind = "string"
    if all(_is_number(value) for value in values):
        kind = "int" if all(value.lstrip("-").isdecimal() for value in values) else "float"
    elif values <= {"true", "false", "True", "False"}:
        kind = "boolean"
    return {"label": name, "type": kind, "cardinality": len(values), "parsers": sorted(parsers) or None}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def selected_by(asked: Asked) -> LogQuery:
    text = asked.query()
    return parse_log_query(text) if text.strip() != "{}" else LogQuery(())


def _by(asked: Asked, selected: LogQuery) -> tuple[str, ...]:
    given = [name.strip() for name in asked.text("targetLabels").split(",") if name.strip()]
    if asked.text("aggregateBy") not in ("", "series", "labels"):
        raise LogQLError("cannot use aggregateBy: write series or labels")
    named: list[Matcher] = list(selected.matchers)
    return tuple(dict.fromkeys(given or [matcher.name for matcher in named]))
