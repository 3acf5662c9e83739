"""Says what is wrong with the rotation of a folder of log files: gaps, overlaps, what cannot be read or is too old."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tocsin.storage.log_files.folder import (
    GZ,
    PATTERNS,
    Ages,
    LogFile,
    LogFilesError,
    held,
    is_held,
    log_files,
    read_content,
)
from tocsin.storage.log_files.manifest import Manifest

# Maintenance may run once a day.
_GRACE = timedelta(days=1)
_TAIL_BYTES = 64 * 1024
# Local time zones are up to this far from UTC.
_ZONES = timedelta(hours=14)
_TIME_FIELDS = ("timestamp", "time", "@timestamp", "asctime", "ts", "date")


@dataclass(frozen=True)
class Finding:
    """kind: gap, overlap, unreadable, checksum, missing, age or future. name: the file, or the series of files."""

    kind: str
    name: str
    detail: str


def verify(
    folder: Path,
    archive: Path,
    ages: Ages,
    *,
    now: datetime | None = None,
    patterns: tuple[str, ...] = PATTERNS,
) -> tuple[list[Finding], int]:
    """The findings, and how many files were looked at. Raises LogFilesError when there is no such folder."""
    if not folder.is_dir():
        raise LogFilesError(
            f"cannot look through '{folder}': there is no such folder; name the one that holds the logs"
        )
    moment = now or datetime.now(UTC)
    own = log_files(folder, patterns, without=archive)
    archived = log_files(archive, patterns) if archive.is_dir() else []
    manifests = {folder: Manifest(folder, is_dry=True), archive: Manifest(archive, is_dry=True)}
    found = [*_contents(own, manifests[folder]), *_contents(archived, manifests[archive])]
    found += _missing(own, manifests[folder])
    found += _missing(archived, manifests[archive])
    found += _twice([*own, *archived])
    found += _too_old(own, archived, ages, moment, held((folder, archive)))
    deleted = {name for manifest in manifests.values() for name, entry in manifest.entries.items() if entry.deleted}
    found += _gaps([*own, *archived], deleted, moment.date())
    return found, len(own) + len(archived)


def _contents(files: Iterable[LogFile], manifest: Manifest) -> Iterator[Finding]:
    for file in files:
        entry = manifest.entries.get(file.name)
        try:
            if file.is_compressed:
                content = read_content(file.path)
                if entry is not None and not entry.deleted and entry.content != content:
                    yield Finding("checksum", _shown(file), f"it is not what was noted on {entry.at[:10]}")
                    continue
            yield from _other_days(file)
        except (OSError, EOFError) as error:
            yield Finding("unreadable", _shown(file), str(error))


def _missing(files: Iterable[LogFile], manifest: Manifest) -> Iterator[Finding]:
    there = {file.name for file in files}
    for name, entry in manifest.entries.items():
        if name not in there and not entry.deleted:
            yield Finding("missing", name, f"it was noted on {entry.at[:10]} and is gone, not by maintenance")


def _twice(files: Iterable[LogFile]) -> Iterator[Finding]:
    by_name: dict[str, list[LogFile]] = defaultdict(list)
    for file in files:
        by_name[file.name].append(file)
    for name, same in by_name.items():
        if len(same) > 1:
            places = " and ".join(str(file.path) for file in same)
            yield Finding("overlap", name, f"the same file is there {len(same)} times: {places}")


def _too_old(
    own: Iterable[LogFile], archived: Iterable[LogFile], ages: Ages, now: datetime, holds: tuple[str, ...]
) -> Iterator[Finding]:
    for file in own:
        age = now - file.ended
        if age < -_GRACE - _ZONES:
            yield Finding("future", _shown(file), f"its day is {-age.days} days ahead")
        elif not file.is_compressed and age >= ages.compress + _GRACE:
            yield Finding(
                "age", _shown(file), f"{age.days} days old and not compressed; due after {ages.compress.days}"
            )
        elif file.is_compressed and age >= ages.archive + _GRACE:
            yield Finding("age", _shown(file), f"{age.days} days old and not archived; due after {ages.archive.days}")
    for file in archived:
        age = now - file.ended
        if age >= ages.delete + _GRACE and not is_held(file.name, holds):
            yield Finding("age", _shown(file), f"{age.days} days old and not deleted; due after {ages.delete.days}")


def _gaps(files: Iterable[LogFile], deleted: Iterable[str], today: date) -> Iterator[Finding]:
    """Days without a file between the first and the last of a series."""
    days: dict[str, set[date]] = defaultdict(set)
    for file in files:
        if file.day is not None:
            days[file.series].add(file.day)
    for name in deleted:
        gone = LogFile(Path(), name, True, 0, datetime.now(UTC))
        if gone.day is not None and gone.series in days:
            days[gone.series].add(gone.day)
    for series, there in sorted(days.items()):
        last = max(max(there), min(today - timedelta(days=1), max(there) + timedelta(days=1)))
        day = min(there)
        while day < last:
            if day not in there:
                first = day
                while day + timedelta(days=1) not in there and day + timedelta(days=1) < last:
                    day += timedelta(days=1)
                span = str(first) if day == first else f"{first} to {day}"
                yield Finding("gap", series.replace("#", "…"), f"no file of {span}")
            day += timedelta(days=1)


def _other_days(file: LogFile) -> Iterator[Finding]:
    """Whether a file of one day holds lines of another, such as of a process that went on writing to it."""
    day = file.day
    if day is None or not file.bytes:
        return
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for moment in _ends(file.path):
        if moment is not None and not start - _ZONES <= moment < start + timedelta(days=1) + _ZONES:
            yield Finding("overlap", _shown(file), f"it holds lines of {moment.date()}")
            return


def _ends(path: Path) -> list[datetime | None]:
    """The times of the first and the last line."""
    with gzip.open(path, "rb") if path.name.endswith(GZ) else path.open("rb") as file:
        first = last = file.readline(_TAIL_BYTES)
        if not path.name.endswith(GZ):
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
        for line in file:
            last = line or last
    return [_time_of(first), _time_of(last)]


def _time_of(line: bytes) -> datetime | None:
    try:
        said = json.loads(line)
        text = next((said[name] for name in _TIME_FIELDS if name in said), None) if isinstance(said, dict) else None
        if isinstance(text, int | float):
            return datetime.fromtimestamp(text / 1000 if text > 1e11 else text, UTC)
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00").replace(",", ".")) if text else None
    except (ValueError, OverflowError, OSError, RecursionError):
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _shown(file: LogFile) -> str:
    return file.name + GZ if file.is_compressed else file.name
