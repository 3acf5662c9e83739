"""The write-ahead spool: raw OTLP messages on disk, acknowledged after they are synced, handed on as whole segments.

Layout under the spool folder: `<signal>/<id>.open` is being appended to, `<signal>/<id>.segment` waits for the
writer, `recent/<id>.digests` remembers which messages an inserted segment held. A segment is a sequence of
length-delimited protobuf messages, just as the engine reads them.

A sender that did not hear our answer sends the same bytes again. The spool recognises them by digest, for
`remember_seconds` and across restarts, and acknowledges without storing twice.
"""

from __future__ import annotations

import math
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tocsin.model.settings import setting
from tocsin.model.units import size_text
from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.digests import RecentDigests, digest_of
from tocsin.storage.telemetry.promises import done, followed, promise

_Entry = tuple[Signal, bytes, bytes, Future[bool]]  # signal, message, its digest, who waits for it


class SpoolFullError(Exception):
    """The spool takes no more until the writer catches up or disk space is freed; nothing of the message was kept."""


@dataclass(frozen=True)
class SpoolSettings:
    """How much may wait between acknowledgement and the engine."""

    max_bytes: int = setting(
        4 * 1024**3,
        unit="bytes",
        help="Telemetry that may wait for the engine before senders are told to retry later; raise it to survive "
        "a longer outage of the engine.",
    )
    min_free_bytes: int = setting(
        256 * 1024**2,
        unit="bytes",
        help="Free disk space below which nothing more is accepted; raise it when other programs share the disk.",
    )
    segment_bytes: int = setting(
        24 * 1024**2, unit="bytes", help="Size at which a segment is handed to the engine whatever its age."
    )
    remember_seconds: int = setting(
        600, unit="seconds", help="How long a message is recognised when a sender repeats it after a lost answer."
    )


@dataclass(frozen=True, slots=True)
class Segment:
    """A finished run of messages of one signal. Its id is also the token under which it is inserted once."""

    signal: Signal
    id: str
    path: Path


class OpenSegment:
    """A segment that still grows."""

    def __init__(self, folder: Path) -> None:
        self.id = f"{time.time_ns():020d}-{os.urandom(4).hex()}"
        self.path = folder / f"{self.id}.open"
        self.digests: list[bytes] = []
        self.bytes = 0
        self.is_sound = True  # False once bytes follow the last whole message and cannot be cut off
        self.opened = time.monotonic()
        self._file: BinaryIO = self.path.open("ab", buffering=0)

    def append(self, batch: bytes) -> None:
        """Write whole or not at all: what a failed write left behind is cut off again."""
        if not self.is_sound:
            raise OSError(f"cannot append to {self.path}: an earlier write failed half-way")
        try:
            written = self._file.write(batch)
            if written != len(batch):
                raise OSError(f"wrote {written} of {len(batch)} bytes")
            os.fdatasync(self._file.fileno())
        except OSError:
            self._cut()
            raise
        self.bytes += len(batch)

    def finish(self) -> Path:
        """Hand the segment on. Raises OSError, after which it is still open."""
        path = self.path.rename(self.path.with_suffix(".segment"))
        self._file.close()
        return path

    def _cut(self) -> None:
        try:
            self._file.truncate(self.bytes)
        except OSError:
            self.is_sound = False


class Spool:
    """Durable queue between ingest and the writer. `append` may be called from any thread."""

    def __init__(self, folder: Path, settings: SpoolSettings | None = None) -> None:
        self.folder = folder
        self.settings = settings or SpoolSettings()
        self.waiting_bytes = 0
        self._recent = RecentDigests(folder / "recent", self.settings.remember_seconds)
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._pending: deque[_Entry] = deque()
        self._in_flight: dict[bytes, Future[bool]] = {}
        self._open: dict[Signal, OpenSegment] = {}
        self._files = threading.Lock()
        self._is_closing = False
        self._free_checked = 0.0
        self.has_room = True
        self._recover()
        self._committer = threading.Thread(target=self._commit_forever, name="tocsin-spool", daemon=True)
        self._committer.start()

    def append(self, signal: Signal, message: bytes) -> Future[bool]:
        """Store one message. The future is done after it is on disk: True, or False if it was stored before.

        Raises SpoolFullError at once when there is no room; a failed write fails the future with OSError.
        """
        digest = digest_of(signal, message)
        with self._lock:
            if self._is_closing:
                raise SpoolFullError("the spool is closing")
            if self._recent.holds(digest):
                return done(False)
            earlier = self._in_flight.get(digest)
            if earlier is not None:
                return followed(earlier)
            self._require_room(len(message))
            future = promise()
            self._pending.append((signal, message, digest, future))
            self._in_flight[digest] = future
            self._work.notify()
        return future

    def roll(self, signal: Signal) -> None:
        """Finish the open segment of `signal`, if there is one."""
        with self._files:
            if signal in self._open:
                self._finish(signal)

    def hasten(self, signal: Signal) -> None:
        """Let the writer take what is there of `signal` at once: somebody waits for it."""
        with self._files:
            if (segment := self._open.get(signal)) is not None:
                segment.opened = -math.inf

    def roll_due(self, signal: Signal, busy_seconds: float, idle_seconds: float, busy_bytes: int) -> None:
        """Finish the open segment of `signal` once it is old enough for its size."""
        with self._files:
            segment = self._open.get(signal)
            if segment is None:
                return
            due_seconds = busy_seconds if segment.bytes >= busy_bytes else idle_seconds
            if time.monotonic() - segment.opened >= due_seconds:
                self._finish(signal)

    def finished(self, signal: Signal) -> list[Segment]:
        """The segments waiting for the writer, oldest first."""
        return [Segment(signal, path.stem, path) for path in sorted((self.folder / signal).glob("*.segment"))]

    def retire(self, segment: Segment) -> None:
        """Forget an inserted segment; its messages stay recognisable for a while."""
        size = segment.path.stat().st_size
        self._recent.settle(segment.id)
        segment.path.unlink()
        with self._files:
            self.waiting_bytes -= size

    def age_seconds(self, now: float | None = None) -> float:
        """Age of the oldest message that the engine does not have yet; 0 when it has all."""
        ids = [
            path.name[:20]
            for signal in Signal
            for suffix in ("open", "segment")
            for path in (self.folder / signal).glob(f"*.{suffix}")
        ]
        return max(0.0, (now or time.time()) - int(min(ids)) / 1e9) if ids else 0.0

    def close(self) -> None:
        """Write what is pending and stop; segments stay for the next start."""
        with self._lock:
            self._is_closing = True
            self._work.notify()
        self._committer.join()
        with self._files:
            for signal in list(self._open):
                self._finish(signal)

    def _require_room(self, size: int) -> None:
        if self.waiting_bytes + size > self.settings.max_bytes:
            raise SpoolFullError(f"the spool holds {self.waiting_bytes} bytes, its limit is {self.settings.max_bytes}")
        now = time.monotonic()
        if now - self._free_checked > 1:
            self._free_checked = now
            self.has_room = shutil.disk_usage(self.folder).free > self.settings.min_free_bytes
        if not self.has_room:
            least = size_text(self.settings.min_free_bytes)
            raise SpoolFullError(f"the disk of {self.folder} has no more than {least} free; free some")

    def _commit_forever(self) -> None:
        """Write whatever came in while the previous batch was being synced: group commit without a timer."""
        while True:
            with self._lock:
                while not self._pending and not self._is_closing:
                    self._work.wait()
                batch = list(self._pending)
                self._pending.clear()
            if not batch:
                return
            by_signal: dict[Signal, list[_Entry]] = {}
            for entry in batch:
                by_signal.setdefault(entry[0], []).append(entry)
            for signal, entries in by_signal.items():
                self._commit(signal, entries)

    def _commit(self, signal: Signal, entries: list[_Entry]) -> None:
        data = b"".join(part for _, message, _, _ in entries for part in (varint(len(message)), message))
        failure = None
        with self._files:
            try:
                segment = self._open.get(signal)
                if segment is None:
                    segment = self._open[signal] = OpenSegment(self.folder / signal)
                segment.append(data)
            except OSError as error:
                failure = error
            else:
                segment.digests += [digest for _, _, digest, _ in entries]
                self.waiting_bytes += len(data)
            self._finish_when_full_or_torn(signal)
        self._answer(entries, failure)

    def _finish_when_full_or_torn(self, signal: Signal) -> None:
        segment = self._open.get(signal)
        if segment is None or (segment.is_sound and segment.bytes < self.settings.segment_bytes):
            return
        try:
            self._finish(signal)
        except OSError:
            pass  # it stays open until the writer rolls it

    def _answer(self, entries: list[_Entry], error: OSError | None) -> None:
        with self._lock:
            for _, _, digest, _ in entries:
                del self._in_flight[digest]
                if error is None:
                    self._recent.add(digest)
            if error is not None:
                self.has_room = False
        for *_, future in entries:
            if error is None:
                future.set_result(True)
            else:
                future.set_exception(error)

    def _finish(self, signal: Signal) -> None:
        segment = self._open[signal]
        if segment.bytes:
            self._recent.assign(segment.id, segment.digests)
        path = segment.finish()
        del self._open[signal]
        if segment.bytes:
            self.waiting_bytes += path.stat().st_size - segment.bytes  # 0 unless its end is torn
        else:
            path.unlink()

    def _recover(self) -> None:
        for signal in Signal:
            (self.folder / signal).mkdir(parents=True, exist_ok=True)
            for path in (self.folder / signal).glob("*.part"):  # of a segment that was being bisected
                path.unlink()
            for path in (self.folder / signal).glob("*.open"):
                _cut_torn_tail(path)
                path.rename(path.with_suffix(".segment"))
            for segment in self.finished(signal):
                if not segment.path.stat().st_size:
                    segment.path.unlink()
                    continue
                digests = [digest_of(signal, message) for message in read_messages(segment.path)]
                for digest in digests:
                    self._recent.add(digest)
                self._recent.assign(segment.id, digests)
                self.waiting_bytes += segment.path.stat().st_size


def read_messages(path: Path) -> Iterator[bytes]:
    """The messages of a segment, in order. A torn last message is not yielded."""
    data = path.read_bytes()
    for start, end in _boundaries(data):
        yield data[start:end]


def torn_tail(path: Path) -> bytes:
    """What follows the last whole message of a segment; b'' when it is sound."""
    data = path.read_bytes()
    return data[_whole_bytes(data) :]


def write_messages(path: Path, messages: list[bytes]) -> None:
    """A segment file with these messages."""
    path.write_bytes(b"".join(varint(len(message)) + message for message in messages))


def _boundaries(data: bytes) -> Iterator[tuple[int, int]]:
    position = 0
    while position < len(data):
        length, shift = 0, 0
        while position < len(data):
            byte = data[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        else:
            return
        if position + length > len(data):
            return
        yield position, position + length
        position += length


def _cut_torn_tail(path: Path) -> None:
    """Drop a last message that a crash left half written; it was never acknowledged."""
    os.truncate(path, _whole_bytes(path.read_bytes()))


def _whole_bytes(data: bytes) -> int:
    return max((end for _, end in _boundaries(data)), default=0)


_ONE_BYTE = [bytes([number]) for number in range(0x80)]


def varint(number: int) -> bytes:
    """A number as protobuf writes lengths and field keys."""
    if number < 0x80:
        return _ONE_BYTE[number]
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
