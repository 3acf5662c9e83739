"""Puts Tallyroom together: one FastAPI app, one line of Tocsin, routers, a mounted sub-app."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from fastapi import FastAPI

import tocsin
from demo.product.access_log import AccessLog
from demo.product.isolation import declare
from demo.product.routes import api, control
from demo.product.routes.public import create_public
from demo.product.schedule import keep_schedule
from demo.product.services import open_services
from demo.product.settings import ProductSettings

LEAK_WINDOW_SECONDS = 180.0


def create_app(settings: ProductSettings, renderer_client: httpx2.AsyncClient | None = None) -> FastAPI:
    """The product; it opens its data when it starts and closes it when it stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings, renderer_client) as services:
            app.state.services = services
            async with keep_schedule(services):
                yield

    logging.getLogger("tallyroom").setLevel(logging.INFO)
    app = FastAPI(title="Tallyroom", version=settings.release, lifespan=lifespan)
    declare()
    # A demo is watched for minutes, so its leak is to be named within some; half an hour is better for a product.
    tocsin.instrument(
        app, service="tallyroom", environment="demo", release=settings.release, leak_window_seconds=LEAK_WINDOW_SECONDS,
        allocation_ratio=0.02,
    )  # fmt: skip
    app.add_middleware(AccessLog)
    app.include_router(tocsin.monitoring_router)
    app.include_router(tocsin.metrics_router)
    app.include_router(api)
    app.include_router(control.router)
    app.mount("/public", create_public())

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "release": settings.release}

    return app
