"""`tocsin logs verify`: is the rotation of log files as it should be?"""

from __future__ import annotations

import json
import sys

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
from tocsin.storage.log_files import LogFilesError
from tocsin.storage.log_files import verify as verify_folder


def verify(
    folder: Folder,
    compress_after: CompressAfter = "7d",
    archive_after: ArchiveAfter = "30d",
    delete_after: DeleteAfter = "90d",
    archive_folder: ArchiveFolder = None,
    pattern: Pattern = None,
    as_json: Json = False,
) -> None:
    """Find gaps, overlaps, files that cannot be read or have changed, and files that are older than they should be.

    Exit code 0 when all is well, 1 when something was found, 2 when there is no such folder.
    """
    ages = ages_of(compress_after, archive_after, delete_after)
    try:
        found, count = verify_folder(folder, archive_folder or folder / "archive", ages, patterns=patterns_of(pattern))
    except (LogFilesError, OSError) as error:
        fail(str(error))
    if as_json:
        findings = [{"kind": one.kind, "file": one.name, "detail": one.detail} for one in found]
        typer.echo(json.dumps({"files": count, "findings": findings}, indent=2))
    else:
        for one in found:
            typer.echo(f"{one.kind:<10} {one.name}: {one.detail}")
        state = f"{len(found)} findings" if found else "all is well"
        typer.echo(f"{count} files looked at: {state}")
    sys.exit(1 if found else 0)
