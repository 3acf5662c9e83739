"""A part of the demo as a process of its own: the product, or the app on the official OpenTelemetry SDK."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx2
import psutil
from server_process import ROOT, environment

from waiting import await_exit, eventually


class ProductProcess:
    """`python -m demo …`, which prints its URL when it answers."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self.url = ""
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "demo", *arguments],
                stdout=output,
                stderr=output,
                env=environment(environ),
                cwd=ROOT,
            )

    def wait_until_up(self) -> None:
        eventually(self._has_printed_url, "the demo starts")

    def client(self, tenant: str = "acme") -> httpx2.Client:
        return httpx2.Client(base_url=self.url, headers={"x-tenant-id": tenant}, timeout=30, trust_env=False)

    def stop(self) -> int:
        """SIGTERM; answers the exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        return await_exit(self._process)

    def log(self) -> str:
        return self._log.read_text()

    def resident_bytes(self) -> int:
        return int(psutil.Process(self._process.pid).memory_info().rss)

    def _has_printed_url(self) -> bool:
        assert self._process.poll() is None, f"the demo ended:\n{self.log()}"
        found = re.search(r"^(http://\S+)", self.log(), re.MULTILINE)
        self.url = found[1] if found else ""
        return found is not None
