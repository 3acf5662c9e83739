"""What the commands over folders of log files have in common: their options."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.fail import fail
from tocsin.model.units import seconds_from
from tocsin.storage.log_files import Ages, LogFilesError
from tocsin.storage.log_files.folder import PATTERNS

Folder = Annotated[Path, typer.Argument(help="The folder that holds the log files, with all below it.")]
CompressAfter = Annotated[str, typer.Option(help="Age at which a file is compressed.")]
ArchiveAfter = Annotated[str, typer.Option(help="Age at which it goes to the archive.")]
DeleteAfter = Annotated[str, typer.Option(help="Age at which it is deleted there.")]
ArchiveFolder = Annotated[
    Path | None, typer.Option(help="The archive; default FOLDER/archive. Paths are kept below it.")
]
Pattern = Annotated[list[str] | None, typer.Option(help="Names of log files, without .gz; can be given several times.")]


def ages_of(compress_after: str, archive_after: str, delete_after: str) -> Ages:
    try:
        spans = (timedelta(seconds=seconds_from(text)) for text in (compress_after, archive_after, delete_after))
        return Ages(*spans)
    except (ValueError, LogFilesError) as error:
        fail(str(error))


def patterns_of(pattern: list[str] | None) -> tuple[str, ...]:
    return tuple(pattern) if pattern else PATTERNS
