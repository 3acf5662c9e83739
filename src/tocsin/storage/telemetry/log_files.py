"""Files of log lines read by the engine where they lie, without a server and without storing anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from tocsin.storage.telemetry.chdb import engine_connection

SUFFIXES = (".jsonl", ".ndjson", ".json", ".log")
PACKED = (".gz", ".zst", ".xz", ".bz2")
SETTINGS = {
    "storage_file_read_method": "'pread'",  # so that the process's count of bytes read says how far it is
    "input_format_parallel_parsing": "0",
    "max_bytes_before_external_group_by": str(1024**3),
    "engine_file_skip_empty_files": "1",
}
BATCH = 50

Ask = Callable[[str], list[dict[str, Any]]]


class FilesError(Exception):
    """What was named cannot be read; the message says what to do. cause: what the engine said, if it did."""

    def __init__(self, message: str, cause: str = "") -> None:
        super().__init__(message)
        self.cause = cause


def log_files(paths: Sequence[Path], since_seconds: float = 0.0) -> list[Path]:
    """The files named and those below the folders named, by path; without those last written before
    `since_seconds`.

    Raises FilesError.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found |= dict.fromkeys(sorted(file for file in path.rglob("*") if _is_log(file)))
        elif path.is_file():
            found[path] = None
        else:
            raise FilesError(f"cannot read '{path}': there is no such file or folder; name one that is there")
    if not found:
        names = ", ".join(f"'{path}'" for path in paths)
        raise FilesError(
            f"cannot analyse {names}: no file ends in {', '.join(SUFFIXES)}, plain or packed; name the files"
        )
    return [file for file in found if file.stat().st_mtime >= since_seconds]


def _is_log(path: Path) -> bool:
    suffixes = [part.lower() for part in path.suffixes if not part[1:].isdigit()]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return path.is_file() and bool(suffixes) and suffixes[-1] in SUFFIXES


def batches(files: Sequence[Path]) -> list[list[Path]]:
    """The files in portions, each of which is one question to the engine."""
    return [list(files[start : start + BATCH]) for start in range(0, len(files), BATCH)]


def source_of(files: Sequence[Path]) -> str:
    """The table that gives the files' lines in the column `line`. Raises FilesError."""
    for file in files:
        if any(sign in str(file.absolute()) for sign in "*?{}"):
            raise FilesError(f"cannot read '{file}': its path holds one of * ? {{ }}; give it another name")
    # A name with a star stands for many files, so each file is named by itself.
    each = [f"SELECT line FROM file({_literal(str(file.absolute()))}, 'LineAsString', 'line String')" for file in files]
    return f"({' UNION ALL '.join(each)})"


def each_asked(
    ask: Ask, files: Sequence[Path], sql_of: Callable[[Sequence[Path]], str], damaged: dict[Path, str]
) -> list[dict[str, Any]]:
    """The rows of all files but those that cannot be read to their end, which are put into `damaged` with the cause.

    Raises FilesError when none of several can be read: then it is hardly the files.
    """
    try:
        return ask(sql_of(files))
    except FilesError as error:
        if not error.cause:
            raise
        if len(files) == 1:
            damaged[files[0]] = error.cause
            return []
        rows = [row for file in files for row in each_asked(ask, [file], sql_of, damaged)]
        if all(file in damaged for file in files):
            raise
        return rows


@contextmanager
def asking(threads: int = 0) -> Iterator[Ask]:
    """Gives a function that answers a SELECT over files with its rows and raises FilesError.

    Opens an engine of its own, so not beside another one in the same process. threads 0: as many as there are cores.
    """
    settings = SETTINGS | {"max_threads": str(threads or os.cpu_count() or 1)}
    said = ", ".join(f"{name} = {value}" for name, value in settings.items())
    connection = engine_connection(":memory:")

    def ask(sql: str) -> list[dict[str, Any]]:
        try:
            answer = connection.query(f"{sql} SETTINGS {said}", "JSONEachRow").bytes()
        except RuntimeError as error:
            cause = str(error).splitlines()[0][:300]
            short = cause.partition("Exception: ")[2].partition(": While")[0]
            raise FilesError(f"cannot read the files: {cause}; is each of them whole?", short or cause) from error
        return [orjson.loads(line) for line in answer.splitlines()]

    try:
        yield ask
    finally:
        connection.close()


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
