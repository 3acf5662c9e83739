"""Lines in files of one day each, written by any number of processes at once.

The day is in the file's name, so that nothing is ever renamed: each process goes on to the next file by itself. A line
is one `write` to a file opened for appending, which other processes' lines cannot break.
"""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from tocsin.sdk.logs.output import QuietHandler, lost

# Between two looks at whether the file is still there and how large it has become.
_LOOK_SECONDS = 1.0
_MODE = 0o640


class DatedFileHandler(QuietHandler):
    """`logs/app.jsonl` becomes `logs/app-2026-11-21.jsonl`, and past max_bytes `logs/app-2026-11-21.1.jsonl`.

    max_bytes: 0 for one file a day. utc: days begin at midnight in UTC, else in local time.
    """

    kind = "file"

    def __init__(self, path: str | os.PathLike[str], level: int = 0, max_bytes: int = 0, utc: bool = True) -> None:
        super().__init__(level)
        self._path = Path(path)
        self._max_bytes, self._utc = max_bytes, utc
        self._file = -1
        self._day = ""
        self._day_ends = self._look_at = 0.0
        self._index = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = (self.format(record) + "\n").encode("utf-8", "replace")
        except Exception:  # noqa: BLE001  what logging's own handlers do: a line costs itself only
            self.handleError(record)
            return
        try:
            now = time.time()
            if now >= self._look_at or now >= self._day_ends:
                self._look(now)
            if os.write(self._file, line) < len(line):
                lost[self.kind] += 1
        except OSError:
            self._shut()
            lost[self.kind] += 1

    def close(self) -> None:
        with self.lock or _NO_LOCK:
            self._shut()
        super().close()

    def path_of(self, day: str, index: int = 0) -> Path:
        """The file of a day."""
        number = f".{index}" if index else ""
        return self._path.with_name(f"{self._path.stem}-{day}{number}{self._path.suffix}")

    def _look(self, now: float) -> None:
        """Goes on to the file of today, or the next of it, or makes anew what somebody took away."""
        self._look_at = now + _LOOK_SECONDS
        if now >= self._day_ends:
            moment = datetime.fromtimestamp(now, UTC) if self._utc else datetime.fromtimestamp(now)
            self._day, self._index = moment.strftime("%Y-%m-%d"), 0
            self._day_ends = _end_of_day(moment)
            self._shut()
        elif self._file >= 0:
            there = os.fstat(self._file)
            if there.st_nlink and not (self._max_bytes and there.st_size >= self._max_bytes):
                return
            self._shut()
        self._open()

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        while self._max_bytes and _size(self.path_of(self._day, self._index)) >= self._max_bytes:
            self._index += 1
        self._file = os.open(
            self.path_of(self._day, self._index), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE
        )

    def _shut(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file, self._look_at = -1, 0.0


class _NoLock:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


_NO_LOCK = _NoLock()


def _end_of_day(moment: datetime) -> float:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.timestamp() + 86_400


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
