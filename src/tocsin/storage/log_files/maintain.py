"""Compresses, archives and deletes log files by age. Each step is whole or has not happened, and nothing is removed
before what replaces it has been read back."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path

from tocsin.storage.log_files.folder import (
    GZ,
    LOCK_FILE,
    PATTERNS,
    Ages,
    LogFile,
    LogFilesError,
    held,
    is_held,
    log_files,
    read_content,
    sync_folder,
)
from tocsin.storage.log_files.manifest import Entry, Manifest

# A file that was written to this lately may be written to again, whatever day is in its name.
_QUIET = timedelta(hours=1)
_PORTION = 1 << 20
_RESTORED = 10


class Deed(StrEnum):
    COMPRESSED = "compressed"
    ARCHIVED = "archived"
    DELETED = "deleted"
    HELD = "held"
    RESTORED = "restored"
    FAILED = "failed"


@dataclass(frozen=True)
class Done:
    """One thing that was done, or with a dry run would be. bytes: what it freed, or of a restored file its size."""

    deed: Deed
    name: str
    bytes: int = 0
    reason: str = ""


@dataclass
class _Run:
    folder: Path
    archive: Path
    ages: Ages
    now: datetime
    is_dry: bool
    patterns: tuple[str, ...]
    done: list[Done] = field(default_factory=list)

    def is_there(self, file: LogFile, deed: Deed) -> bool:
        """Whether a file is compressed; with a dry run, whether it would be by now."""
        return file.is_compressed or (self.is_dry and any(d.deed is deed and d.name == file.name for d in self.done))

    def note(self, deed: Deed, name: str, freed: int = 0, reason: str = "") -> None:
        self.done.append(Done(deed, name, freed, reason))


def maintain(
    folder: Path,
    archive: Path,
    ages: Ages,
    *,
    now: datetime | None = None,
    is_dry: bool = False,
    restores: bool = False,
    patterns: tuple[str, ...] = PATTERNS,
) -> list[Done]:
    """Does what is due, and says what. Raises LogFilesError when the folder cannot be looked after at all."""
    if not folder.is_dir():
        raise LogFilesError(f"cannot look after '{folder}': there is no such folder; name the one that holds the logs")
    run = _Run(folder, archive, ages, now or datetime.now(UTC), is_dry, patterns)
    with _alone(folder, is_dry):
        own, archived = Manifest(folder, is_dry), Manifest(archive, is_dry)
        for file in log_files(folder, patterns, without=archive):
            if not file.is_compressed and run.now - file.ended >= ages.compress:
                _each(run, file, lambda file: _compress(run, own, file))
        for file in log_files(folder, patterns, without=archive):
            if run.is_there(file, Deed.COMPRESSED) and run.now - file.ended >= ages.archive:
                _each(run, file, lambda file: _archive(run, own, archived, file))
        holds = held((folder, archive))
        for file in _in_archive(run):
            if run.now - file.ended >= ages.delete:
                _each(run, file, lambda file: _delete(run, archived, file, holds))
            elif file.name not in archived.entries and not is_dry:
                _each(run, file, lambda file: archived.put(file.name, _checked(run, archived, file)))
        if restores:
            _restore_some(run, own, archived)
    return run.done


def _in_archive(run: _Run) -> list[LogFile]:
    there = (
        [file for file in log_files(run.archive, run.patterns) if file.is_compressed] if run.archive.is_dir() else []
    )
    if run.is_dry:
        coming = {one.name for one in run.done if one.deed is Deed.ARCHIVED}
        there += [file for file in log_files(run.folder, run.patterns, without=run.archive) if file.name in coming]
    return there


def _each(run: _Run, file: LogFile, step: Callable[[LogFile], None]) -> None:
    """One file that cannot be handled does not stop the others."""
    try:
        step(file)
    except (OSError, EOFError, LogFilesError) as error:
        run.note(Deed.FAILED, file.name, reason=str(error))


@contextmanager
def _alone(folder: Path, is_dry: bool) -> Iterator[None]:
    if is_dry:
        yield
        return
    with (folder / LOCK_FILE).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LogFilesError(
                f"cannot look after '{folder}': another process does right now; wait for it to end"
            ) from error
        yield


def _compress(run: _Run, manifest: Manifest, file: LogFile) -> None:
    if run.now - file.written < _QUIET:
        return
    source, target = file.path, file.path.with_name(file.path.name + GZ)
    is_left_over = target.exists()
    if is_left_over and read_content(target) != read_content(source):
        raise LogFilesError(
            f"cannot compress '{file.name}': '{target.name}' is there already and says something else; "
            "move one of them away"
        )
    if run.is_dry:
        run.note(Deed.COMPRESSED, file.name, file.bytes)
        return
    if not is_left_over:
        _pack(run, manifest, file, target)
    source.unlink()
    run.note(Deed.COMPRESSED, file.name, file.bytes - target.stat().st_size)


def _pack(run: _Run, manifest: Manifest, file: LogFile, target: Path) -> None:
    source = file.path
    before = source.stat()
    fresh = target.with_name(f".{target.name}.new")
    try:
        with source.open("rb") as plain, fresh.open("wb") as raw:
            with gzip.GzipFile(file.path.name, "wb", 6, raw, int(before.st_mtime)) as packed:
                shutil.copyfileobj(plain, packed, _PORTION)
            raw.flush()
            os.fsync(raw.fileno())
        content = read_content(source)
        if read_content(fresh, is_compressed=True) != content:
            raise LogFilesError(
                f"cannot compress '{file.name}': what was written reads back differently; check the disk"
            )
        after = source.stat()
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise LogFilesError(
                f"cannot compress '{file.name}': it was written to meanwhile; it is tried again next time"
            )
        shutil.copymode(source, fresh)
        os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns))
        manifest.put(file.name, Entry(content.bytes, content.sha256, _text(run.now)))
        fresh.rename(target)
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(target.parent)


def _archive(run: _Run, own: Manifest, archived: Manifest, file: LogFile) -> None:
    """Into the same path below the archive. A file that somebody else compressed is checked and noted first."""
    source, target = file.path, run.archive / (file.name + GZ)
    entry = _checked(run, own, file)
    is_left_over = target.exists()
    if is_left_over and read_content(target) != entry.content:
        raise LogFilesError(
            f"cannot archive '{file.name}': the archive has a file of this name that says something else; "
            "move one of them away"
        )
    if run.is_dry:
        run.note(Deed.ARCHIVED, file.name, file.bytes)
        return
    archived.put(file.name, entry)
    if not is_left_over:
        _copy(file, target, entry)
    source.unlink()
    own.drop(file.name)
    run.note(Deed.ARCHIVED, file.name, file.bytes)


def _copy(file: LogFile, target: Path, entry: Entry) -> None:
    source = file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.new")
    try:
        shutil.copy2(source, fresh)
        with fresh.open("rb") as copied:
            os.fsync(copied.fileno())
        if read_content(fresh, is_compressed=True) != entry.content:
            raise LogFilesError(f"cannot archive '{file.name}': the copy reads back differently; check the disk")
        # Never over another: a link fails where there is one.
        os.link(fresh, target)
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(target.parent)


def _delete(run: _Run, archived: Manifest, file: LogFile, holds: tuple[str, ...]) -> None:
    if is_held(file.name, holds):
        run.note(Deed.HELD, file.name, reason="legal hold")
        return
    entry = _checked(run, archived, file)
    if file.name not in archived.entries and not run.is_dry:
        # Archived by somebody else: what it holds is noted now, and it goes the next time if it still reads so.
        archived.put(file.name, entry)
        return
    if run.is_dry:
        run.note(Deed.DELETED, file.name, file.bytes)
        return
    archived.put(file.name, Entry(entry.bytes, entry.sha256, entry.at, _text(run.now)))
    file.path.unlink()
    sync_folder(file.path.parent)
    run.note(Deed.DELETED, file.name, file.bytes)


def _checked(run: _Run, manifest: Manifest, file: LogFile) -> Entry:
    """The entry of a file that reads as noted; a new one where nothing was noted."""
    content = read_content(file.path)
    entry = manifest.entries.get(file.name)
    if entry is not None and entry.content != content:
        raise LogFilesError(
            f"cannot trust '{file.name}': its checksum is no longer the one noted on {entry.at[:10]}; "
            "restore it from a backup"
        )
    return entry or Entry(content.bytes, content.sha256, _text(run.now))


def _restore_some(run: _Run, own: Manifest, archived: Manifest) -> None:
    """Unpacks the oldest, the newest and some by chance, and reads them as whoever needed them would."""
    there = [(file, own) for file in log_files(run.folder, run.patterns, without=run.archive) if file.is_compressed]
    if run.archive.is_dir():
        there += [(file, archived) for file in log_files(run.archive, run.patterns) if file.is_compressed]
    there.sort(key=lambda one: one[0].ended)
    chosen = there
    if len(there) > _RESTORED:
        middle = random.sample(range(1, len(there) - 1), _RESTORED - 2)
        chosen = [there[place] for place in (0, *sorted(middle), len(there) - 1)]
    for file, manifest in chosen:
        _each(run, file, partial(_restore, run, manifest))


def _restore(run: _Run, manifest: Manifest, file: LogFile) -> None:
    entry = _checked(run, manifest, file)
    lines = 0
    with gzip.open(file.path, "rt", encoding="utf-8", errors="strict") as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            try:
                json.loads(line)
            except ValueError as error:
                raise LogFilesError(f"cannot read line {number} of '{file.name}': {error}") from error
            lines += 1
    run.note(Deed.RESTORED, file.name, entry.bytes, f"{lines} lines")


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
