"""What every handler works with, opened once when the product starts and given to handlers as dependencies."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import httpx2
from fastapi import Depends
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from demo.product.cache import Cache
from demo.product.database import ROUND_TRIP_SECONDS, Database
from demo.product.flags import open_flags
from demo.product.latency import Latency
from demo.product.rendering import Renderer
from demo.product.seed import seed
from demo.product.settings import ProductSettings


@dataclass(frozen=True)
class Services:
    """The open database, cache, rendering client and secret of one running product."""

    settings: ProductSettings
    database: Database
    cache: Cache
    latency: Latency
    renderer: Renderer
    token_secret: bytes

    @property
    def export_folder(self) -> Path:
        """Where finished exports lie."""
        return self.settings.data_folder / "exports"


@asynccontextmanager
async def open_services(settings: ProductSettings, client: httpx2.AsyncClient | None = None) -> AsyncIterator[Services]:
    """Services with a filled database, closed at the end; `client` reaches the renderer, by default by network."""
    path = settings.data_folder / "tallyroom.db"
    secret = await run_in_threadpool(_prepare, settings, path)
    database = Database(path, ROUND_TRIP_SECONDS * settings.latency_scale)
    open_flags()
    async with client or httpx2.AsyncClient(timeout=5.0) as renderer_client:
        renderer = Renderer(renderer_client, settings.renderer_url)
        try:
            yield Services(settings, database, Cache(), Latency(settings.latency_scale), renderer, secret)
        finally:
            await run_in_threadpool(database.close)


def _prepare(settings: ProductSettings, path: Path) -> bytes:
    (settings.data_folder / "exports").mkdir(parents=True, exist_ok=True)
    # Seeding is not part of the play: it need not wait for a pretended network.
    database = Database(path, round_trip_seconds=0)
    database.create_tables()
    with database.session() as session:
        seed(session, datetime.now(UTC).date(), settings.seed_size)
    database.close()
    return _token_secret(settings.data_folder / "token.secret")


def _token_secret(path: Path) -> bytes:
    # Kept on disk, so that users stay signed in when the product restarts.
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()


async def current_services(connection: HTTPConnection) -> Services:
    """The services of the product that answers this request."""
    services: Services = connection.app.state.services
    return services


InServices = Annotated[Services, Depends(current_services)]


def open_session(services: InServices) -> Iterator[Session]:
    """A database session for one request."""
    with services.database.session() as session:
        yield session


InSession = Annotated[Session, Depends(open_session)]
