"""What a folder's compressed files held when they were made: sizes and SHA-256 checksums, in a file beside them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from tocsin.storage.log_files.folder import MANIFEST_FILE, Content, LogFilesError, sync_folder

_VERSION = 1


@dataclass(frozen=True)
class Entry:
    """One file. at: when this was noted, ISO 8601. deleted: when it was deleted as due, '' while it is there."""

    bytes: int
    sha256: str
    at: str
    deleted: str = ""

    @property
    def content(self) -> Content:
        return Content(self.bytes, self.sha256)


class Manifest:
    """The entries of one folder by the names of its files; each change is on disk when it returns."""

    def __init__(self, folder: Path, is_dry: bool = False) -> None:
        self._path, self._is_dry = folder / MANIFEST_FILE, is_dry
        self.entries: dict[str, Entry] = {}
        if self._path.exists():
            self._read()

    def put(self, name: str, entry: Entry) -> None:
        self.entries[name] = entry
        self._write()

    def drop(self, name: str) -> None:
        if self.entries.pop(name, None) is not None:
            self._write()

    def _read(self) -> None:
        try:
            said = json.loads(self._path.read_text("utf-8"))
            self.entries = {name: Entry(**entry) for name, entry in said["files"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise LogFilesError(
                f"cannot read the checksums in '{self._path}': {error}; restore the file, or move it away to begin anew"
            ) from error

    def _write(self) -> None:
        if self._is_dry:
            return
        files = {name: asdict(entry) for name, entry in sorted(self.entries.items())}
        text = json.dumps({"version": _VERSION, "files": files}, indent=1)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(self._path.name + ".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        sync_folder(self._path.parent)
