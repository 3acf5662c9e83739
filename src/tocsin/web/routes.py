"""How the routers of the site's modules come onto the application."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute


def add_routes(app: FastAPI, router: APIRouter, *, is_documented: bool = True) -> None:
    """The router's routes as the application's own; is_documented=False leaves them out of the OpenAPI document.

    `include_router` would make each of them a second time, and look through all routers at every request.
    """
    if not is_documented:
        for route in router.routes:
            if isinstance(route, APIRoute):
                route.include_in_schema = False
    app.router.routes.extend(router.routes)
