"""A query ends when its client leaves: over a real connection that is closed while the query runs."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request

from tocsin.query.promql.engine import instant
from tocsin.query.promql.errors import QueryCanceledError
from tocsin.query.promql.source import MemorySource
from tocsin.web.metrics import while_waited_for
from waiting import PATIENCE_SECONDS, eventually, is_listening


class Endless:
    """A query that ends only when nobody waits for it any more."""

    def __init__(self) -> None:
        self.started, self.ended = threading.Event(), threading.Event()

    def __call__(self, is_gone: Callable[[], bool]) -> str:
        self.started.set()
        eventually(is_gone, "the client leaves", pause_seconds=0.02)
        self.ended.set()
        return "done"


@pytest.fixture
def endless() -> Iterator[tuple[Endless, int]]:
    work, app = Endless(), FastAPI()

    @app.post("/query")
    async def query(request: Request) -> str:
        await request.form()
        return await while_waited_for(request, work)

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    yield work, listener.getsockname()[1]
    server.should_exit = True
    thread.join(PATIENCE_SECONDS)


def test_query_is_told_that_its_client_left(endless: tuple[Endless, int]) -> None:
    work, port = endless
    eventually(lambda: is_listening(port), "the server listens")
    client = socket.create_connection(("127.0.0.1", port))
    kind = "Content-Type: application/x-www-form-urlencoded"
    head = f"POST /query HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: 7\r\n\r\n"
    client.sendall(head.encode() + b"query=1")
    assert work.started.wait(PATIENCE_SECONDS)
    assert not work.ended.is_set()
    client.close()
    assert work.ended.wait(PATIENCE_SECONDS)


def test_engine_stops_when_it_is_told() -> None:
    source: Any = MemorySource()
    source.add({"__name__": "up"}, [(0, 1.0)])
    with pytest.raises(QueryCanceledError):
        instant(source, "up", 0, is_canceled=lambda: True)
