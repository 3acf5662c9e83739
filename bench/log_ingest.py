"""How many log records a second `tocsin serve` acknowledges over HTTP after fsync, and what that costs.

    python -m bench.log_ingest [--seconds 20] [--connections 8] [--batch 512] [--rate 100000]

In one run: a bare receiver (same HTTP server, appends and syncs the body, looks at nothing) and Tocsin (validates,
spools, syncs, decodes, indexes). Records have a body of some 100 characters, 6 attributes, and the ids of their trace
and span. The load generator shares the machine. Afterwards every acknowledged record must be in the store, once.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from bench.ingest import TENANTS, Load, attribute, send, wait_for
from bench.server import Running, tocsin_on

PATH = "/v1/logs"
MESSAGES = (
    "GET /items/{} answered 200 in {} ms for the user who asked for it from the application",
    "stock of item {} fell below the threshold of {} pieces, an order at the supplier is due",
    "cache miss for item {}, it was read from the database within {} ms and kept for the next time",
    "payment of order {} was refused by the provider with code {}, the customer has been told about it",
)


class Batch:
    """An encoded request whose trace and span ids are renewed in place, so that no two sends are the same."""

    def __init__(self, records: int, seed: int) -> None:
        chosen = random.Random(seed)
        marks = [chosen.randbytes(24) for _ in range(records)]
        request = ExportLogsServiceRequest()
        part = request.resource_logs.add()
        for key, value in (("service.name", "bench"), ("deployment.environment.name", "bench")):
            attribute(part.resource.attributes, key, value)
        scope = part.scope_logs.add()
        scope.scope.name = "bench.orders"
        now = time.time_ns()
        for mark in marks:
            _fill(scope.log_records.add(), mark, now, chosen)
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


def _fill(record: Any, mark: bytes, now: int, chosen: random.Random) -> None:
    record.trace_id, record.span_id = mark[:16], mark[16:]
    record.time_unix_nano = now + chosen.randrange(10**9)
    record.observed_time_unix_nano = record.time_unix_nano
    record.severity_number, record.severity_text = chosen.choice(
        [(9, "INFO")] * 17 + [(13, "WARN")] * 2 + [(17, "ERROR")]
    )
    record.body.string_value = chosen.choice(MESSAGES).format(chosen.randrange(10**5), chosen.randrange(1000))
    for key, value in (
        ("tocsin.tenant", f"tenant-{chosen.randrange(TENANTS)}"), ("code.function.name", "orders.answer"),
        ("code.file.path", "/srv/app/orders.py"), ("code.line.number", chosen.randrange(500)),
        ("request.id", chosen.randbytes(8).hex()), ("thread.name", "MainThread"),
    ):  # fmt: skip
        attribute(record.attributes, key, value)


def _load(port: int, seconds: float, connections: int, records: int, rate: float, answer: Any) -> None:
    async def run() -> Load:
        batches = [Batch(records, seed) for seed in range(connections)]
        counts = [0, 0]
        started = time.perf_counter()
        pause = connections * records / rate if rate else 0.0
        until = started + seconds
        await asyncio.gather(*(send(port, batch, records, until, pause, counts, PATH) for batch in batches))
        return Load(counts[0], time.perf_counter() - started, counts[1])

    answer.send(asyncio.run(run()))


def generate(port: int, seconds: float, connections: int, records: int, rate: float = 0) -> Load:
    """Run the load generator in a process of its own; `rate` in records a second, 0 is as fast as it goes."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_load, args=(port, seconds, connections, records, rate, there)
    )
    process.start()
    load: Load = here.recv()
    process.join()
    return load


def stored(server: Running) -> int:
    """Rows of the table of logs; what the server itself logs is not among them."""
    text = server.text("/metrics").decode()
    line = next(line for line in text.splitlines() if line.startswith('tocsin_store_rows{table="logs"}'))
    return int(float(line.split()[1]))


def disk_bytes_per_record(data: Path) -> float:
    """After the server has stopped: the column files of the table over its rows."""
    from tocsin.storage.telemetry.chdb import ChdbEngine

    engine = ChdbEngine(data / "telemetry")
    engine.execute("OPTIMIZE TABLE logs FINAL")
    sql = "SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND table = 'logs'"
    return float(engine.query(sql, {}, {}, 60).rows[0][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=0, help="records a second; 0 is as fast as it goes")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bare = Running([sys.executable, "-m", "bench.ingest", "--bare", folder])
        bare_load = generate(bare.port, chosen.seconds / 2, chosen.connections, chosen.batch)
        bare.stop()
    with tempfile.TemporaryDirectory() as folder:
        server = tocsin_on(Path(folder))
        idle_mb, cpu = server.resident_mb(), server.cpu_seconds()
        load = generate(server.port, chosen.seconds, chosen.connections, chosen.batch, chosen.rate)
        behind = wait_for(lambda: stored(server) >= load.spans, 120, 0.25)
        cpu = server.cpu_seconds() - cpu
        exact = stored(server) == load.spans
        peak_mb = server.peak_mb()
        server.stop()
        rate, bare_rate = load.spans / load.seconds, bare_load.spans / bare_load.seconds
        print(f"acknowledged: {rate:,.0f} records/s, {rate / bare_rate:.2f} of a mere fsync ({bare_rate:,.0f})")
        print(f"stored: {load.spans:,} records acknowledged, all there once: {exact}; refused {load.refused}")
        through = load.spans / (load.seconds + behind)
        print(f"behind: all stored {behind:.2f} s after the last answer, {through:,.0f} records/s from end to end")
        print(f"cpu: {cpu / load.spans * 1e6:.1f} µs a record in the server until all were stored")
        print(f"memory: {idle_mb:.0f} MB at start, {peak_mb:.0f} MB at most")
        print(f"disk: {disk_bytes_per_record(Path(folder)):.1f} B a record")


if __name__ == "__main__":
    main()
