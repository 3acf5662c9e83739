"""How tests wait: they ask until it is so, or until a child has ended, and say in the end what did not come about."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import httpx2

from warm_python import WarmProcess

Value = TypeVar("Value")

PATIENCE_SECONDS = 60.0
"""Beyond anything that a busy machine needs: a deadline costs time only when a test fails."""

get = partial(httpx2.get, timeout=PATIENCE_SECONDS)
post = partial(httpx2.post, timeout=PATIENCE_SECONDS)


def eventually(
    ask: Callable[[], Value],
    what: str,
    seconds: float = PATIENCE_SECONDS,
    pause_seconds: float = 0.05,
    is_it: Callable[[Value], object] = bool,
) -> Value:
    """The first true answer, or the first that `is_it`; an AssertionError with `what` and the last answer when there
    is none in time."""
    deadline = time.monotonic() + seconds
    while not is_it(answer := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s; the last answer was {answer!r}"
        time.sleep(pause_seconds)
    return answer


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def await_exit(process: subprocess.Popen[Any] | WarmProcess, seconds: float = PATIENCE_SECONDS) -> int:
    """The exit code. A child that does not end is killed, with its group if it leads one, before the test fails:
    one that is left behind would be a ResourceWarning in some other test."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        raise
