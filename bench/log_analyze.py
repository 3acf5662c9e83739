"""`tocsin logs analyze` over a gigabyte of JSONL on one core, beside reading every line with orjson and nothing else.

python -m bench.log_analyze [MEGABYTES]
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import orjson

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "detect" / "patterns"))

from log_samples import lines_of

PART_BYTES = 50_000_000
REPORTS = (
    ["--errors"],
    ["--check-errors", "--last-24h"],
    ["--slow-queries", "--threshold=1000ms"],
    ["--performance"],
    ["--security", "--suspicious"],
    ["--business-events", "--summary"],
    [],
)
ORJSON = """
import sys, orjson
lines = bad = 0
for line in open(sys.argv[1], "rb"):
    try:
        orjson.loads(line)
        lines += 1
    except orjson.JSONDecodeError:
        bad += 1
"""


def write(path: Path, megabytes: int) -> None:
    """Lines of a product, 270 bytes each; one in ten thousand is broken."""
    choose = random.Random(1)
    messages = [line for line, _ in lines_of("Product", 20_000)]
    part = bytearray()
    place = 0
    now = time.time()
    while len(part) < PART_BYTES:
        place += 1
        message = messages[place % len(messages)]
        row = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now - 7200 + place / 30)) + ".123Z",
            "level": "ERROR" if "failed" in message else "INFO",
            "logger": "shop.api",
            "message": message,
            "request_id": f"{choose.getrandbits(128):032x}",
            "tenant_id": choose.choice(["acme", "globex", "initech"]),
            "http.route": "/api/v1/orders/{id}",
            "duration_ms": round(choose.expovariate(1 / 80), 2),
        }
        line = orjson.dumps(row) + b"\n"
        part += line[:50] + b"\n" if place % 10_007 == 0 else line
    with path.open("wb") as file:
        for _ in range(max(1, megabytes * 1_000_000 // len(part))):
            file.write(part)


def timed(command: Sequence[str]) -> tuple[float, float]:
    """CPU seconds and wall seconds of a command on one core."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(["taskset", "-c", "0", *command], capture_output=True, check=False)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "app.jsonl"
        write(path, megabytes)
        size = path.stat().st_size / 1e9
        base, wall = timed([sys.executable, "-c", ORJSON, str(path)])
        print(f"{size:.2f} GB of JSONL on one core{'':34}{'CPU s':>8}{'wall s':>8}{'/ orjson':>10}")
        print(f"{'orjson.loads on every line, nothing else':58}{base:8.1f}{wall:8.1f}{1:10.2f}")
        for flags in REPORTS:
            command = [sys.executable, "-m", "tocsin", "logs", "analyze", str(path), "--threads", "1", *flags]
            cpu, wall = timed(command)
            name = f"tocsin logs analyze {' '.join(flags) or '(all reports)'}"
            print(f"{name:58}{cpu:8.1f}{wall:8.1f}{cpu / base:10.2f}")
    print(f"{os.cpu_count()} cores, others may be busy on them: read the CPU seconds and the ratio")


if __name__ == "__main__":
    main()
