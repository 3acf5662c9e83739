"""How long after its acknowledgement a log line is heard by who follows: by server-sent events and by Loki's tail.

    python -m bench.log_tail [--lines 30] [--readers 1] [--rate 0]

Lines come at irregular moments, so that none falls in step with a timer. --readers opens so many of each kind; --rate
has a load of so many other lines a second come in beside. Printed beside the times: processor time of the server while
nothing comes, with nobody and with these readers.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2

from bench.log_ingest import Batch
from bench.server import TOKEN, Running, tocsin_on

QUIET_SECONDS = 10.0
PATIENCE_SECONDS = 30.0
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


class Heard:
    """When each line was first heard by how many of the readers of one kind."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}
        self._came = threading.Condition()

    def note(self, body: str) -> None:
        with self._came:
            self.times.setdefault(body, []).append(time.monotonic())
            self._came.notify_all()

    def last(self, body: str, readers: int) -> float:
        """When the last of the readers heard it."""
        with self._came:
            self._came.wait_for(lambda: len(self.times.get(body, [])) >= readers, PATIENCE_SECONDS)
            return max(self.times[body])


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--lines", type=int, default=30)
    asked.add_argument("--readers", type=int, default=1)
    asked.add_argument("--rate", type=int, default=0)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = tocsin_on(Path(folder) / "data")
        try:
            _measure(server, given.lines, given.readers, given.rate)
        finally:
            server.stop()


def _measure(server: Running, lines: int, readers: int, rate: int) -> None:
    time.sleep(5)  # what a start costs is over
    alone = _quiet(server)
    events, tails = Heard(), Heard()
    for _ in range(readers):
        threading.Thread(target=_hear_events, args=(server.port, events), daemon=True).start()
        threading.Thread(target=_hear_tail, args=(server.port, tails), daemon=True).start()
    time.sleep(2)
    followed = _quiet(server)
    waits: dict[str, list[float]] = {"server-sent events": [], "Loki's tail": []}
    with _load(server.port, rate):
        for number in range(lines):
            body = f"followed {number}"
            _send(server.port, body)
            acknowledged = time.monotonic()
            for kind, heard in zip(waits, (events, tails), strict=True):
                waits[kind].append(heard.last(body, readers) - acknowledged)
            time.sleep(random.uniform(0.3, 1.7))
    print(f"quiet server: {alone:.1%} of a core with nobody, {followed:.1%} with {readers} of each kind of reader")
    for kind, found in waits.items():
        slow = sorted(found)[int(len(found) * 0.95)]
        print(f"{kind:20} median {statistics.median(found):.2f} s, p95 {slow:.2f} s, longest {max(found):.2f} s")


def _quiet(server: Running) -> float:
    before = server.cpu_seconds()
    time.sleep(QUIET_SECONDS)
    return (server.cpu_seconds() - before) / QUIET_SECONDS


@contextmanager
def _load(port: int, rate: int) -> Iterator[None]:
    """So many lines a second of somebody else."""
    over = threading.Event()

    def run() -> None:
        batch = Batch(max(1, rate // 10), 1)
        while not over.wait(0.1):
            _post(port, batch.renewed(), "application/x-protobuf")

    worker = threading.Thread(target=run, daemon=True)
    if rate:
        worker.start()
    yield
    over.set()


def _send(port: int, body: str) -> None:
    record = {"timeUnixNano": str(time.time_ns()), "severityNumber": 9, "body": {"stringValue": body}}
    service = {"key": "service.name", "value": {"stringValue": "followed"}}
    request = {"resourceLogs": [{"resource": {"attributes": [service]}, "scopeLogs": [{"logRecords": [record]}]}]}
    _post(port, json.dumps(request).encode(), "application/json")


def _post(port: int, body: bytes, kind: str) -> None:
    answer = httpx2.post(f"http://127.0.0.1:{port}/v1/logs", content=body, headers={"content-type": kind}, timeout=30)
    assert answer.status_code == 200, answer.text


def _hear_events(port: int, heard: Heard) -> None:
    url, headers = f"http://127.0.0.1:{port}/api/v1/logs/tail", HEADERS | {"Accept": "text/event-stream"}
    over = suppress(httpx2.TransportError)  # the server has stopped
    asked = httpx2.stream("GET", url, params={"service": "followed"}, headers=headers, timeout=60)
    with over, asked as answer:
        for text in answer.iter_lines():
            if text.startswith("data: "):
                heard.note(json.loads(text.removeprefix("data: "))["body"])


def _hear_tail(port: int, heard: Heard) -> None:
    url = f"ws://127.0.0.1:{port}/loki/api/v1/tail"
    query = {"query": '{service_name="followed"}'}
    with suppress(Exception), httpx2.websocket(url, params=query, headers=HEADERS, timeout=60) as socket:
        while True:
            for stream in json.loads(socket.receive_text(timeout=120))["streams"]:
                for _, line in stream["values"]:
                    heard.note(line)


if __name__ == "__main__":
    main()
