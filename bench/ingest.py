"""How many spans a second `tocsin serve` acknowledges over HTTP after fsync, and what that costs.

    python -m bench.ingest [--seconds 20] [--connections 8] [--batch 512] [--rate 150000]

In one run: a bare receiver (same HTTP server, appends and syncs the body, looks at nothing) and Tocsin (validates,
spools, syncs, decodes, indexes, rolls up). Spans carry 8 attributes and random ids; every tenth has an event. The load
generator shares the machine. Afterwards every acknowledged span must be in the store, once.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.server import Running, tocsin_on

TENANTS, ROUTES = 100, 40


@dataclass(frozen=True)
class Load:
    """What one load generator did."""

    spans: int
    seconds: float
    refused: int


class Batch:
    """An encoded request whose ids and times are renewed in place, so that no two sends are the same."""

    def __init__(self, spans: int, seed: int) -> None:
        chosen = random.Random(seed)
        marks = [chosen.randbytes(24) for _ in range(spans)]
        request = ExportTraceServiceRequest()
        part = request.resource_spans.add()
        for key, value in (("service.name", "bench"), ("deployment.environment.name", "bench")):
            attribute(part.resource.attributes, key, value)
        scope = part.scope_spans.add()
        self._now = time.time_ns()
        for mark in marks:
            _fill(scope.spans.add(), mark, self._now, chosen)
        encoded = request.SerializeToString()
        self._bytes = np.frombuffer(bytearray(encoded), dtype=np.uint8)
        traces = [encoded.index(mark[:16]) for mark in marks]
        own = [encoded.index(mark[16:]) for mark in marks]
        self._ids = np.array(
            [list(range(at, at + 16)) + list(range(span, span + 8)) for at, span in zip(traces, own, strict=True)]
        )
        self._random = np.random.default_rng(seed)

    def renewed(self) -> bytes:
        self._bytes[self._ids] = self._random.integers(1, 255, self._ids.shape, dtype=np.uint8)
        return self._bytes.tobytes()


def _fill(span: Any, mark: bytes, now: int, chosen: random.Random) -> None:
    route = f"/items/{chosen.randrange(ROUTES)}"
    span.trace_id, span.span_id, span.kind, span.name = mark[:16], mark[16:], 2, f"GET {route}"
    span.start_time_unix_nano = now + chosen.randrange(10**9)
    span.end_time_unix_nano = span.start_time_unix_nano + int(chosen.lognormvariate(16, 1))
    for key, value in (
        ("http.request.method", "GET"), ("http.route", route), ("url.path", route), ("url.scheme", "https"),
        ("server.address", "api.example.com"), ("tocsin.tenant", f"tenant-{chosen.randrange(TENANTS)}"),
        ("user_agent.original", "bench/1.0"), ("http.response.status_code", chosen.choice([200] * 18 + [404, 500])),
    ):  # fmt: skip
        attribute(span.attributes, key, value)
    if chosen.random() < 0.1:
        event = span.events.add()
        event.name, event.time_unix_nano = "cache.miss", span.start_time_unix_nano
        attribute(event.attributes, "cache.key", "profile")


def attribute(attributes: Any, key: str, value: str | int) -> None:
    """One more attribute of an OTLP message."""
    entry = attributes.add()
    entry.key = key
    if isinstance(value, int):
        entry.value.int_value = value
    else:
        entry.value.string_value = value


async def send(
    port: int, batch: Any, spans: int, until: float, pause: float, counts: list[int], path: str = "/v1/traces"
) -> None:
    """Send until then; with a pause, batches start no closer together than that."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/x-protobuf\r\ncontent-length: {{}}\r\n\r\n"
    )
    due = time.perf_counter()
    while time.perf_counter() < until:
        due += pause
        await asyncio.sleep(max(0.0, due - time.perf_counter()) if pause else 0)
        body = batch.renewed()
        writer.write(head.format(len(body)).encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:")),
            0,
        )
        await reader.readexactly(length)
        counts[0 if b" 200 " in answer.split(b"\r\n")[0] else 1] += spans
    writer.close()


def _load(port: int, seconds: float, connections: int, spans: int, rate: float, answer: Any) -> None:
    async def run() -> Load:
        batches = [Batch(spans, seed) for seed in range(connections)]
        counts = [0, 0]
        started = time.perf_counter()
        pause = connections * spans / rate if rate else 0.0
        await asyncio.gather(*(send(port, batch, spans, started + seconds, pause, counts) for batch in batches))
        return Load(counts[0], time.perf_counter() - started, counts[1])

    answer.send(asyncio.run(run()))


def generate(port: int, seconds: float, connections: int, spans: int, rate: float = 0) -> Load:
    """Run the load generator in a process of its own; `rate` in spans a second, 0 is as fast as it goes."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_load, args=(port, seconds, connections, spans, rate, there)
    )
    process.start()
    load: Load = here.recv()
    process.join()
    return load


def bare_receiver(folder: str) -> None:
    """`python -m bench.ingest --bare`: append and sync the body, nothing else."""
    import uvicorn

    file = open(Path(folder) / "bodies", "ab", buffering=0)  # noqa: SIM115 - open as long as the process lives

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        parts = []
        while True:
            message = await receive()
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        file.write(b"".join(parts))
        await asyncio.to_thread(os.fdatasync, file.fileno())
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, port=0, log_level="warning", access_log=False, lifespan="off")
    listener = config.bind_socket()
    print(f"ready on http://127.0.0.1:{listener.getsockname()[1]} ", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


def stored(server: Running) -> int:
    """Requests counted by the rollups: one per span of this load."""
    services = server.get(f"/api/v1/services?start={time.time() - 7200}&end={time.time() + 3600}")["services"]
    return sum(row["red"]["requests"] for row in services if row["service"] == "bench")


def wait_for(reached: Callable[[], bool], seconds: float, every: float = 0.05) -> float:
    """Seconds until `reached` is true; raises TimeoutError."""
    started = time.perf_counter()
    while not reached():
        if time.perf_counter() - started > seconds:
            raise TimeoutError("the acknowledged spans did not all become visible")
        time.sleep(every)
    return time.perf_counter() - started


def disk_bytes_per_span(data: Path) -> float:
    """Of the spans table alone, after the server has stopped: its column files over its rows."""
    from tocsin.storage.telemetry.chdb import ChdbEngine

    engine = ChdbEngine(data / "telemetry")
    engine.execute("OPTIMIZE TABLE spans FINAL")
    sql = (
        "SELECT sum(bytes_on_disk) / sum(rows), sumIf(bytes_on_disk, table = 'spans') / sumIf(rows, table = 'spans') "
        "FROM (SELECT table, bytes_on_disk, if(table = 'spans', rows, 0) AS rows FROM system.parts "
        "WHERE active AND database = 'tocsin' AND table != 'migrations')"
    )
    everything, spans = engine.query(sql, {}, {}, 60).rows[0]
    print(f"disk: {spans:.1f} B a span, {everything:.1f} B with its rollups")
    return float(spans)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=0, help="spans a second; 0 is as fast as it goes")
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.bare:
        bare_receiver(chosen.bare)
        return
    with tempfile.TemporaryDirectory() as folder:
        bare = Running([sys.executable, "-m", "bench.ingest", "--bare", folder])
        bare_load = generate(bare.port, chosen.seconds / 2, chosen.connections, chosen.batch)
        bare.stop()
    with tempfile.TemporaryDirectory() as folder:
        server = tocsin_on(Path(folder))
        idle_mb, cpu = server.resident_mb(), server.cpu_seconds()
        load = generate(server.port, chosen.seconds, chosen.connections, chosen.batch, chosen.rate)
        cpu = server.cpu_seconds() - cpu
        behind = wait_for(lambda: stored(server) >= load.spans, 120)
        exact = stored(server) == load.spans
        visible = []
        for _ in range(10):
            before = stored(server)
            generate_one(server.port)
            visible.append(wait_for(lambda before=before: stored(server) > before, 10, 0.02))  # type: ignore[misc]
        peak_mb = server.peak_mb()
        server.stop()
        rate, bare_rate = load.spans / load.seconds, bare_load.spans / bare_load.seconds
        print(f"acknowledged: {rate:,.0f} spans/s, {rate / bare_rate:.2f} of a mere fsync ({bare_rate:,.0f})")
        print(f"stored: {load.spans:,} spans acknowledged, all there once: {exact}; refused {load.refused}")
        through = load.spans / (load.seconds + behind)
        print(f"behind: all stored {behind:.2f} s after the last answer, {through:,.0f} spans/s from end to end")
        print(f"cpu: {cpu / load.spans * 1e6:.1f} µs a span in the server while loaded")
        print(f"memory: {idle_mb:.0f} MB at start, {peak_mb:.0f} MB at most")
        visible.sort()
        print(
            f"visible: a lone span after {visible[len(visible) // 2]:.2f} s at the median, {visible[-1]:.2f} s at most"
        )
        disk_bytes_per_span(Path(folder))


def generate_one(port: int) -> None:
    """Send one batch of one span."""
    batch = Batch(1, random.randrange(2**32))
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/traces", batch.renewed(), {"content-type": "application/x-protobuf"}
    )
    urllib.request.urlopen(request).close()


if __name__ == "__main__":
    main()
