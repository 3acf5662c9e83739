"""Prometheus' JSON envelope: how the routes below /prometheus/api/v1 answer and refuse."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, Literal

import orjson
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from starlette.responses import StreamingResponse

from tocsin.query.promql.errors import ParseError, PromQLError, QueryCanceledError, QueryTimeoutError
from tocsin.query.series import TooManySeriesError
from tocsin.storage.telemetry.engine import EngineError
from tocsin.storage.telemetry.engine import QueryTimeoutError as EngineTimeoutError

ErrorType = Literal[
    "bad_data", "execution", "timeout", "canceled", "internal", "unavailable", "not_found", "unauthorized", "forbidden"
]
STATUS: dict[ErrorType, int] = {
    "bad_data": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "execution": 422,
    "internal": 500,
    "timeout": 503,
    "canceled": 503,
    "unavailable": 503,
}
TYPE_OF_STATUS: dict[int, ErrorType] = {401: "unauthorized", 403: "forbidden", 404: "not_found"}
JSON = "application/json"
CHUNK_BYTES = 512 * 1024
BLOCK_BYTES = 1 << 18


class PrometheusError(Exception):
    """A request that is refused, with Prometheus' name for the kind of refusal."""

    def __init__(self, error_type: ErrorType, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


def invalid(parameter: str, reason: object) -> PrometheusError:
    """bad_data in Prometheus' words."""
    return PrometheusError("bad_data", f'invalid parameter "{parameter}": {reason}')


def success(data: Any, warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> Response:
    return Response(b"".join(enveloped([orjson.dumps(data)], warnings, infos)), media_type=JSON)


def streamed(data: Iterable[bytes], warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> Response:
    """An answer whose data is encoded already, sent as it is made."""
    return StreamingResponse(in_blocks(enveloped(data, warnings, infos)), media_type=JSON)


def in_blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Joined to blocks: every block costs a change of threads."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= BLOCK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


def enveloped(data: Iterable[bytes], warnings: Sequence[str], infos: Sequence[str]) -> Iterator[bytes]:
    yield b'{"status":"success","data":'
    yield from data
    if warnings:
        yield b',"warnings":' + orjson.dumps(list(warnings))
    if infos:
        yield b',"infos":' + orjson.dumps(list(infos))
    yield b"}"


def refusal(error: PrometheusError, status: int | None = None) -> Response:
    body = {"status": "error", "errorType": error.error_type, "error": str(error)}
    return Response(orjson.dumps(body), status or STATUS[error.error_type], media_type=JSON)


def as_prometheus(error: Exception) -> PrometheusError | None:
    """The refusal that an exception of the layers below stands for; None for what is no refusal."""
    match error:
        case PrometheusError():
            return error
        case ParseError():
            return invalid("query", error)
        case QueryTimeoutError():
            return PrometheusError("timeout", str(error))
        case EngineTimeoutError():
            return PrometheusError("timeout", "query timed out in reading the store; choose a shorter time range")
        case QueryCanceledError():
            return PrometheusError("canceled", str(error))
        case PromQLError() | TooManySeriesError():
            return PrometheusError("execution", str(error))
        case EngineError():
            cause = str(error).splitlines()[0][:300]
            return PrometheusError("unavailable", f"cannot read the telemetry store: {cause}")
        case HTTPException():
            return PrometheusError(TYPE_OF_STATUS.get(error.status_code, "bad_data"), str(error.detail))
    return None


class PrometheusRoute(APIRoute):
    """A route whose refusals, also those of its dependencies, have Prometheus' envelope."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except (PrometheusError, PromQLError, TooManySeriesError, EngineError, HTTPException) as error:
                said = as_prometheus(error)
                assert said is not None
                response = refusal(said, error.status_code if isinstance(error, HTTPException) else None)
                if isinstance(error, HTTPException):
                    response.headers.update(error.headers or {})
                return response

        return answered
