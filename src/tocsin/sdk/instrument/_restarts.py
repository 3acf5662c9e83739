"""Why this process started: what became of the one before it, read from the last words that one left.

Each process keeps a small file with its release, what its container has killed for want of memory, and, once it ends in
order, how. A process that starts takes over the file of one of its service that is gone. Without such a file it is the
first, or an additional one.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from tocsin.sdk.guard import guarded
from tocsin.sdk.workers import is_alive

EVENT = "tocsin.runtime.restart"
FIRST, CLEAN, CRASH, KILLED, OUT_OF_MEMORY, DEPLOY, REBOOT = (
    "first", "clean", "crash", "killed", "oom", "deploy", "reboot",
)  # fmt: skip
# How an app ended that was asked to stop; whoever then still answers goes on living.
STOPPED = "stopped"
# Its last figures are sent after that, which is no sign of life yet.
_FAREWELL_SECONDS = 15.0
# The file of a process that ended longer ago belongs to nobody's restart.
_OLD_SECONDS = 7 * 86_400.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class LastWords:
    """What a process writes about itself. ended: '' while it runs, `stopped`, `exit` or `crash: ValueError`."""

    pid: int
    began: str  # by the kernel's clock, so that a number that comes around again is another process
    boot: str
    release: str
    started_at: float  # unix seconds
    seen_at: float
    oom_kills: int = 0
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Restart:
    """Why this process started. before: None for the first."""

    reason: str
    detail: str
    before: LastWords | None
    silent_seconds: float = 0.0


def reason_of(before: LastWords | None, now: LastWords) -> Restart:
    """What the last words mean for the one that comes after. Pure."""
    if before is None:
        return Restart(FIRST, "no process of this service was here before", None)
    silent = max(now.started_at - before.seen_at, 0.0)
    if before.boot and now.boot and before.boot != now.boot:
        return Restart(REBOOT, "the machine was started anew", before, silent)
    if before.ended.startswith("crash"):
        return Restart(CRASH, f"process {before.pid} ended with {before.ended.partition(': ')[2]}", before, silent)
    if not before.ended and now.oom_kills > before.oom_kills:
        return Restart(OUT_OF_MEMORY, f"the kernel killed process {before.pid} for want of memory", before, silent)
    if not before.ended:
        return Restart(KILLED, f"process {before.pid} ended without a word: SIGKILL, or a fault in C", before, silent)
    if before.release != now.release:
        return Restart(DEPLOY, f"release {before.release or 'none'} became {now.release or 'none'}", before, silent)
    return Restart(CLEAN, f"process {before.pid} was asked to stop, or was done", before, silent)


class Life:
    """The file of this process, from its first request to its end."""

    def __init__(self, service: str, release: str, oom_kills: Callable[[], int], folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"tocsin-{os.getuid()}"
        self._prefix = "".join(c if c.isalnum() else "-" for c in service)[:60]
        self._release = release
        self._oom_kills = oom_kills
        self._path: Path | None = None
        self._words: LastWords | None = None

    def begin(self) -> Restart:
        """Takes over from a process that is gone. Raises OSError where there is no place for files."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if self._folder.stat().st_uid != os.getuid():
            raise PermissionError(f"cannot remember processes in {self._folder}: it belongs to somebody else")
        now = time.time()
        words = LastWords(os.getpid(), _began(os.getpid()), _boot(), self._release, now, now, self._oom_kills())
        before = self._take_over(now)
        self._words, self._path = words, self._folder / f"{self._prefix}-{os.getpid()}-{words.began}.life"
        self._write()
        return reason_of(before, words)

    def show_up(self) -> None:
        """Says that the process is still there; called every few seconds."""
        if self._words is None or self._words.ended not in ("", STOPPED):
            return
        if not self._words.ended or time.time() - self._words.seen_at >= _FAREWELL_SECONDS:
            self._words = replace(self._words, ended="", seen_at=time.time(), oom_kills=self._oom_kills())
            self._write()

    @guarded(None)
    def end(self, how: str) -> None:
        """The last words; the first of several counts."""
        if self._words is not None and self._words.ended in ("", STOPPED) and self._words.pid == os.getpid():
            self._words = replace(self._words, seen_at=time.time(), ended=how)
            self._write()

    def forget(self) -> None:
        """Removes the file: nobody is to take over."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._words = self._path = None

    def _write(self) -> None:
        assert self._path is not None
        assert self._words is not None
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self._words)))
        fresh.replace(self._path)

    def _take_over(self, now: float) -> LastWords | None:
        """The latest of those that are gone; of several processes that start at once each gets another."""
        gone = []
        for path in self._folder.glob(f"{self._prefix}-*.life"):
            words = _read(path)
            if words is None or now - words.seen_at > _OLD_SECONDS:
                path.unlink(missing_ok=True)
            elif words.boot != _boot() or not is_alive(words.pid) or _began(words.pid) != words.began:
                gone.append((words.seen_at, path, words))
        for _, path, words in sorted(gone, key=lambda each: -each[0]):
            try:
                path.unlink()
            except FileNotFoundError:
                continue  # another process was quicker
            return words
        return None


def _read(path: Path) -> LastWords | None:
    try:
        return LastWords(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None  # half written, or of another version


def _began(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def listen_for_the_end(life: Callable[[], Life | None]) -> Callable[[], None]:
    """Lets the life hear of the end of the interpreter and of exceptions that nobody caught; gives what undoes it."""

    def at_exit() -> None:
        if (mine := life()) is not None:
            mine.end("exit")

    original = sys.excepthook

    def on_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Any:
        if (mine := life()) is not None and issubclass(kind, Exception):
            mine.end(f"crash: {kind.__name__}")
        return original(kind, error, trace)

    atexit.register(at_exit)
    sys.excepthook = on_uncaught

    def undo() -> None:
        atexit.unregister(at_exit)
        if sys.excepthook is on_uncaught:
            sys.excepthook = original

    return undo
