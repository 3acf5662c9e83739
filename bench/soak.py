"""Whether memory stays bounded: a server under steady load and steady readers, its resident memory over time.

    python -m bench.soak [--minutes 10] [--rate 20000]

Prints a line every ten seconds and, at the end, the slope over the second half: what a leak would show.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from bench.ingest import generate
from bench.server import Running, tocsin_on

CONNECTIONS, BATCH = 4, 256
READS = (
    "/?range=15m",
    "/services/bench",
    "/tenants",
    "/traces",
    "/api/v1/services/bench/endpoints",
    "/api/v1/traces?limit=20",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=20_000, help="spans a second")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = tocsin_on(Path(folder))
        stop = threading.Event()
        reader = threading.Thread(target=_read, args=(server, stop))
        reader.start()
        seen: list[tuple[float, float]] = []
        watcher = threading.Thread(target=_watch, args=(server, stop, seen))
        watcher.start()
        load = generate(server.port, chosen.minutes * 60, CONNECTIONS, BATCH, chosen.rate)
        stop.set()
        watcher.join()
        reader.join()
        server.stop()
    late = np.array(seen[len(seen) // 2 :])
    slope = np.polyfit(late[:, 0] / 60, late[:, 1], 1)[0] if len(late) > 2 else float("nan")
    print(f"{load.spans:,} spans acknowledged, {load.refused} refused")
    print(
        f"memory: {seen[0][1]:.0f} MB at first, {max(mb for _, mb in seen):.0f} MB at most, {seen[-1][1]:.0f} at last"
    )
    print(f"slope over the second half: {slope:+.2f} MB a minute")


def _watch(server: Running, stop: threading.Event, seen: list[tuple[float, float]]) -> None:
    started = time.perf_counter()
    while not stop.wait(10):
        seen.append((time.perf_counter() - started, server.resident_mb()))
        threads = len(os.listdir(f"/proc/{server.process.pid}/task"))
        print(f"{seen[-1][0]:6.0f} s  {seen[-1][1]:6.0f} MB  {threads} threads", flush=True)


def _read(server: Running, stop: threading.Event) -> None:
    while not stop.wait(0.5):
        for path in READS:
            server.text(path)


if __name__ == "__main__":
    main()
