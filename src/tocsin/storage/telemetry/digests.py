"""Which messages were stored lately, so that one that a sender repeats is recognised."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from tocsin.storage.telemetry.decode import Signal

DIGEST_BYTES = 16


def digest_of(signal: Signal, message: bytes) -> bytes:
    """What a message is recognised by."""
    return hashlib.blake2b(message, digest_size=DIGEST_BYTES, person=signal.value.encode()).digest()


class RecentDigests:
    """The digests of what was stored. In memory while this process runs, in small files for the next one."""

    def __init__(self, folder: Path, keep_seconds: int) -> None:
        self._folder = folder
        self._keep_seconds = keep_seconds
        self._stored: dict[bytes, float] = {}  # insertion order is age order
        self._by_segment: dict[str, list[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._load()

    def holds(self, digest: bytes) -> bool:
        return digest in self._stored

    def add(self, digest: bytes) -> None:
        now = time.monotonic()
        self._stored[digest] = now
        while (oldest := next(iter(self._stored))) and now - self._stored[oldest] > self._keep_seconds:
            del self._stored[oldest]

    def assign(self, segment_id: str, digests: list[bytes]) -> None:
        self._by_segment[segment_id] = digests

    def settle(self, segment_id: str) -> None:
        """The segment is about to go: from now on its digests live in a file, and old files are removed."""
        digests = self._by_segment.pop(segment_id, [])
        # Not synced: a power cut within seconds, together with a lost answer, is the one way to store a batch twice.
        (self._folder / f"{segment_id}.digests").write_bytes(b"".join(digests))
        for path in self._expired():
            path.unlink(missing_ok=True)

    def _load(self) -> None:
        for path in self._expired():
            path.unlink(missing_ok=True)
        for path in sorted(self._folder.glob("*.digests")):
            content = path.read_bytes()
            for start in range(0, len(content) - DIGEST_BYTES + 1, DIGEST_BYTES):
                self.add(content[start : start + DIGEST_BYTES])

    def _expired(self) -> list[Path]:
        oldest = time.time() - self._keep_seconds
        return [path for path in self._folder.glob("*.digests") if path.stat().st_mtime < oldest]
