"""Whether memory stays bounded: a server under steady load and steady readers, its resident memory over time.

    python -m bench.soak [--minutes 10] [--rate 20000]
    python -m bench.soak --demo [--minutes 4]

Prints a line every ten seconds and, at the end, the slope over the second half: what a leak would show. With --demo
the load is the demo product's instead, nobody reads, and every page is opened once at the end.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from bench.ingest import generate
from bench.pages import PAGES
from bench.server import Running, tocsin_on

# What bench.pages fills in and the demo does not have.
NAMES_ITS_OWN = re.compile(r"bench|-\d")
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
    parser.add_argument("--demo", action="store_true", help="under the demo product and its traffic")
    chosen = parser.parse_args()
    if chosen.demo:
        under_demo(chosen.minutes)
        return
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


def under_demo(minutes: float) -> None:
    """Print what the server takes while the demo runs, and after every page was opened."""
    with tempfile.TemporaryDirectory() as folder:
        server = tocsin_on(Path(folder) / "server")
        address = f"http://127.0.0.1:{server.port}"
        command = [sys.executable, "-m", "demo", "run", "--port", "0", "--endpoint", address]
        demo = subprocess.Popen([*command, "--data", f"{folder}/product"], stdout=subprocess.DEVNULL)
        stop = threading.Event()
        seen: list[tuple[float, float]] = []
        watcher = threading.Thread(target=_watch, args=(server, stop, seen))
        watcher.start()
        time.sleep(minutes * 60)
        print(f"{server.cpu_seconds() / minutes / 60:.0%} of a core, start included", flush=True)
        opened = [path for path in PAGES.values() if not NAMES_ITS_OWN.search(path)]
        for path in opened:
            server.text(path)
        print(f"{len(opened)} pages opened", flush=True)
        time.sleep(60)
        stop.set()
        watcher.join()
        demo.terminate()
        demo.wait(30)
        server.stop()


def _watch(server: Running, stop: threading.Event, seen: list[tuple[float, float]]) -> None:
    started = time.perf_counter()
    while not stop.wait(10):
        seen.append((time.perf_counter() - started, server.resident_mb()))
        threads = len(os.listdir(f"/proc/{server.process.pid}/task"))
        own, files = server.resident_parts_mb()
        print(
            f"{seen[-1][0]:6.0f} s  {own + files:6.0f} MB: {own:.0f} own, {files:.0f} of files  {threads} threads",
            flush=True,
        )


def _read(server: Running, stop: threading.Event) -> None:
    while not stop.wait(0.5):
        for path in READS:
            server.text(path)


if __name__ == "__main__":
    main()
