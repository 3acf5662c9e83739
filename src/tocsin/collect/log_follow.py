"""One log file that is followed: the next piece of it, as entries, and what became of the file meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tocsin.collect.log_content import Content, Identity, identity
from tocsin.collect.log_entry import Chain, Entry, Run
from tocsin.collect.log_frames import Framed, frame
from tocsin.collect.log_positions import Position
from tocsin.collect.tail_target import Target

BLOCK_SECONDS = 3.0
"""After that long without another line, an open block of lines is complete."""
DETACHED_SECONDS = 60.0
"""How long a file is followed that was renamed or removed, after the last line came: its writer may still have it."""


class EmptiedError(Exception):
    """What was read of the file is no longer in it."""


@dataclass(slots=True)
class Piece:
    """Some lines of a file on their way."""

    framed: Framed
    run: Run
    observed_ns: int
    known: Identity  # of the file with this piece

    @property
    def entries(self) -> list[Entry]:
        return self.framed.entries


@dataclass(slots=True)
class Followed:
    """A file with its place. `is_detached`: no pattern leads to it any more."""

    target: Target
    position: Position
    content: Content
    is_detached: bool = False
    grew: float = field(default_factory=time.monotonic)
    size: int = 0
    lines: int = 0
    rejected_lines: int = 0
    error: str = ""  # what keeps it from being read now
    note: str = ""  # what was left out of it

    def take(self, chunk_bytes: int, max_line_bytes: int, now_ns: int) -> Piece | None:
        """The next lines; None when there are none yet. Raises EmptiedError and OSError."""
        position = self.position
        if position.intended_end:
            data = self.content.read(position.offset, position.intended_end - position.offset)
            if len(data) < position.intended_end - position.offset:
                raise EmptiedError
            return self._framed(data, position.intended_ns, max_line_bytes, closes_block=True, takes_rest=True)
        size = self.content.size()
        if size != self.size:
            self.size, self.grew = size, time.monotonic()
            if position.offset and not position.known.is_of(self.content):
                raise EmptiedError
        if size <= position.offset:
            return None
        data = self._read(chunk_bytes)
        piece = self._framed(
            data, now_ns, max_line_bytes, closes_block=self.idle_seconds() >= BLOCK_SECONDS, takes_rest=self.is_over()
        )
        if not piece.framed.used and len(data) >= chunk_bytes:  # a block as long as all that is read at once
            piece = self._framed(data, now_ns, max_line_bytes, closes_block=True, takes_rest=False)
        if position.offset and not position.known.is_of(self.content):
            raise EmptiedError  # meanwhile
        return piece if piece.framed.used else None

    def _read(self, chunk_bytes: int) -> bytes:
        position = self.position
        data = self.content.read(position.offset, chunk_bytes)
        if data[:1] == b"\0" and (start := self.content.data_from(position.offset)) > position.offset:
            position.known = identity(self.content, start)
            data = self.content.read(start, chunk_bytes)
        return data

    def advance(self, piece: Piece) -> None:
        """The piece is on disk."""
        position = self.position
        position.known = piece.known
        position.is_skipping = piece.framed.is_skipping
        stated = [entry.time_ns for entry in piece.entries if entry.has_stated_time]
        position.last_ns = stated[-1] if stated else position.last_ns
        position.intended_end = position.intended_ns = 0
        self.lines += piece.framed.lines

    def intend(self, piece: Piece) -> None:
        """Note what is about to be handed on."""
        self.position.intended_end = piece.known.offset
        self.position.intended_ns = piece.observed_ns

    @property
    def lag_bytes(self) -> int:
        return max(0, self.size - self.position.offset)

    def idle_seconds(self) -> float:
        return time.monotonic() - self.grew

    def is_over(self) -> bool:
        """Whether nobody will write to it any more, as far as one can know."""
        return self.is_detached and self.idle_seconds() >= DETACHED_SECONDS

    def _framed(
        self, data: bytes, observed_ns: int, max_line_bytes: int, *, closes_block: bool, takes_rest: bool
    ) -> Piece:
        run = Run(now_ns=observed_ns, last_ns=self.position.last_ns)
        framed = frame(
            data,
            self.position.offset,
            self.target.labels,
            Chain(self.target.stages, run),
            max_line_bytes,
            is_skipping=self.position.is_skipping,
            closes_block=closes_block,
            takes_rest=takes_rest,
        )
        known = identity(self.content, self.position.offset + framed.used)
        return Piece(framed, run, observed_ns, known)
