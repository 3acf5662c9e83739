"""Static files under a path that names their content, so that browsers keep them for a year and never show old ones."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOLDER = Path(__file__).parent / "static"
FOREVER = b"public, max-age=31536000, immutable"
ASK_EVERY_TIME = b"no-cache"


@cache
def version() -> str:
    """Twelve hex figures that change with any static file. One for all of them, because modules import each other by
    relative path."""
    digest = hashlib.sha256()
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(FOLDER).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def static_path(name: str) -> str:
    """Where a static file is served, below the root of the product: `/static/<version>/app.js`."""
    return f"/static/{version()}/{name}"


def static_app() -> ASGIApp:
    """Serves the folder below `/static/<version>/`, compressed; another version than ours is served, not kept."""
    return GZipMiddleware(_Versioned(StaticFiles(directory=FOLDER)), minimum_size=800)


class _Versioned:
    def __init__(self, files: ASGIApp) -> None:
        self.files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        inside = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        asked, _, name = inside.partition("/")
        keep = FOREVER if asked == version() else ASK_EVERY_TIME

        async def send_with_cache(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                message["headers"] = [*message["headers"], (b"cache-control", keep)]
            await send(message)

        await self.files({**scope, "path": "/" + name, "root_path": ""}, receive, send_with_cache)
