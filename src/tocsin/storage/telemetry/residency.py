"""Gives memory back: the engine's code pages that only its start-up needed, and what large queries leave behind.

Starting the engine runs through most of its library: 130 MB of code become resident, of which queries and inserts
use less than half. The pages are read-only and backed by the file, so whatever is used again comes back by itself.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_MADV_DONTNEED = 4


def release_code_pages(library: str) -> int:
    """Bytes of code of the loaded library with this name in its path that were given back; 0 where that is unknown.

    Only executable mappings: those of data may hold addresses that the loader has filled in.
    """
    if not sys.platform.startswith("linux"):
        return 0
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    released = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, permissions, *_, path = line.split(maxsplit=5)
        if permissions == "r-xp" and library in path:
            start, end = (int(part, 16) for part in span.split("-"))
            if madvise(start, end - start, _MADV_DONTNEED) == 0:
                released += end - start
    return released


def release_free_memory() -> None:
    """What the C library keeps of freed arrays goes back to the system; nothing where it knows no such call."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
