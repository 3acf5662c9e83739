"""The demo's child processes: start one, learn its URL, stop it, and let none outlive its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO

_STOP_SECONDS = 6.0


class StartError(Exception):
    """A child ended before it answered."""


class Child:
    """`python -m demo …` as a process of its own, in its own session so that Ctrl-C reaches only the parent."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self.said: list[str] = []
        """The lines it printed up to its URL."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "demo", "--follow-parent", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader: threading.Thread | None = None

    def wait_for_url(self, introduction: str = "") -> str:
        """The URL the child prints when it answers, on a line of its own or behind `introduction`.

        From then on its output is passed on. Raises StartError when the child ends instead.
        """
        for line in self._output():
            self.said.append(line.strip())
            start, _, rest = line.strip().partition("http://")
            if rest and (start.endswith(introduction) if introduction else not start):
                self.pass_on_output()
                return f"http://{rest.split()[0]}"
        self.stop()
        raise StartError(f"cannot start {self.name}: {' '.join(self.said) or 'its error is above'}")

    def pass_on_output(self) -> None:
        """Print from now on what the child prints."""
        self._reader = threading.Thread(target=_pass_on, args=(self._output(),), daemon=True)
        self._reader.start()

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def interrupt(self) -> None:
        """Ask it to stop."""
        if self.exit_code() is None:
            self._process.terminate()

    def stop(self) -> None:
        """Ask it to stop, and after some seconds make it."""
        self.interrupt()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._reader is not None:
            self._reader.join()
        self._output().close()

    def _output(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout


def follow_parent() -> None:
    """End this process soon after its parent has gone, however that ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _pass_on(output: IO[str]) -> None:
    for line in output:
        print(line, end="", flush=True)
