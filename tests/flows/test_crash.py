"""Whatever happens to the server, what it acknowledged is stored, and stored once."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from otlp_senders import PROTOBUF, Sender, export, span
from server_process import ServerProcess, read_store

from waiting import eventually

pytestmark = pytest.mark.xdist_group("crash")
DAY_SECONDS = 86_400.0
# As exporters on machines with wrong clocks: a day and three weeks behind, half an hour ahead.
CLOCK_SHIFTS = (0.0, 0.0, -DAY_SECONDS, -21 * DAY_SECONDS, 1800.0)


@contextmanager
def senders(server: ServerProcess, clock_shifts: tuple[float, ...] = CLOCK_SHIFTS) -> Iterator[list[Sender]]:
    """Load meanwhile, and until it is enough to tell; at the end everything sent is acknowledged."""
    started = [Sender(server.url, seed, shift) for seed, shift in enumerate(clock_shifts)]
    for sender in started:
        sender.start()
    yield started
    if not server.is_alive():
        server.start()
    enough = "enough is acknowledged"
    eventually(lambda: sum(len(sender.acknowledged) for sender in started), enough, is_it=lambda spans: spans > 500)
    for sender in started:
        sender.finish()
    assert [problem for sender in started for problem in sender.unexpected] == []


def assert_stored_once(server: ServerProcess, load: list[Sender]) -> None:
    """The store of the server, which is stopped for it, has each acknowledged span once, in rows and in rollups."""
    acknowledged = {span_id.hex().upper() for sender in load for span_id in sender.acknowledged}
    server.drained()
    server.stop()
    # Ten-second steps are kept for two days only.
    recent = "> now() - INTERVAL 36 HOUR"
    [[stored]], [[lately]], [[by_10s]], [[by_1m]], [[by_1h]] = read_store(
        server.data,
        "SELECT groupArray(hex(span_id)) FROM spans",
        f"SELECT count() FROM spans WHERE start {recent}",
        f"SELECT sum(requests) FROM red_10s WHERE time {recent}",
        "SELECT sum(requests) FROM red_1m",
        "SELECT sum(requests) FROM red_1h",
    )
    assert len(acknowledged) > 500
    missing = acknowledged - set(stored)
    assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged spans are missing"
    assert len(stored) == len(acknowledged), "spans are stored twice"
    assert (by_10s, by_1m, by_1h) == (lately, len(acknowledged), len(acknowledged))


def test_killed_server_keeps_every_acknowledged_span_once(server: ServerProcess) -> None:
    chance = random.Random(20_260_301)
    with senders(server) as load:
        for _ in range(5):
            time.sleep(chance.uniform(0.3, 2.0))
            server.kill()
            server.start()
    assert_stored_once(server, load)


def test_server_killed_while_it_recovers_keeps_every_span_once(server: ServerProcess) -> None:
    chance = random.Random(7)
    with senders(server) as load:
        time.sleep(1.0)
        server.kill()
        for _ in range(5):
            server.launch()
            time.sleep(chance.uniform(0.6, 2.5))
            server.kill()
        server.start()
    assert_stored_once(server, load)


def test_server_stopped_under_load_answers_what_it_took_and_goes_on(server: ServerProcess) -> None:
    with senders(server) as load:
        for _ in range(2):
            time.sleep(0.7)
            assert server.stop() == 0
            assert not (server.data / "local-token").exists()
            assert list((server.data / "spool").glob("*/*.open")) == []
            server.start()
    assert_stored_once(server, load)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Runs `mount …` and undoes it at the end; skips the test where this is not allowed."""
    undo: list[Path] = []

    def mount(*options: str, at: Path) -> None:
        at.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", *options, str(at)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"cannot mount a file system here: {done.stderr.strip()}")
        undo.append(at)

    yield mount
    for at in reversed(undo):
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def spool_check(server: ServerProcess) -> str:
    """What doctor says about the spool."""
    return next(str(check["detail"]) for check in server.ask("/api/v1/doctor")["checks"] if check["name"] == "spool")


def fill(disk: Path) -> Path:
    """A file that leaves no byte free on the disk of this folder."""
    filler = disk / "filler"
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=64k"], capture_output=True)
    return filler


def post(server: ServerProcess, spans: int = 1) -> tuple[int, str, str]:
    """Status, Retry-After and message for a request with that many spans."""
    body = export([span(note="x" * 200) for _ in range(spans)])
    with server.client(token="") as client:
        answer = client.post("/v1/traces", content=body, headers=PROTOBUF)
    return answer.status_code, answer.headers.get("retry-after", ""), answer.content.decode("utf-8", "replace")


@pytest.mark.parametrize("min_free_bytes", ["40000000", "0"], ids=["little space left", "no space left"])
def test_full_disk_asks_senders_to_come_back_and_loses_nothing(
    tmp_path: Path, mounted: Callable[..., None], min_free_bytes: str
) -> None:
    disk = tmp_path / "disk"
    mounted("-t", "tmpfs", "-o", "size=160m", "tmpfs", at=disk)
    server = ServerProcess(disk, {"TOCSIN_SPOOL_MIN_FREE_BYTES": min_free_bytes})
    server.start()
    try:
        with senders(server, (0.0, 0.0)) as load:
            time.sleep(0.5)
            filler = fill(disk)
            status, retry_after, message = eventually(
                lambda: answer if (answer := post(server))[0] != 200 else None, "senders are told to come back"
            )
            assert (status, retry_after) == (503, "5"), message
            assert "retry later" in message
            time.sleep(1.0)
            filler.unlink()
            eventually(lambda: post(server)[0] == 200, "telemetry is taken again")
        server.drained()
        assert server.ask("/api/v1/monitoring/health")["status"] == "ok"
    finally:
        if server.is_alive():
            server.stop()
    [[[stored]]] = read_store(server.data, "SELECT groupUniqArray(hex(span_id)) FROM spans")
    acknowledged = {span_id.hex().upper() for sender in load for span_id in sender.acknowledged}
    assert acknowledged <= set(stored)


def test_engine_that_cannot_write_lets_telemetry_wait_in_the_spool(
    tmp_path: Path, mounted: Callable[..., None]
) -> None:
    server = ServerProcess(tmp_path, {"TOCSIN_SPOOL_MAX_BYTES": "3000000", "TOCSIN_WRITER_MAX_BACKOFF_SECONDS": "1"})
    engine = server.data / "telemetry"
    mounted("-t", "tmpfs", "-o", "size=64m", "tmpfs", at=engine)
    server.start()
    try:
        assert post(server)[0] == 200
        server.drained()
        filler = fill(engine)
        assert post(server)[0] == 200
        checks = eventually(
            lambda: [
                c for c in server.ask("/api/v1/doctor")["checks"] if c["name"] == "spool" and c["state"] == "failure"
            ],
            "doctor says that inserts fail",
        )
        assert "the last insert failed" in checks[0]["detail"]
        status, retry_after, message = eventually(
            lambda: answer if (answer := post(server, 500))[0] != 200 else None, "the spool is full"
        )
        assert (status, retry_after) == (503, "5"), message
        assert "the spool holds" in message
        filler.unlink()
        server.drained()
        assert post(server)[0] == 200
        assert "Traceback" not in server.log()
    finally:
        server.stop()
