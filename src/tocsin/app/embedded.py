"""A whole server inside the process of an application."""

from __future__ import annotations

import asyncio
import atexit
import threading
from typing import Any

import structlog

from tocsin.app.front import Receive, Scope, Send
from tocsin.app.server import Server
from tocsin.app.settings import configuration
from tocsin.config import Config
from tocsin.ingest.gate import Refused
from tocsin.ingest.validate import parse
from tocsin.sdk.middleware import instrument
from tocsin.sdk.transport import Response
from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.engine import EngineError

log = structlog.get_logger("tocsin.server")


class Embedded:
    """A whole server inside an application's own process: an ASGI application to mount.

    It opens on its first use rather than when it is made, so that a process which only imports the application, or
    forks workers from it, opens no store. One process owns the data folder; a second worker gets EngineError.
    """

    def __init__(self, config: Config, path: str) -> None:
        self._config = config
        self._path = path
        self._opening = threading.Lock()
        self._server: Server | None = None

    def server(self) -> Server:
        """The running server. Raises what `Server` raises."""
        with self._opening:
            if self._server is None:
                server = Server(self._config)
                server.start()
                atexit.register(server.close)
                if link := server.setup_link(self._path):
                    log.warning("monitoring.setup", create_the_administrator_at=link)
                self._server = server
            return self._server

    def take(self, signal: str, body: bytes) -> Response:
        """The SDK's way to the store without a network in between."""
        kind = Signal(signal)
        try:
            admission = self.server().gate.admit(kind, body, parse(kind, body), None)
            admission.stored.result()
        except Refused as refused:
            return Response(refused.status, retry_after_seconds=refused.retry_seconds, cause=refused.message)
        except (EngineError, OSError) as error:
            return Response(0, cause=str(error))
        return Response(200)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        server = await asyncio.to_thread(self.server) if self._server is None else self._server
        await server.asgi(scope, receive, send)


def embed(app: Any, *, path: str = "/monitoring", data: str | None = None, **options: Any) -> None:
    """Mount the whole server inside `app` at `path` and instrument the app towards it: no second service.

    For a product that runs as one process. `data` is the folder for what the server keeps; `options` are those of
    `tocsin.instrument`. The administrator's one-time link is logged at the first request. Needs tocsin[server].
    """
    overrides = {"server.data": data, "server.grpc_port": -1, "ingest.require_key": True}
    embedded = Embedded(configuration(overrides), path)
    app.mount(path, embedded)
    excluded = (*options.pop("exclude", ()), path)
    instrument(app, transport=embedded.take, compression="none", exclude=excluded, **options)
