"""Real servers: several workers, a preloaded app, forks and restarts lose no request and count none twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sdk.receiver import Receiver
from waiting import PATIENCE_SECONDS, await_exit, eventually, is_listening

APP = """
import os
import tocsin
from fastapi import FastAPI

app = FastAPI()

@app.get("/pid")
async def pid() -> int:
    with tocsin.span("inner"):
        return os.getpid()

tocsin.instrument(app, service="shop")
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running(command: list[str], folder: Path, receiver: Receiver, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    (folder / "shop.py").write_text(APP)
    source = str(Path(__file__).parents[2] / "src")
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": source, "TOCSIN_ENDPOINT": receiver.endpoint, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            await_exit(process)


def ask(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/pid", timeout=PATIENCE_SECONDS) as answer:
        return int(answer.read())


def check_everything_arrived(receiver: Receiver, asked: int, pids: set[int]) -> None:
    eventually(lambda: receiver.request_count() >= asked, "every request is counted")
    eventually(lambda: len({span.span_id for span in receiver.spans()}) >= 2 * asked, "every span is there")
    assert receiver.request_count() == asked
    assert len({span.span_id for span in receiver.spans()}) == 2 * asked
    assert len({span.trace_id for span in receiver.spans()}) == asked
    resources = receiver.resources()
    assert {resource["process.pid"] for resource in resources} == pids
    assert len({resource["service.instance.id"] for resource in resources}) == len(pids)


def gunicorn(port: int, *options: str) -> list[str]:
    return ["gunicorn", "-k", "asgi", "-w", "2", "-b", f"127.0.0.1:{port}", *options, "shop:app"]


@pytest.mark.parametrize("kind", ["uvicorn-workers", "gunicorn", "gunicorn-preload"])
def test_every_worker_reports_all_of_its_requests_under_a_name_of_its_own(
    kind: str, tmp_path: Path, receiver: Receiver
) -> None:
    port = free_port()
    commands: dict[str, list[str]] = {
        "uvicorn-workers": ["uvicorn", "shop:app", "--port", str(port), "--workers", "2"],
        "gunicorn": gunicorn(port),
        "gunicorn-preload": gunicorn(port, "--preload"),
    }
    answered: list[int] = []
    with running(commands[kind], tmp_path, receiver):
        eventually(lambda: is_listening(port), "the server listens")
        eventually(lambda: answered.append(ask(port)) or len(set(answered)) == 2, "both workers answer")
    check_everything_arrived(receiver, len(answered), set(answered))


def test_what_a_process_has_recorded_leaves_with_it_on_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    pids: set[int] = set()
    for _ in range(2):
        port = free_port()
        with running(["uvicorn", "shop:app", "--port", str(port)], tmp_path, receiver) as process:
            eventually(lambda port=port: is_listening(port), "the server listens")  # type: ignore[misc]
            pids |= {ask(port) for _ in range(5)}
            process.send_signal(signal.SIGTERM)
            await_exit(process)
    check_everything_arrived(receiver, 10, pids)


def test_reload_starts_a_process_that_reports(tmp_path: Path, receiver: Receiver) -> None:
    port = free_port()
    with running(["uvicorn", "shop:app", "--port", str(port), "--reload"], tmp_path, receiver):
        eventually(lambda: is_listening(port), "the server listens")
        first = ask(port)
        stamp = (tmp_path / "shop.py").stat().st_mtime + 5
        os.utime(tmp_path / "shop.py", (stamp, stamp))
        second = eventually(lambda: (pid := ask_patiently(port)) and pid != first and pid, "another process answers")
    eventually(
        lambda: {resource["process.pid"] for resource in receiver.resources()},
        "both processes report",
        is_it={first, second}.issubset,
    )


def ask_patiently(port: int) -> int | None:
    try:
        return ask(port)
    except OSError:
        return None


def test_a_forked_child_sends_its_own_and_not_the_parents(tmp_path: Path, receiver: Receiver) -> None:
    script = """
import os
import tocsin
from tocsin.sdk.agent import agent_for
from tocsin.sdk.settings import Settings
agent_for(Settings.load(batch_seconds=30.0))
with tocsin.span("parent"):
    pass
child = os.fork()
if child:
    assert os.waitpid(child, 0)[1] == 0
else:
    with tocsin.span("child"):
        pass
    import sys
    sys.exit(0)
"""
    source = str(Path(__file__).parents[2] / "src")
    environ: dict[str, Any] = {**os.environ, "PYTHONPATH": source, "TOCSIN_ENDPOINT": receiver.endpoint}
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], env=environ, check=True, timeout=PATIENCE_SECONDS)
    assert sorted(span.name for span in receiver.spans()) == ["child", "parent"]
    assert len({resource["process.pid"] for resource in receiver.resources()}) == 2


def test_a_dead_server_does_not_delay_the_exit(tmp_path: Path) -> None:
    script = """
import tocsin
from tocsin.sdk.agent import agent_for
from tocsin.sdk.settings import Settings
agent_for(Settings.load(endpoint="http://127.0.0.1:9"))
with tocsin.span("lost"):
    pass
"""
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, timeout=10, check=True)
    assert b"Traceback" not in done.stderr
