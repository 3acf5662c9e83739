"""What the control store refuses, as HTTP answers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from tocsin.storage.control import (
    ControlError,
    InvalidInput,
    LastAdmin,
    LinkUnusable,
    NotFound,
    Taken,
    Throttled,
    WrongCredentials,
)

STATUS: dict[type[ControlError], int] = {
    InvalidInput: 422,
    LastAdmin: 409,
    LinkUnusable: 410,
    NotFound: 404,
    Taken: 409,
    Throttled: 429,
    WrongCredentials: 401,
}


class RefusingRoute(APIRoute):
    """A route whose handler may let a ControlError out; it is answered with its status and message."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except ControlError as error:
                raise HTTPException(STATUS.get(type(error), 503), str(error), headers=headers_of(error)) from error

        return answered


def headers_of(error: ControlError) -> dict[str, str] | None:
    return {"Retry-After": str(error.retry_after_seconds)} if isinstance(error, Throttled) else None
