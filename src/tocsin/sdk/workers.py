"""One `/metrics` for all workers of a server: whichever of them is asked answers for all.

Each worker writes its totals once a second into one small SQLite file of its group, and whoever is asked adds them
up. What a worker that is gone had counted stays counted, so counters never fall when workers are recycled. A group
is the children of one supervisor (uvicorn, gunicorn, hypercorn, granian); a process by itself needs none.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from tocsin.sdk.exposition import Family, add_up

# The row into which workers that are gone are added up.
_GONE = "gone"
_SCHEMA = "CREATE TABLE IF NOT EXISTS workers (instance TEXT PRIMARY KEY, pid INTEGER, families TEXT)"
_OLD_SECONDS = 24 * 3600.0


def group_name() -> str:
    """The group this process belongs to, by its supervisor; '' for a process by itself."""
    chosen = os.environ.get("TOCSIN_WORKER_GROUP", "")
    if chosen:
        return "".join(c if c.isalnum() else "-" for c in chosen)
    is_worker = multiprocessing.parent_process() is not None or "gunicorn" in os.environ.get("SERVER_SOFTWARE", "")
    return f"{os.getppid()}-{_started(os.getppid())}" if is_worker else ""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


class WorkerTotals:
    """The totals of a group of workers in one file. Raises sqlite3.Error or OSError where there is no place for it."""

    def __init__(self, service: str, group: str, alive: Callable[[int], bool] = is_alive) -> None:
        folder = Path(tempfile.gettempdir()) / f"tocsin-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise PermissionError(f"cannot share metrics in {folder}: it belongs to somebody else")
        _clean(folder)
        name = "".join(c if c.isalnum() else "-" for c in service)[:60]
        self.path = folder / f"{name}-{group}.workers"
        self._alive = alive
        with closing(self._open()) as database, database:
            database.execute(_SCHEMA)

    def publish(self, instance: str, families: Iterable[Family]) -> None:
        """Replaces what this worker has counted."""
        text = json.dumps([_packed(family) for family in families])
        with closing(self._open()) as database, database:
            database.execute("INSERT OR REPLACE INTO workers VALUES (?, ?, ?)", (instance, os.getpid(), text))

    def others(self, instance: str) -> list[Family]:
        """What all others of the group have counted; workers that are gone are folded into one row."""
        with closing(self._open()) as database, database:
            database.execute("BEGIN IMMEDIATE")
            rows = database.execute("SELECT * FROM workers WHERE instance != ?", (instance,)).fetchall()
            gone = [row for row in rows if row[0] == _GONE or not self._alive(row[1])]
            past = add_up(_counters(family) for row in gone for family in _unpacked(row[2]))
            if any(row[0] != _GONE for row in gone):
                database.executemany("DELETE FROM workers WHERE instance = ?", [(row[0],) for row in gone])
                packed = json.dumps([_packed(family) for family in past])
                database.execute("INSERT OR REPLACE INTO workers VALUES (?, 0, ?)", (_GONE, packed))
        present = [family for row in rows if row not in gone for family in _unpacked(row[2])]
        return add_up([*past, *present])

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=1.0)
        # Nothing here outlives the machine, so nothing waits for its disk.
        database.execute("PRAGMA synchronous = OFF")
        return database


def _counters(family: Family) -> Family:
    """What remains of a worker that is gone: its counts, but not its gauges."""
    return Family(family.name, family.type, family.help, {} if family.type == "gauge" else family.samples)


def _packed(family: Family) -> list[object]:
    samples = [[suffix, labels, value] for (suffix, labels), value in family.samples.items()]
    return [family.name, family.type, family.help, samples]


def _unpacked(text: str) -> list[Family]:
    return [
        Family(name, kind, words, {(s, tuple((k, v) for k, v in labels)): value for s, labels, value in samples})
        for name, kind, words, samples in json.loads(text)
    ]


def _started(pid: int) -> str:
    """When a process began, so that a number that comes around again is another group."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "0"  # no Linux: the number alone


def _clean(folder: Path) -> None:
    """Removes the files of groups that have been silent for a day."""
    for path in folder.glob("*.workers"):
        try:
            if time.time() - path.stat().st_mtime > _OLD_SECONDS:
                path.unlink()
        except OSError:
            continue  # another process was quicker
