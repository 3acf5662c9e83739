"""Gives memory back: library pages that only start-up needed, and what large queries leave behind.

Loading the engine reads 28 MB of relocations, and starting it runs through most of its library: 160 MB of it become
resident, of which inserts and queries use two thirds. The pages are read-only and backed by the file, so whatever is
used again comes back by itself.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_MADV_DONTNEED = 4
_M_ARENA_MAX = -8
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)")


def release_library_pages(library: str = ".so") -> int:
    """Bytes of code and constants, of loaded libraries with this in their path, that were resident and given back.

    0 where that is unknown. What is used goes on from there, at a microsecond a page.
    """
    if not sys.platform.startswith("linux"):
        return 0
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    released = 0
    for start, end, resident in _unwritten(library):
        if madvise(start, end - start, _MADV_DONTNEED) == 0:
            released += resident
    return released


def _unwritten(library: str) -> Iterator[tuple[int, int, int]]:
    """Start, end and resident bytes of the mappings that equal their file and cannot be written.

    Pages of the others hold addresses that the loader has filled in: giving those back would undo it.
    """
    start = end = resident = 0
    is_wanted = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if found := _MAPPING.match(line):
            start, end = int(found[1], 16), int(found[2], 16)
            is_wanted = found[3] in ("r-xp", "r--p") and library in found[4]
        elif line.startswith("Rss:"):
            resident = int(line.split()[1]) * 1024
        elif is_wanted and line.startswith("Anonymous:") and line.split()[1] == "0":
            yield start, end, resident


def bound_arenas(most: int = 2) -> None:
    """Keep the C library from giving each thread a heap of its own, where freed memory stays; before threads start.

    They hold the interpreter's lock nearly whenever they allocate, so they do not wait for each other.
    """
    if set_option := getattr(ctypes.CDLL(None), "mallopt", None):
        set_option(_M_ARENA_MAX, most)


def release_free_memory() -> None:
    """What the C library keeps of freed arrays goes back to the system; nothing where it knows no such call."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
