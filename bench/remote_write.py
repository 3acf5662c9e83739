"""How many samples a second `tocsin serve` takes by remote write, acknowledged after fsync, and what a sample weighs.

    python -m bench.remote_write [--seconds 20] [--connections 4] [--series 100000] [--batch 2000]

Every series has ten labels and a sample each 15 s of its own time, which passes as fast as the server takes it: a
third counters that rise by whole numbers, a third gauges that wander, a third that hardly move. The load generator
shares the machine. Afterwards every acknowledged sample must be in the store.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cramjam
import numpy as np

from bench.server import tocsin_on

STEP_MS = 15_000


@dataclass(frozen=True)
class Load:
    """What the load generator did."""

    samples: int
    seconds: float
    refused: int


class Batch:
    """One encoded request whose values and times are renewed in place."""

    def __init__(self, first: int, series: int, start_ms: int) -> None:
        parts = []
        self._at = np.zeros(series, np.intp)
        size = 0
        for index in range(first, first + series):
            labels = _labels(index)
            body = labels + b"\x12\x10\x09" + bytes(8) + b"\x10" + _varint(start_ms)
            entry = b"\x0a" + _varint(len(body)) + body
            size += len(entry)
            self._at[index - first] = size - 15  # where the value begins
            parts.append(entry)
        self._bytes = np.frombuffer(bytearray(b"".join(parts)), np.uint8)
        self._random = np.random.default_rng(first)
        self._values = self._random.integers(1, 10**6, series).astype(np.float64)
        self._kind = np.arange(series) % 3
        self._values_at = self._at[:, None] + np.arange(8)
        self._times_at = self._at[:, None] + 9 + np.arange(6)
        self._time_ms = start_ms

    def renewed(self) -> bytes:
        """The next scrape, compressed."""
        count = len(self._values)
        self._time_ms += STEP_MS
        rise = self._random.integers(0, 50, count) * (self._kind == 0)
        wander = np.round(self._random.normal(0, 10, count), 2) * (self._kind == 1)
        jump = (self._random.random(count) < 0.02) * (self._kind == 2)
        self._values += rise + wander + jump
        self._bytes[self._values_at] = self._values.view(np.uint8).reshape(count, 8)
        self._bytes[self._times_at] = np.frombuffer(_varint(self._time_ms), np.uint8)
        return bytes(cramjam.snappy.compress_raw(self._bytes.tobytes()))


def _labels(index: int) -> bytes:
    named = {
        "__name__": f"bench_metric_{index % 400}_total", "cluster": "eu-1", "container": "api",
        "endpoint": "metrics", "instance": f"10.0.{index // 256 % 256}.{index % 256}:9090", "job": "bench",
        "namespace": f"team-{index % 20}", "pod": f"api-{index // 400}-{index % 7}", "series": str(index),
        "tenant": f"tenant-{index % 100}",
    }  # fmt: skip
    parts = []
    for name, value in named.items():
        pair = b"\x0a" + _varint(len(name)) + name.encode() + b"\x12" + _varint(len(value)) + value.encode()
        parts.append(b"\x0a" + _varint(len(pair)) + pair)
    return b"".join(parts)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


async def _send(port: int, batches: list[Batch], size: int, until: float, counts: list[int]) -> None:
    """Send scrapes in turn: `until` as many (an int), or until then (a time)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        "POST /api/v1/write HTTP/1.1\r\nhost: bench\r\ncontent-type: application/x-protobuf\r\n"
        "content-encoding: snappy\r\ncontent-length: {}\r\n\r\n"
    )
    turn = 0
    while turn < until if isinstance(until, int) else time.perf_counter() < until:
        body = batches[turn % len(batches)].renewed()
        turn += 1
        writer.write(head.format(len(body)).encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:")),
            0,
        )
        await reader.readexactly(length)
        counts[0 if b" 204 " in answer.split(b"\r\n")[0] else 1] += size
    writer.close()


def _load(port: int, seconds: float, connections: int, series: int, size: int, answer: Any) -> None:
    async def run() -> Load:
        start_ms = int(time.time() * 1000) - 20 * 86_400_000
        batches = [Batch(first, size, start_ms) for first in range(0, series, size)]
        shares = [batches[turn::connections] for turn in range(connections)]
        first = [0, 0]
        started = time.perf_counter()
        await asyncio.gather(*(_send(port, share, size, len(share), first) for share in shares))
        answer.send(Load(first[0], time.perf_counter() - started, first[1]))
        counts = [0, 0]
        started = time.perf_counter()
        await asyncio.gather(*(_send(port, share, size, started + seconds, counts) for share in shares))
        return Load(counts[0], time.perf_counter() - started, counts[1])

    answer.send(asyncio.run(run()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=2000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = tocsin_on(Path(folder))
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_load,
            args=(server.port, chosen.seconds, chosen.connections, chosen.series, chosen.batch, there),
        )
        process.start()
        new: Load = here.recv()
        print(f"new: {new.samples / new.seconds:,.0f} samples/s while every series is new")
        cpu = server.cpu_seconds()
        load: Load = here.recv()
        cpu = server.cpu_seconds() - cpu
        process.join()
        started = time.perf_counter()
        while server.get("/api/v1/monitoring/status")["spool_bytes"]:
            time.sleep(0.05)
        behind = time.perf_counter() - started
        peak = server.peak_mb()
        server.stop()
        acknowledged = load.samples + new.samples
        print(f"acknowledged: {load.samples / load.seconds:,.0f} samples/s of {chosen.series:,} series")
        through = load.samples / (load.seconds + behind)
        print(f"behind: all stored {behind:.2f} s after the last answer, {through:,.0f} samples/s from end to end")
        print(f"cpu: {cpu / load.samples * 1e6:.2f} µs a sample in the server; memory {peak:.0f} MB at most")
        weigh(Path(folder), acknowledged, load.refused + new.refused)


def weigh(data: Path, sent: int, refused: int) -> None:
    """Samples stored, and what one weighs on disk once merged."""
    from tocsin.storage.telemetry.chdb import ChdbEngine

    engine = ChdbEngine(data / "telemetry")
    ((stored,),) = engine.query("SELECT count() FROM samples", {}, {}, 60).rows
    print(f"stored: {stored:,} of {sent:,} acknowledged; refused {refused}")
    engine.execute("OPTIMIZE TABLE samples FINAL")
    sql = (
        "SELECT table, sum(bytes_on_disk), sum(rows) FROM system.parts WHERE active AND database = 'tocsin' "
        "AND table IN ('samples', 'series') GROUP BY table ORDER BY table"
    )
    for table, size, rows in engine.query(sql, {}, {}, 60).rows:
        print(f"disk: {table} {size / max(1, rows):.2f} B a row, {rows:,} rows")


if __name__ == "__main__":
    main()
