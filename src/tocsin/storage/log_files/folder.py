"""What lies in a folder of log files: which belong together, what day each is of, how old it is."""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

PATTERNS = ("*.jsonl", "*.jsonl.[0-9]*", "*.jsonl-[0-9]*")
GZ = ".gz"
HOLD_FILE = "legal-hold.txt"
MANIFEST_FILE = ".tocsin-logs.json"
LOCK_FILE = ".tocsin-logs.lock"
_DAY = re.compile(r"(?<!\d)(20\d{2})[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])(?!\d)")
_PORTION = 1 << 20


class LogFilesError(Exception):
    """A folder that cannot be looked after at all."""


@dataclass(frozen=True)
class Ages:
    """After how long since the end of its day a file is compressed, archived and deleted."""

    compress: timedelta = timedelta(days=7)
    archive: timedelta = timedelta(days=30)
    delete: timedelta = timedelta(days=90)

    def __post_init__(self) -> None:
        if not self.compress <= self.archive <= self.delete:
            raise LogFilesError(
                f"cannot compress after {self.compress.days} d, archive after {self.archive.days} d and delete after "
                f"{self.delete.days} d: each must be at least the one before; correct the order"
            )


@dataclass(frozen=True)
class LogFile:
    """One file. name: its path below the folder, as text with slashes and without `.gz`."""

    root: Path
    name: str
    is_compressed: bool
    bytes: int
    written: datetime

    @property
    def path(self) -> Path:
        return self.root / (self.name + GZ if self.is_compressed else self.name)

    @property
    def day(self) -> date | None:
        """The day in its name."""
        return day_of(self.name)

    @property
    def series(self) -> str:
        """What files of other days share with it: the name without the day and without the number after it."""
        head, _, name = self.name.rpartition("/")
        return f"{head}/{re.sub(r'[.](?:#[.])?[0-9]+(?=[.]|$)', '', _DAY.sub('#', name))}".lstrip("/")

    @property
    def ended(self) -> datetime:
        """When nothing more was written to it: the end of its day, else when it was last written."""
        day = self.day
        if day is None:
            return self.written
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def day_of(name: str) -> date | None:
    found = _DAY.search(name.rpartition("/")[2])
    try:
        return date(int(found[1]), int(found[2]), int(found[3])) if found else None
    except ValueError:
        return None


def log_files(root: Path, patterns: Iterable[str] = PATTERNS, without: Path | None = None) -> list[LogFile]:
    """Every log file below a folder in the order of their names; links are not followed, `without` is passed over."""
    return sorted(_walk(root, tuple(patterns), without), key=lambda file: (file.name, file.is_compressed))


def _walk(root: Path, patterns: tuple[str, ...], without: Path | None) -> Iterator[LogFile]:
    excluded = without.resolve() if without is not None else None
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = [one for one in folders if (here / one).resolve() != excluded]
        for name in names:
            plain = name.removesuffix(GZ)
            path = here / name
            if not any(fnmatch.fnmatch(plain, pattern) for pattern in patterns) or path.is_symlink():
                continue
            there = path.stat()
            relative = (here / plain).relative_to(root).as_posix()
            written = datetime.fromtimestamp(there.st_mtime, UTC)
            yield LogFile(root, relative, name != plain, there.st_size, written)


def held(folders: Iterable[Path]) -> tuple[str, ...]:
    """The patterns of the legal-hold files of these folders: what matches one is never deleted."""
    found: list[str] = []
    for folder in folders:
        path = folder / HOLD_FILE
        if path.exists():
            lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
            found += [line for line in lines if line]
    return tuple(found)


def is_held(name: str, patterns: Iterable[str]) -> bool:
    """Whether a file is on hold; a pattern is a path, a folder or has stars."""
    return any(
        fnmatch.fnmatch(name, pattern)
        or fnmatch.fnmatch(name, f"{pattern.rstrip('/')}/*")
        or fnmatch.fnmatch(name.rpartition("/")[2], pattern)
        for pattern in patterns
    )


@dataclass(frozen=True)
class Content:
    """What a file says, compressed or not: its size and checksum."""

    bytes: int
    sha256: str


def read_content(path: Path, is_compressed: bool | None = None) -> Content:
    """Reads all of it; whether it is compressed is in its name unless said.

    Raises OSError or EOFError when it cannot be read to its end.
    """
    digest, size = hashlib.sha256(), 0
    unpacks = path.name.endswith(GZ) if is_compressed is None else is_compressed
    try:
        with gzip.open(path, "rb") if unpacks else path.open("rb") as file:
            while portion := file.read(_PORTION):
                digest.update(portion)
                size += len(portion)
    except zlib.error as error:
        raise OSError(f"it is no whole gzip file: {error}") from error
    return Content(size, digest.hexdigest())


def sync_folder(folder: Path) -> None:
    """Makes new names in a folder outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
