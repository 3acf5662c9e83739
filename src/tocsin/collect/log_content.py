"""What a log file holds, plain or gzip, read by place; and how the part that was read is recognised again.

Rotation renames, copies, empties and compresses files. What stays is their content, so what was read of a file is
known by the digests of its first and its last bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import stat
import zlib
from dataclasses import dataclass
from typing import Protocol

SPAN_BYTES = 1024  # of either end that are looked at
_PACKED = re.compile(r"\.gz$")
_ROTATED = re.compile(
    r"(?:[-._]\d{4}-\d\d-\d\d(?:[T_-]\d\d[-:.]?\d\d(?:[-:.]?\d\d)?)?|[-._]\d{8}(?:-?\d{4,6})?|[-.]\d{1,10}"
    r"|\.old|\.bak|\.orig|\.prev|~)$"
)


class ContentError(Exception):
    """The file cannot be read, for now or at all; the message says why."""


class Content(Protocol):
    """An open file. `device` and `inode` tell it from others while it is there."""

    device: int
    inode: int

    def size(self) -> int: ...
    def read(self, start: int, size: int) -> bytes: ...
    def data_from(self, start: int) -> int: ...
    def close(self) -> None: ...


class PlainContent:
    """A file as it is."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self.device, self.inode = status.st_dev, status.st_ino

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read(self, start: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, start)

    def data_from(self, start: int) -> int:
        """Where bytes come that were really written: behind the hole in a file emptied under its writer."""
        try:
            return os.lseek(self._descriptor, start, os.SEEK_DATA)
        except OSError:
            return start

    def close(self) -> None:
        os.close(self._descriptor)


class GzipContent:
    """A compressed file, complete when it is opened; it is not expected to grow."""

    def __init__(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self.device, self.inode = status.st_dev, status.st_ino
        self._raw = os.fdopen(descriptor, "rb")
        self._file = gzip.GzipFile(fileobj=self._raw, mode="rb")
        self._size = self._measured()

    def size(self) -> int:
        return self._size

    def read(self, start: int, size: int) -> bytes:
        self._file.seek(start)
        return self._file.read(size)

    def data_from(self, start: int) -> int:
        return start

    def close(self) -> None:
        self._file.close()
        self._raw.close()

    def _measured(self) -> int:
        try:
            while self._file.read(1024 * 1024):
                pass
            return self._file.tell()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            self.close()
            raise ContentError(f"it is no complete gzip file: {error}") from error


def open_content(path: str) -> PlainContent | GzipContent:
    """Raises ContentError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ContentError(f"it cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ContentError("it is no regular file")
    is_packed = _PACKED.search(path) and os.pread(descriptor, 2, 0) in (b"\x1f\x8b", b"\x1f", b"")
    return GzipContent(descriptor) if is_packed else PlainContent(descriptor)


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known of the first `offset` bytes of a file."""

    offset: int = 0
    head: bytes = b""
    tail: bytes = b""

    def is_of(self, content: Content) -> bool:
        """Whether the content begins with what was read. Nothing is known of a file of which nothing was read."""
        return self.offset > 0 and content.size() >= self.offset and identity(content, self.offset) == self

    def may_become(self, content: Content) -> bool:
        """Whether the content is shorter but begins in the same way, as a copy does that is being made."""
        size = content.size()
        begun = min(self.offset, SPAN_BYTES)
        return begun <= size < self.offset and _digest(content.read(0, begun)) == self.head


NOTHING = Identity()


def identity(content: Content, offset: int) -> Identity:
    """Of the first `offset` bytes."""
    if not offset:
        return NOTHING
    span = min(offset, SPAN_BYTES)
    return Identity(offset, _digest(content.read(0, span)), _digest(content.read(offset - span, span)))


def stem(path: str) -> str:
    """The name that a file and those rotated from it have in common: app.log of app.log.1, app.log-20261121.gz …"""
    name = _PACKED.sub("", os.path.basename(path))
    while (shorter := _ROTATED.sub("", name)) != name and shorter:
        name = shorter
    base, dot, extension = name.rpartition(".")
    if dot and not extension.isdigit():
        while (shorter := _ROTATED.sub("", base)) != base and shorter:
            base = shorter
        name = f"{base}.{extension}"
    return name


def are_related(first: str, second: str) -> bool:
    """Whether one file may be the other, rotated."""
    return os.path.dirname(first) == os.path.dirname(second) and stem(first) == stem(second)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
