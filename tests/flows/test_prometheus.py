"""A real Prometheus writes to a real server, which is killed meanwhile, and scrapes beside it."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from server_process import ServerProcess, read_store

from waiting import await_exit, eventually

StartServer = Callable[..., ServerProcess]


class Prometheus:
    """One that scrapes itself each half second and writes to `url`."""

    def __init__(self, folder: Path, port: int, url: str) -> None:
        self.address = f"127.0.0.1:{port}"
        own = {"targets": [self.address], "labels": {"tenant": "acme"}}
        config = {
            "global": {"scrape_interval": "500ms"},
            "scrape_configs": [{"job_name": "self", "static_configs": [own]}],
            "remote_write": [{"url": f"{url}/prometheus/api/v1/write"}],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        program = shutil.which("prometheus")
        assert program is not None, "run scripts/debian-packages"
        self._process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={self.address}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, query: str) -> Any:
        """The result of an instant query; [] while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/api/v1/query?query={query}", timeout=5) as answer:
                return json.load(answer)["data"]["result"]
        except OSError:
            return []

    def ups(self) -> list[tuple[int, float]]:
        """(time in ms, value) of every sample of its own `up`."""
        result = self.ask("up%5B1h%5D")
        return [(round(at * 1000), float(value)) for at, value in result[0]["values"]] if result else []

    def stop(self) -> None:
        """Writes out what it still holds."""
        self._process.send_signal(signal.SIGINT)
        await_exit(self._process)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_nothing_is_lost_while_the_server_is_killed_and_started_again(
    start_server: StartServer, tmp_path: Path, free_port: int
) -> None:
    (tmp_path / "scrape.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "500ms"},
                "scrape_configs": [{"job_name": "beside", "static_configs": [{"targets": [f"127.0.0.1:{free_port}"]}]}],
            }
        )
    )
    server = start_server({"TOCSIN_SCRAPE_CONFIG_FILE": str(tmp_path / "scrape.yml")})
    prometheus = Prometheus(tmp_path, free_port, server.url)
    try:
        eventually(lambda: len(prometheus.ups()) >= 6, "Prometheus scrapes itself")
        server.kill()
        before = len(prometheus.ups())
        eventually(lambda: len(prometheus.ups()) >= before + 4, "Prometheus goes on")
        server.start()
        after = time.time()
        sent = "prometheus_remote_storage_queue_highest_sent_timestamp_seconds"
        eventually(
            lambda: any(float(row["value"][1]) > after + 2 for row in prometheus.ask(sent)), "it is written again"
        )
        written = [sample for sample in prometheus.ups() if sample[0] < (after + 1) * 1000]
    finally:
        prometheus.stop()
    server.drained()
    server.stop()
    samples, beside = read_store(
        server.data,
        "SELECT toUnixTimestamp64Milli(time), value FROM samples FINAL WHERE name = 'up' AND tenant = 'acme'",
        "SELECT uniqExact(series) FROM samples WHERE tenant = '' AND name LIKE 'prometheus_%'",
    )
    stored = {int(at): value for at, value in samples}
    assert len(written) >= before + 4
    assert [sample for sample in written if stored.get(sample[0]) != sample[1]] == []
    assert beside[0][0] > 100
