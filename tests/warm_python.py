"""`python …` from a process that has the server's modules loaded: a fork of it begins where others have read them.

Reading modules is most of a server's start, and tests start one more than a hundred times. What runs is the same
program in a process of its own, with its own arguments, environment, folder, output and signals.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

TESTS = Path(__file__).parent
LARGEST_BYTES = 150_000


class Output(Protocol):
    def fileno(self) -> int: ...


class WarmProcess:
    """A child like those of subprocess.Popen: `python *arguments`, where these begin with -m or -c."""

    def __init__(
        self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path | str, stdout: Output, stderr: Output
    ) -> None:
        self.args = list(arguments)
        self.returncode: int | None = None
        asked = {"arguments": self.args, "env": dict(env), "cwd": str(cwd)}
        self.pid = _parent().start(asked, [stdout.fileno(), stderr.fileno()])

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = _parent().exit_code(self.pid, 0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            # A short while at a time: others may want to start or end a process meanwhile.
            self.returncode = _parent().exit_code(self.pid, 0.05)
            if self.returncode is None and deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(
    arguments: Sequence[str], env: Mapping[str, str], cwd: Path | str, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Like subprocess.run with captured text."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = WarmProcess(arguments, env, cwd, out, err)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess(process.args, code, *said)


class _Parent:
    """The process that has loaded everything, asked through a socket; it tells in turn when a child has ended."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        self._codes: dict[int, int] = {}
        paths = [str(TESTS), str(TESTS.parent / "src"), str(TESTS.parent)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        # A process with threads should not fork, and this is the one library that starts some while it is loaded.
        environ = kept | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "import warm_python; warm_python.be_parent()", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environ,
                stdin=subprocess.DEVNULL,
            )

    def start(self, asked: dict[str, Any], outputs: list[int]) -> int:
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(asked).encode()], outputs)
            while "code" in (told := self._hear()):
                self._codes[told["pid"]] = told["code"]
            return told["pid"]

    def exit_code(self, pid: int, seconds: float) -> int | None:
        """None while it runs; waits so long for its end."""
        with self._lock:
            while pid not in self._codes and select.select([self._socket], [], [], seconds)[0]:
                told = self._hear()
                self._codes[told["pid"]] = told["code"]
            return self._codes.pop(pid, None)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()

    def _hear(self) -> dict[str, int]:
        message = self._socket.recv(LARGEST_BYTES)
        assert message, "the process that starts others has ended"
        told: dict[str, int] = json.loads(message)
        return told


@cache
def _parent() -> _Parent:
    parent = _Parent()
    atexit.register(parent.close)
    return parent


def be_parent() -> None:
    """Load what a server needs, then fork for each program asked for; in the fork, run it."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    gc.disable()
    import tocsin.app.server
    import tocsin.cli.commands
    import tocsin.web.page

    tocsin.web.page.found()
    gc.freeze()
    gc.enable()
    program = _program_to_run(connection)
    if program:
        flag, name, *rest = program
        sys.argv = [name if flag == "-m" else flag, *rest]
        if flag == "-m":
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        else:
            exec(compile(name, "<string>", "exec"), {"__name__": "__main__"})


def _program_to_run(connection: socket.socket) -> list[str] | None:
    """In each fork what it is to run; None in this process, once nobody asks any more."""
    bell, ringer = os.pipe()
    os.set_blocking(ringer, False)
    signal.set_wakeup_fd(ringer)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children: set[int] = set()
    while True:
        ready, _, _ = select.select([connection, bell], [], [])
        if bell in ready:
            os.read(bell, 4096)
            for pid, code in _ended(children):
                connection.send(json.dumps({"pid": pid, "code": code}).encode())
        if connection not in ready:
            continue
        message, outputs, _, _ = socket.recv_fds(connection, LARGEST_BYTES, 2)
        if not message:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            return None
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            connection.close()
            for number in (bell, ringer):
                os.close(number)
            return _become(json.loads(message), outputs)
        children.add(pid)
        connection.send(json.dumps({"pid": pid}).encode())
        for number in outputs:
            os.close(number)


def _ended(children: set[int]) -> list[tuple[int, int]]:
    ended = []
    for child in list(children):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            children.remove(pid)
            ended.append((pid, os.waitstatus_to_exitcode(status)))
    return ended


def _become(asked: dict[str, Any], outputs: list[int]) -> list[str]:
    for standard, number in enumerate(outputs, 1):
        os.dup2(number, standard)
        os.close(number)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.path.remove(str(TESTS))
    arguments: list[str] = asked["arguments"]
    return arguments
