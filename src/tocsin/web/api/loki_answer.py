"""How the routes below /loki/api/v1 answer and refuse: Loki's JSON, and its errors, which are plain text."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any

import orjson
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from starlette.responses import PlainTextResponse, StreamingResponse

from tocsin.query.logql.engine import Lines
from tocsin.query.logql.errors import LimitError, LogQLError
from tocsin.query.logql.line import Line
from tocsin.query.promql.engine import Result
from tocsin.query.promql.errors import PromQLError, QueryCanceledError
from tocsin.storage.telemetry.engine import EngineError
from tocsin.storage.telemetry.engine import QueryTimeoutError as EngineTimeoutError
from tocsin.web.api.prometheus_answer import JSON, in_blocks
from tocsin.web.api.prometheus_json import encoded

CATEGORIZED = "categorize-labels"
CLIENT_LEFT = 499


class LokiRoute(APIRoute):
    """A route whose refusals, also those of its dependencies, are Loki's."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except (LogQLError, PromQLError, EngineError) as error:
                return PlainTextResponse(*refusal(error))
            except HTTPException as error:
                return PlainTextResponse(str(error.detail), error.status_code, headers=error.headers)

        return answered


def refusal(error: Exception) -> tuple[str, int]:
    """The words and the status of a refusal."""
    match error:
        case EngineTimeoutError():
            return "the query timed out in reading the store; choose a shorter time range or more labels", 504
        case EngineError():
            return f"cannot read the telemetry store: {str(error).splitlines()[0][:300]}", 503
        case QueryCanceledError():
            return "the query was canceled", CLIENT_LEFT
        case LimitError() | PromQLError() | LogQLError():
            return str(error), 400
    raise error


def success(data: Any) -> Response:
    return Response(orjson.dumps({"status": "success", "data": data}), media_type=JSON)


def bare(document: Any) -> Response:
    """Without an envelope."""
    return Response(orjson.dumps(document), media_type=JSON)


def samples_answer(result: Result, time_ms: int) -> Response:
    """A vector, matrix or scalar."""
    took = result.statistics
    parts = _data(encoded(result, time_ms), statistics(took.samples, 0, took.seconds, len(result_rows(result))))
    return StreamingResponse(in_blocks(_enveloped(parts, [*result.warnings])), media_type=JSON)


def result_rows(result: Result) -> list[Any]:
    return result.data if isinstance(result.data, list) else []


def lines_answer(found: Lines, categorized: bool) -> Response:
    """Lines as streams; each stream's in the order asked for."""
    took = found.took
    flags = b',"encodingFlags":["categorize-labels"]' if categorized else b""
    body = [b'"resultType":"streams"', flags, b',"result":', orjson.dumps(streams(found.lines, categorized))]
    parts = _data(body, statistics(took.lines, took.bytes, took.seconds, len(found.lines)))
    return StreamingResponse(in_blocks(_enveloped(parts, found.warnings)), media_type=JSON)


def streams(lines: Iterable[Line], categorized: bool) -> list[dict[str, Any]]:
    """Lines by their labels; when categorized, by those of their stream, with the others beside each line."""
    made: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for line in lines:
        stream, metadata, parsed = line.by_kind()
        labels = stream if categorized else {**metadata, **stream, **parsed}
        entry: list[Any] = [str(line.time_ns), line.text]
        if categorized:
            entry.append({name: of for name, of in (("structuredMetadata", metadata), ("parsed", parsed)) if of})
        key = tuple(sorted(labels.items()))
        made.setdefault(key, {"stream": labels, "values": []})["values"].append(entry)
    return list(made.values())


def statistics(lines: int, read_bytes: int, seconds: float, returned: int) -> dict[str, Any]:
    """What Grafana shows of a query's cost; where Loki tells its parts apart, the whole is told."""
    by_second = 1 / seconds if seconds > 0 else 0
    store = {"totalChunksRef": 0, "totalChunksDownloaded": 0, "chunksDownloadTime": 0, "chunk": {}}
    return {
        "summary": {
            "bytesProcessedPerSecond": round(read_bytes * by_second),
            "linesProcessedPerSecond": round(lines * by_second),
            "totalBytesProcessed": read_bytes,
            "totalLinesProcessed": lines,
            "execTime": seconds,
            "queueTime": 0,
            "subqueries": 0,
            "totalEntriesReturned": returned,
            "splits": 0,
            "shards": 0,
            "totalPostFilterLines": returned,
            "totalStructuredMetadataBytesProcessed": 0,
        },
        "querier": {"store": store},
        "ingester": {
            "totalReached": 0, "totalChunksMatched": 0, "totalBatches": 0, "totalLinesSent": 0, "store": store,
        },
        "cache": {},
        "index": {},
    }  # fmt: skip


def _data(parts: Iterable[bytes], took: dict[str, Any]) -> Iterator[bytes]:
    yield b"{"
    yield from parts
    yield b',"stats":' + orjson.dumps(took) + b"}"


def _enveloped(data: Iterable[bytes], warnings: Sequence[str]) -> Iterator[bytes]:
    yield b'{"status":"success","data":'
    yield from data
    if warnings:
        yield b',"warnings":' + orjson.dumps(list(warnings))
    yield b"}"
