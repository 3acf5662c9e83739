"""Server processes that the benchmarks start, ask and measure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil

TOKEN = "bench"


class Running:
    """A server process and what it uses."""

    def __init__(self, command: list[str], **environment: str) -> None:
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}, stderr=subprocess.DEVNULL
        )
        assert self.process.stdout is not None
        line = next(line for line in self.process.stdout if "ready on http://" in line)
        self.port = int(line.split("http://")[1].split()[0].split(":")[1])
        self._seen = psutil.Process(self.process.pid)

    def cpu_seconds(self) -> float:
        times = self._seen.cpu_times()
        return times.user + times.system

    def resident_mb(self) -> float:
        return self._seen.memory_info().rss / 1e6

    def resident_parts_mb(self) -> tuple[float, float]:
        """Its own memory, and pages of files (libraries) that the system could take back."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        own, files = (int(status.split(f"{name}:")[1].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
        return own, files

    def peak_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1e3

    def get(self, path: str) -> Any:
        return json.loads(self.text(path))

    def text(self, path: str) -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(request) as answer:
            read: bytes = answer.read()
            return read

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def tocsin_on(data: Path) -> Running:
    """`tocsin serve` on this data folder, once it is ready, with TOKEN as its administrator's."""
    program = Path(sys.executable).with_name("tocsin")
    command = [str(program), "serve", "--data", str(data), "--port", "0", "--grpc-port", "-1"]
    return Running(command, TOCSIN_ADMIN_TOKEN=TOKEN)
