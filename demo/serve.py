"""Serves one app with uvicorn on loopback and prints its URL when it answers."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI


def serve(app: FastAPI, port: int, log_file: Path | None = None) -> int:
    """Serve until SIGINT or SIGTERM; port 0 is any free one. Returns the exit code.

    With `log_file`, tracebacks go there (5 MB at most, and the 5 MB before) instead of to the terminal.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            print(f"cannot listen on port {port}: {error.strerror}; choose another with --port, or 0 for any")
            return 1
        config = uvicorn.Config(
            app,
            log_config=_log_config(log_file),
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=3,
            server_header=False,
        )
        _AnnouncingServer(config).run([listener])
    return 0


def _log_config(log_file: Path | None) -> dict[str, Any]:
    handler: dict[str, Any] = {"class": "logging.StreamHandler", "formatter": "line"}
    if log_file is not None:
        handler = {
            "class": "logging.handlers.RotatingFileHandler",
            "formatter": "line",
            "filename": str(log_file),
            "maxBytes": 5_000_000,
            "backupCount": 1,
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {"chosen": handler, "warnings": {**handler, "level": "WARNING"}},
        "loggers": {"uvicorn": {"handlers": ["chosen"], "level": "WARNING", "propagate": False}},
        # What the product has to say goes to the server; what is wrong, to the file, too.
        "root": {"handlers": ["warnings"], "level": "WARNING"},
    }


class _AnnouncingServer(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            print(f"http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
