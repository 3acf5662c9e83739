"""`python -m demo run` starts everything, says where, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest
from demo.__main__ import main
from demo.processes import Child, StartError

from waiting import PATIENCE_SECONDS, await_exit

ROOT = Path(__file__).parents[2]
PYTHONPATH = os.pathsep.join([str(ROOT / "src"), str(ROOT)])


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    yield from running_demo(tmp_path)


@pytest.fixture
def deploying_demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    bug = ["--deploy-fault", "slow-query", "--deploy-tenant", "acme"]
    yield from running_demo(tmp_path, "--release", "1.0", "--deploy", "1.1", "--deploy-after", "0", *bug)


def running_demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "demo", "run", "--port", "0", "--rate", "20", "--data", str(folder), *options]
    environment = os.environ | {
        "TOCSIN_ENABLED": "false",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
    }
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        watchdog = threading.Timer(2 * PATIENCE_SECONDS, process.kill)  # one that says nothing would be read for ever
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            if process.poll() is None:
                process.terminate()
                await_exit(process)


def _product_url(demo: subprocess.Popen[str]) -> str:
    assert demo.stdout is not None
    url = ""
    for line in demo.stdout:
        if line.startswith("product"):
            url = line.split()[1]
        if line.startswith("faults"):
            return url
    raise AssertionError("the demo ended before it was ready")


def test_demo_runs_switches_faults_and_stops_cleanly(
    demo: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = _product_url(demo)
    children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) == 3
    assert main(["fault", "errors-for-one-tenant", "on", "--tenant", "acme", "--url", url]) == 0
    assert "ON for acme" in capsys.readouterr().out
    assert main(["fault", "list", "--url", url]) == 0
    assert "errors-for-one-tenant  ON for acme" in capsys.readouterr().out
    assert main(["fault", "nope", "on", "--url", url]) == 1
    demo.send_signal(signal.SIGINT)
    assert await_exit(demo) == 0
    assert psutil.wait_procs(children, timeout=PATIENCE_SECONDS)[1] == []


def test_demo_stops_when_a_child_dies(demo: subprocess.Popen[str]) -> None:
    url = _product_url(demo)
    children = psutil.Process(demo.pid).children(recursive=True)
    [product] = [child for child in children if "product" in child.cmdline()]
    product.kill()
    assert await_exit(demo) == 1
    assert psutil.wait_procs(children, timeout=PATIENCE_SECONDS)[1] == []
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/health", trust_env=False)


def test_demo_deploys_another_release_with_its_bug_at_the_same_address(deploying_demo: subprocess.Popen[str]) -> None:
    url = _product_url(deploying_demo)
    assert deploying_demo.stdout is not None
    told = next(line for line in deploying_demo.stdout if line.startswith("deployed"))
    assert "1.1 with the bug slow-query" in told
    assert httpx2.get(f"{url}/health", trust_env=False).json()["release"] == "1.1"
    faults = httpx2.get(f"{url}/_demo/faults", trust_env=False).json()
    assert [(fault["name"], fault["tenants"]) for fault in faults if fault["on"]] == [("slow-query", ["acme"])]


def test_switching_without_a_product_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fault", "list", "--url", "http://127.0.0.1:9"]) == 1
    assert "start it with `python -m demo run`" in capsys.readouterr().err


def test_child_that_cannot_start_is_reported() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        child = Child("the renderer", ["renderer", "--port", port], os.environ | {"PYTHONPATH": PYTHONPATH})
        with pytest.raises(StartError, match=f"cannot start the renderer: cannot listen on port {port}"):
            child.wait_for_url()
