"""Debian's Prometheus as a process that the benchmarks start, ask and measure."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil


class Prometheus:
    """A Prometheus that takes remote write, in a folder and on a port of its own."""

    write_path, api = "/api/v1/write", "/api/v1"

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.port = _free_port()
        configuration = folder / "prometheus.yml"
        configuration.write_text("global: {}\n")
        command = [
            "prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={self.data}",
            f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-remote-write-receiver",
            "--web.enable-admin-api", "--log.level=error",
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self._seen = psutil.Process(self.process.pid)
        deadline = time.monotonic() + 30
        while not self._is_ready():
            if time.monotonic() > deadline:
                raise RuntimeError(f"cannot start prometheus: no answer on port {self.port} in 30 s; run {command}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            return b"eady" in self._read("/-/ready")
        except (urllib.error.URLError, ConnectionError):
            return False

    def _read(self, path: str, data: bytes | None = None) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data) as answer:
            read: bytes = answer.read()
            return read

    def cpu_seconds(self) -> float:
        times = self._seen.cpu_times()
        return times.user + times.system

    def metric(self, name: str) -> float:
        lines = self._read("/metrics").decode().splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])

    def settle(self, end_ms: int, seconds: float = 200) -> None:
        """Wait until what is older than three hours has left the head for blocks."""
        deadline = time.monotonic() + seconds
        while end_ms - self.metric("prometheus_tsdb_head_min_time") > 3.2 * 3_600_000:
            if time.monotonic() > deadline:
                return
            time.sleep(1)

    def disk_bytes(self) -> int:
        """Everything as blocks, the head too, as a snapshot has it."""
        self._read("/api/v1/admin/tsdb/snapshot", b"")
        (snapshot,) = (self.data / "snapshots").iterdir()
        return sum(file.stat().st_size for file in snapshot.rglob("*") if file.is_file())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
