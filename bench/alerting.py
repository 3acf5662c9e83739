"""How long from the breach to the message at the receiver, beside Prometheus and Alertmanager in one run.

    python -m bench.alerting [--events 60]

Here the SDK sends an event, a rule over events fires, and a webhook hears of it. There a figure crosses its threshold
in an application that Prometheus scrapes and evaluates every second (its defaults are 15 s and a minute), and
Alertmanager tells the same webhook without a wait. Each event is an alert of its own. All run at once on this machine.
Prints seconds from the breach to the arrival, and theirs as a multiple of ours.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.server import TOKEN, Running
from tocsin.sdk.agent import Agent, agent_for, close_agent
from tocsin.sdk.records import FATAL
from tocsin.sdk.settings import Settings

PACE_SECONDS = 0.37  # no divisor of anybody's interval
PATIENCE_SECONDS = 60.0
WARM = 5
ROUTES = """
route: {receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers: [{name: hook, webhook_configs: [{url: '%s', send_resolved: false}]}]
"""
RULE = """
groups:
  - {name: bench, interval: 1s, rules: [{alert: Crossing, expr: crossing > 0, labels: {severity: page}}]}
"""
OURS = """
groups:
  - name: bench
    interval: 10s
    rules:
      - {alert: Crossing, labels: {severity: page}, tocsin: {events: {name: bench.crossing, by: [n], within: 10m}}}
"""
PROMETHEUS = """
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: ['%s']
alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:%d']}]}]}
scrape_configs: [{job_name: app, static_configs: [{targets: ['127.0.0.1:%d']}]}]
"""


class Site:
    """The receiver of both, and the application that Prometheus scrapes. heard: when, by who told and the number."""

    def __init__(self) -> None:
        self.heard: dict[tuple[str, int], float] = {}
        self.crossed: list[int] = []
        site = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                at = time.monotonic()
                for alert in body["alerts"]:
                    site.heard.setdefault((self.path.strip("/"), int(alert["labels"]["n"])), at)
                self.send_response(200)
                self.end_headers()

            def do_GET(self) -> None:
                text = "".join(f'crossing{{n="{n}"}} 1\n' for n in list(site.crossed)).encode()
                self.send_response(200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, who: str) -> str:
        return f"http://127.0.0.1:{self.port}/{who}"

    def close(self) -> None:
        self._server.shutdown()


@contextmanager
def theirs(folder: Path, site: Site) -> Iterator[None]:
    """Prometheus and Alertmanager, ready."""
    hub, watch = _free_port(), _free_port()
    (folder / "alertmanager.yml").write_text(ROUTES % site.url("theirs"))
    (folder / "rules.yml").write_text(RULE)
    (folder / "prometheus.yml").write_text(PROMETHEUS % (folder / "rules.yml", hub, site.port))
    commands = [
        ["prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/am",
         f"--web.listen-address=127.0.0.1:{hub}", "--cluster.listen-address="],
        ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus",
         f"--web.listen-address=127.0.0.1:{watch}"],
    ]  # fmt: skip
    with (folder / "theirs.log").open("w") as log:
        running = [subprocess.Popen(command, stdout=log, stderr=log) for command in commands]
    try:
        for port in (hub, watch):
            _await_port(port)
        yield
    finally:
        for process in running:
            process.terminate()
            process.wait(20)


@contextmanager
def ours(folder: Path, site: Site) -> Iterator[Agent]:
    """A Tocsin server, and the SDK of an application that sends to it."""
    (folder / "rules").mkdir()
    (folder / "rules" / "bench.yml").write_text(OURS)
    (folder / "ours.yml").write_text(ROUTES % site.url("ours"))
    command = [
        sys.executable,
        "-m",
        "tocsin",
        "serve",
        "--data",
        str(folder / "data"),
        "--port",
        "0",
        "--grpc-port",
        "-1",
    ]
    server = Running(
        command,
        TOCSIN_ADMIN_TOKEN=TOKEN,
        TOCSIN_RULES_FOLDER=str(folder / "rules"),
        TOCSIN_ALERTING_CONFIG_FILE=str(folder / "ours.yml"),
        TOCSIN_ALERTING_STORM_SAME_COUNT="0",
        TOCSIN_ALERTING_STORM_TOTAL_COUNT="0",
    )
    agent = agent_for(Settings.load(endpoint=f"http://127.0.0.1:{server.port}", service="bench"))
    try:
        yield agent
    finally:
        close_agent(agent, 2.0)
        server.stop()


def play(site: Site, agent: Agent, numbers: range) -> dict[int, float]:
    """When each breach was; waits until both have told all of them, or patience ends."""
    at: dict[int, float] = {}
    for n in numbers:
        at[n] = time.monotonic()
        site.crossed.append(n)
        agent.emit("bench.crossing", "crossed", {"n": str(n)}, FATAL)
        time.sleep(PACE_SECONDS)
    until = time.monotonic() + PATIENCE_SECONDS
    while len(site.heard) < 2 * len(numbers) and time.monotonic() < until:
        time.sleep(0.05)
    return at


def waits(site: Site, at: dict[int, float], who: str) -> list[float]:
    return sorted(heard - at[n] for (told_by, n), heard in site.heard.items() if told_by == who and n in at)


def report(mine: list[float], other: list[float], events: int) -> None:
    print(f"{'seconds from breach to receiver':34}{'p50':>8}{'p99':>8}{'worst':>8}{'told':>10}")
    for name, found in (("Tocsin", mine), ("Prometheus + Alertmanager at 1 s", other)):
        print(f"{name:34}{_row(found)}{len(found):>6}/{events}")
    if mine and other:
        ratios = [theirs / ours for ours, theirs in zip(_figures(mine), _figures(other), strict=True)]
        print(f"{'theirs as a multiple of ours':34}" + "".join(f"{ratio:>8.1f}" for ratio in ratios))


def _figures(found: list[float]) -> tuple[float, float, float]:
    return statistics.median(found), found[min(len(found) - 1, round(0.99 * (len(found) - 1)))], found[-1]


def _row(found: list[float]) -> str:
    return "".join(f"{one:>8.3f}" for one in _figures(found)) if found else f"{'–':>24}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_port(port: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"cannot start what listens on port {port}: it did not within {PATIENCE_SECONDS:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=60)
    events = parser.parse_args().events
    if not shutil.which("prometheus") or not shutil.which("prometheus-alertmanager"):
        raise SystemExit("cannot compare: Prometheus or Alertmanager is missing; run scripts/debian-packages")
    site = Site()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with theirs(folder, site), ours(folder, site) as agent:
            # Prometheus needs a scrape and a look before it finds its Alertmanager.
            play(site, agent, range(WARM))
            site.heard.clear()
            at = play(site, agent, range(WARM, WARM + events))
            report(waits(site, at, "ours"), waits(site, at, "theirs"), events)
    site.close()


if __name__ == "__main__":
    main()
