"""A query ends when its client leaves: over a real connection that is closed while the query runs."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request

from tocsin.query.promql.engine import instant
from tocsin.query.promql.errors import QueryCanceledError
from tocsin.query.promql.source import MemorySource
from tocsin.web.metrics import while_waited_for

DEADLINE_SECONDS = 10


class Endless:
    """A query that ends only when nobody waits for it any more."""

    def __init__(self) -> None:
        self.started, self.ended = threading.Event(), threading.Event()

    def __call__(self, is_gone: Callable[[], bool]) -> str:
        self.started.set()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not is_gone() and time.monotonic() < deadline:
            time.sleep(0.005)
        if is_gone():
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
    thread.join(DEADLINE_SECONDS)


def test_query_is_told_that_its_client_left(endless: tuple[Endless, int]) -> None:
    work, port = endless
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            client = socket.create_connection(("127.0.0.1", port))
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    kind = "Content-Type: application/x-www-form-urlencoded"
    head = f"POST /query HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: 7\r\n\r\n"
    client.sendall(head.encode() + b"query=1")
    assert work.started.wait(DEADLINE_SECONDS)
    assert not work.ended.is_set()
    client.close()
    assert work.ended.wait(DEADLINE_SECONDS)


def test_engine_stops_when_it_is_told() -> None:
    source: Any = MemorySource()
    source.add({"__name__": "up"}, [(0, 1.0)])
    with pytest.raises(QueryCanceledError):
        instant(source, "up", 0, is_canceled=lambda: True)
