"""Serves one app with uvicorn on loopback and prints its URL when it answers."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI


def serve(app: FastAPI, port: int) -> int:
    """Serve until SIGINT or SIGTERM; port 0 is any free one. Returns the exit code."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            print(f"cannot listen on port {port}: {error.strerror}; choose another with --port, or 0 for any")
            return 1
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=3, server_header=False
        )
        _AnnouncingServer(config).run([listener])
    return 0


class _AnnouncingServer(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            print(f"http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
