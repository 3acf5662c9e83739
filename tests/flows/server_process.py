"""`tocsin serve` as a process of its own, to be asked, killed and started again on the same data and ports."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import psutil

from fresh_data import lay_out
from waiting import PATIENCE_SECONDS, await_exit, eventually
from warm_python import WarmProcess, run

ROOT = Path(__file__).parents[2]
ADMIN_TOKEN = "automation-of-the-flow-tests"
READ_STORE = """
import json, sys
from pathlib import Path
from tocsin.storage.telemetry.chdb import ChdbEngine
engine = ChdbEngine(Path(sys.argv[1]))
print(json.dumps([engine.query(sql, {}, {}, 60).rows for sql in sys.argv[2:]]))
engine.close()
"""


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what would steer a server or an SDK, and with our tree to import from."""
    foreign = ("TOCSIN_", "OTEL_", "MONITORING_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return (
        kept
        | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "TOCSIN_ADMIN_TOKEN": ADMIN_TOKEN}
        | {"TOCSIN_OVERHEAD_BUDGET_US": "0"}  # on a busy machine the SDK would leave out traces that are asked for
        | extra
    )


class ServerProcess:
    """One data folder and the server that runs on it, most of the time."""

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        is_first_start: bool = False,
    ) -> None:
        """is_first_start: from an empty folder, for tests of that start itself."""
        self.data = folder / "data"
        self._is_first_start = is_first_start
        self.url = ""
        self.grpc_port = 0
        self.setup_link = ""
        self._log = folder / "server.log"
        self._printed = folder / "server.out"
        # The shipped rules would have something to say of a busy machine, and take their time.
        self._environ = environment({"TOCSIN_RULES_IS_PACKS_ON": "false", **(environ or {})})
        self._options = list(options)
        self._process: WarmProcess | None = None

    def start(self) -> None:
        """Run and wait until it is ready."""
        self.launch()
        try:
            eventually(self._is_ready, "the server starts")
        except AssertionError:
            self._running.kill()
            raise

    def launch(self) -> None:
        """Run and return at once; after the first time on the same ports."""
        if not self.data.exists() and not self._is_first_start:
            lay_out(self.data)
        port = self.url.rpartition(":")[2] or "0"
        options = ["--data", str(self.data), "--port", port, "--grpc-port", str(self.grpc_port), *self._options]
        self._printed.write_text("")
        with self._printed.open("ab") as printed, self._log.open("ab") as log:
            self._process = WarmProcess(["-m", "tocsin", "serve", *options], self._environ, Path.cwd(), printed, log)

    def kill(self) -> None:
        """As a power cut would."""
        self._running.send_signal(signal.SIGKILL)
        self._running.wait()

    def stop(self) -> int:
        """SIGTERM; answers the exit code."""
        if self._running.poll() is None:
            self._running.terminate()
        return await_exit(self._running)

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._running.poll()

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def client(self, token: str = ADMIN_TOKEN, **options: Any) -> httpx2.Client:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False, **options)

    def ask(self, path: str, **parameters: Any) -> Any:
        """The JSON an administrator gets."""
        with self.client() as client:
            answer = client.get(path, params=parameters)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def drained(self) -> None:
        """Wait until the engine has everything that was acknowledged."""
        eventually(lambda: self.ask("/api/v1/monitoring/status")["spool_bytes"] == 0, "the spool drains")

    def command(self, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """`tocsin …` as somebody on this machine runs it."""
        return run(["-m", "tocsin", *arguments], self._environ | (environ or {}), self.data.parent, PATIENCE_SECONDS)

    def log(self) -> str:
        return self._log.read_text()

    def peak_bytes(self) -> int:
        """The most memory it ever had resident."""
        status = Path(f"/proc/{self._running.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024

    def process(self) -> psutil.Process:
        return psutil.Process(self._running.pid)

    @property
    def _running(self) -> WarmProcess:
        assert self._process is not None, "the server was not started"
        return self._process

    def _is_ready(self) -> bool:
        assert self._running.poll() is None, f"the server ended with {self._running.returncode}:\n{self.log()[-3000:]}"
        printed = self._printed.read_text()
        found = re.search(r"is ready on (http://\S+) \(OTLP/gRPC on port (\d+)", printed)
        if found is None:
            return False
        self.url, self.grpc_port = found[1], int(found[2])
        link = re.search(r"\S+/setup/\S+", printed)
        self.setup_link = link[0] if link else ""
        return True


def read_store(data: Path, *statements: str) -> list[list[list[Any]]]:
    """Rows of each SELECT, straight from the telemetry store of a stopped server."""
    command = [sys.executable, "-c", READ_STORE, str(data / "telemetry"), *statements]
    read = subprocess.run(command, env=environment({}), capture_output=True, text=True, timeout=120)
    assert read.returncode == 0, read.stderr
    rows: list[list[list[Any]]] = json.loads(read.stdout)
    return rows
