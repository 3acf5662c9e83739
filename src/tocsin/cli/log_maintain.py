"""`tocsin logs maintain`: compresses, archives and deletes log files by age."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.client import Json
from tocsin.cli.fail import fail
from tocsin.cli.log_files import (
    ArchiveAfter,
    ArchiveFolder,
    CompressAfter,
    DeleteAfter,
    Folder,
    Pattern,
    ages_of,
    patterns_of,
)
from tocsin.storage.log_files import Deed, Done, LogFilesError
from tocsin.storage.log_files import maintain as maintain_folder

_ORDER = (Deed.COMPRESSED, Deed.ARCHIVED, Deed.DELETED, Deed.HELD, Deed.RESTORED, Deed.FAILED)


def maintain(
    folder: Folder,
    compress_after: CompressAfter = "7d",
    archive_after: ArchiveAfter = "30d",
    delete_after: DeleteAfter = "90d",
    archive_folder: ArchiveFolder = None,
    pattern: Pattern = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    restore_test: Annotated[
        bool, typer.Option("--restore-test", help="Unpack the oldest, the newest and some others, and read them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compress, archive and delete log files by the day in their name, else by when they were last written.

    Paths are kept, checksums are noted, and nothing is removed before what replaces it has been read back. What matches
    a line of FOLDER/legal-hold.txt is never deleted. Exit code 1 when something could not be done.
    """
    ages = ages_of(compress_after, archive_after, delete_after)
    archive = archive_folder or folder / "archive"
    try:
        done = maintain_folder(
            folder, archive, ages, is_dry=dry_run, restores=restore_test, patterns=patterns_of(pattern)
        )
    except (LogFilesError, OSError) as error:
        fail(str(error))
    sizes = {"folder": _bytes_below(folder, archive), "archive": _bytes_below(archive, None)}
    if as_json:
        told = [{"deed": one.deed, "file": one.name, "bytes": one.bytes, "reason": one.reason} for one in done]
        typer.echo(json.dumps({"dry_run": dry_run, "done": told, "disk_bytes": sizes}, indent=2))
    else:
        _print(done, dry_run, sizes)
    sys.exit(1 if any(one.deed is Deed.FAILED for one in done) else 0)


def _print(done: list[Done], is_dry: bool, sizes: dict[str, int]) -> None:
    for one in done:
        reason = f": {one.reason}" if one.reason else ""
        typer.echo(f"{one.deed:<10} {one.name}{reason}", err=one.deed is Deed.FAILED)
    counts = Counter(one.deed for one in done)
    summary = ", ".join(f"{counts[deed]} {deed}" for deed in _ORDER if counts[deed]) or "nothing was due"
    freed = sum(one.bytes for one in done if one.deed in (Deed.COMPRESSED, Deed.DELETED))
    would = "dry run, nothing was changed: " if is_dry else ""
    # Of a file of a few lines the compressed one is the larger.
    typer.echo(f"{would}{summary}; {_size(abs(freed))} {'freed' if freed >= 0 else 'more used'}")
    typer.echo(f"on disk: {_size(sizes['folder'])} of logs, {_size(sizes['archive'])} in the archive")


def _bytes_below(folder: Path, without: Path | None) -> int:
    if not folder.is_dir():
        return 0
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files if without is None or without not in path.parents)


def _size(size_bytes: int) -> str:
    value = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
