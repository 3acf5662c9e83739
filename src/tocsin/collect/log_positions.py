"""How far each log file has been read, on disk before anything relies on it.

Before a piece of a file goes into the spool, its end and the time it was read at are written down; after a crash the
same piece is made again from this, byte for byte, and the spool recognises it if it has it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin.collect.log_content import NOTHING, Identity

KEPT_SECONDS = 100 * 86_400  # of files that are gone; a compressed copy may turn up until then
_COLUMNS = (
    "id, path, device, inode, offset, head, tail, is_skipping, last_ns, intended_end, intended_ns, is_finished, seen"
)


@dataclass(slots=True)
class Position:
    """One file, as far as it was read. intended_end 0: no piece of it is on its way."""

    id: int
    path: str
    device: int = 0
    inode: int = 0
    known: Identity = NOTHING
    is_skipping: bool = False
    last_ns: int = 0
    intended_end: int = 0
    intended_ns: int = 0
    is_finished: bool = False
    seen: float = 0.0  # the last look that nothing can have escaped, before it was written down

    @property
    def offset(self) -> int:
        return self.known.offset

    @property
    def key(self) -> tuple[int, int]:
        return self.device, self.inode


class Positions:
    """All of them. Used by one thread. Raises OSError when they cannot be kept."""

    def __init__(self, file: Path) -> None:
        self.looked = time.time()
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS positions (id INTEGER PRIMARY KEY, path BLOB NOT NULL, device INTEGER, "
                "inode TEXT, offset INTEGER, head BLOB, tail BLOB, is_skipping INTEGER, last_ns INTEGER, "
                "intended_end INTEGER, intended_ns INTEGER, is_finished INTEGER, seen REAL)"
            )
            rows = self._connection.execute(f"SELECT {_COLUMNS} FROM positions").fetchall()
        except sqlite3.Error as error:
            raise OSError(
                f"cannot keep positions of log files in '{file}': {error}; move it away to begin anew"
            ) from error
        self.all = {row[0]: _position(row) for row in rows}
        self._next_id = max(self.all, default=0) + 1

    def new(self, path: str, key: tuple[int, int]) -> Position:
        """On disk with the next `save`."""
        position = Position(self._next_id, path, *key)
        self.all[position.id] = position
        self._next_id += 1
        return position

    def save(self, positions: Iterable[Position]) -> None:
        """Write these down; synced when it returns."""
        rows = [_row(position, self.looked) for position in positions]
        if not rows:
            return
        marks = ", ".join("?" * len(rows[0]))
        try:
            self._connection.execute("BEGIN")
            self._connection.executemany(f"INSERT OR REPLACE INTO positions ({_COLUMNS}) VALUES ({marks})", rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise OSError(f"cannot write down positions of log files: {error}") from error

    def forget(self) -> None:
        """Leave out what was finished long ago."""
        self._connection.execute("DELETE FROM positions WHERE is_finished AND seen < ?", (time.time() - KEPT_SECONDS,))
        kept = {row[0] for row in self._connection.execute("SELECT id FROM positions")}
        for gone in self.all.keys() - kept:
            if self.all[gone].is_finished:
                del self.all[gone]

    def close(self) -> None:
        self._connection.close()


def _row(position: Position, seen: float) -> tuple[object, ...]:
    position.seen = seen
    known = position.known
    return (
        position.id, os.fsencode(position.path), position.device, str(position.inode), known.offset, known.head,
        known.tail, position.is_skipping, position.last_ns, position.intended_end, position.intended_ns,
        position.is_finished, seen,
    )  # fmt: skip


def _position(row: tuple[Any, ...]) -> Position:
    id, path, device, inode, offset, head, tail, is_skipping, last_ns, end, at, is_finished, seen = row
    known = Identity(offset, head, tail)
    return Position(
        id, os.fsdecode(path), device, int(inode), known, bool(is_skipping), last_ns, end, at, bool(is_finished), seen
    )
