"""A real uvicorn, or a real gRPC server, in front of a real spool, on free ports of this machine."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from tocsin.ingest.gate import Gate, IngestSettings
from tocsin.ingest.known_series import SeriesSettings
from tocsin.ingest.otlp_grpc import OtlpGrpc
from tocsin.ingest.otlp_http import OtlpHttp
from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.spool import Spool, SpoolSettings, read_messages
from waiting import PATIENCE_SECONDS


@dataclass
class SentKey:
    id: str = "key-1"
    spans_per_second: int | None = None


KEYS = {"good": SentKey(), "slow": SentKey("key-2", spans_per_second=1)}


@dataclass
class Ingest:
    """A gate with its spool; `stored` is what a sender was acknowledged."""

    gate: Gate
    spool: Spool

    def stored(self, signal: Signal = Signal.TRACES) -> list[bytes]:
        self.spool.roll(signal)
        return [message for segment in self.spool.finished(signal) for message in read_messages(segment.path)]


@contextmanager
def ingest_of(
    folder: Path, spool_bytes: int = 10**8, series: SeriesSettings | None = None, **settings: Any
) -> Iterator[Ingest]:
    spool = Spool(folder, SpoolSettings(min_free_bytes=0, max_bytes=spool_bytes))
    yield Ingest(Gate(spool, KEYS.get, IngestSettings(**settings), series=series), spool)
    spool.close()


@contextmanager
def http_server(gate: Gate, application: Any = None) -> Iterator[int]:
    """The port of a uvicorn in a thread of its own, with OTLP or another application of the gate."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)  # a client that comes before uvicorn is up waits
        config = uvicorn.Config(
            application or OtlpHttp(gate), log_level="error", lifespan="off", http="httptools", ws="none"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)


@contextmanager
def grpc_server(gate: Gate) -> Iterator[int]:
    """The port of a gRPC server on an event loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[OtlpGrpc, int]:
        server = OtlpGrpc(gate)
        return server, await server.start("127.0.0.1", 0)

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(PATIENCE_SECONDS)
    yield port
    asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(PATIENCE_SECONDS)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE_SECONDS)
    loop.close()
