"""Where requests enter: what is pushed in goes to ingest, everything else to the site."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI

from tocsin.ingest.loki import PATHS as LOKI_PATHS
from tocsin.ingest.loki import LokiPush
from tocsin.ingest.otlp_http import OtlpHttp
from tocsin.ingest.remote_write import PATHS as WRITE_PATHS
from tocsin.ingest.remote_write import RemoteWrite

Scope = MutableMapping[str, Any]


Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Front:
    """Sends what is pushed in to ingest and everything else to the site, so that the hot path meets no routing."""

    def __init__(self, otlp: OtlpHttp, remote_write: RemoteWrite, loki: LokiPush, site: FastAPI) -> None:
        self._otlp = otlp
        self._remote_write = remote_write
        self._loki = loki
        self.site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            root = len(scope.get("root_path", ""))
            if scope["path"].startswith("/v1/", root):
                await self._otlp(scope, receive, send)
                return
            if scope["path"].endswith("/write", root) and scope["path"][root:] in WRITE_PATHS:
                await self._remote_write(scope, receive, send)
                return
            if scope["path"].endswith("/push", root) and scope["path"][root:] in LOKI_PATHS:
                await self._loki(scope, receive, send)
                return
        await self.site(scope, receive, send)
