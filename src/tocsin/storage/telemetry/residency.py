"""Keeps memory that is needed again soon, and gives back the rest: library pages of start-up, what queries leave.

Loading the engine reads 28 MB of relocations, and starting it runs through most of its library: 160 MB of it become
resident, of which inserts and queries use two thirds. The pages are read-only and backed by the file, so whatever is
used again comes back by itself.
"""

from __future__ import annotations

import ctypes
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

_MADV_DONTNEED = 4
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
HEAPS = 1
"""Python's threads hold the interpreter's lock nearly whenever they allocate, so they do not wait for each other."""
LARGEST_OF_HEAP_BYTES = 32 * 1024**2
"""Larger pieces come from the system each time, and a new page costs more than what is done with it."""
KEPT_FREE_BYTES = 128 * 1024**2
"""At the end of the heap: what a large query takes at a time."""
QUIET_SECONDS = 30.0
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


def arrange_heap() -> None:
    """Have the C library keep what is freed where the next query finds it; before threads start.

    Left to itself it gives each thread a heap, where freed memory stays, and large arrays back to the system at once.
    """
    if set_option := getattr(ctypes.CDLL(None), "mallopt", None):
        set_option(_M_ARENA_MAX, HEAPS)
        set_option(_M_MMAP_THRESHOLD, LARGEST_OF_HEAP_BYTES)
        set_option(_M_TRIM_THRESHOLD, KEPT_FREE_BYTES)


class FreeMemory:
    """What the C library keeps of freed memory, which goes back to the system once nobody has needed it for a while:
    whoever asks a large question mostly asks the next one soon."""

    def __init__(self, quiet_seconds: float = QUIET_SECONDS) -> None:
        self._quiet_seconds = quiet_seconds
        self._used = 0.0
        self._lock = threading.Lock()
        self._is_waiting = False

    def note_use(self) -> None:
        """Much memory has just been used."""
        with self._lock:
            self._used = time.monotonic()
            if not self._is_waiting:
                self._is_waiting = True
                threading.Thread(target=self._wait, name="tocsin-free-memory", daemon=True).start()

    def _wait(self) -> None:
        while self._is_used():
            time.sleep(self._quiet_seconds / 10)
        # Where the library knows no such call it stays.
        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
            trim(0)

    def _is_used(self) -> bool:
        with self._lock:
            self._is_waiting = time.monotonic() - self._used < self._quiet_seconds
            return self._is_waiting


free_memory = FreeMemory()
"""Of this process, as its heap is."""
