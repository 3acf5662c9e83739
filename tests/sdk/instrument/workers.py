"""Workers of job queues as processes of their own, which report to a receiver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sdk.receiver import Receiver, attributes_of
from waiting import await_exit


def environ(folder: Path, receiver: Receiver, **more: str) -> dict[str, str]:
    source = str(Path(__file__).parents[3] / "src")
    told = {"PYTHONPATH": f"{source}:{folder}", "TOCSIN_ENDPOINT": receiver.endpoint, "TOCSIN_SERVICE": "worker"}
    return {**os.environ, **told, **more}


@contextmanager
def worker(command: list[str], folder: Path, receiver: Receiver, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `python -m …` until the block is left; what it says is in `worker.log`."""
    with (folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environ(folder, receiver, **more),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            await_exit(process)


def run_to_end(command: list[str], folder: Path, receiver: Receiver, **more: str) -> None:
    with worker(command, folder, receiver, **more) as process:
        await_exit(process)
    assert process.returncode == 0, (folder / "worker.log").read_text()


def jobs(receiver: Receiver) -> list[Any]:
    """The spans of jobs that have run."""
    return [span for span in receiver.spans() if span.kind == 5]


def facts(span: Any) -> dict[str, Any]:
    return attributes_of(span)
