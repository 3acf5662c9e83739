"""Reads log files as they are written and hands their lines to the same gate that senders use.

One thread. Each round takes a piece of every file that has grown, writes down which (`log_positions.py`), hands them
to the spool, and counts them as read once they are on disk there: a crash at any point neither loses nor doubles lines.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from tocsin.collect import tail_counters as counters
from tocsin.collect.log_finder import Finder
from tocsin.collect.log_follow import EmptiedError, Followed, Piece
from tocsin.collect.log_lines import batch_of
from tocsin.collect.log_positions import Position, Positions
from tocsin.collect.tail_config import TailConfig, load_tail_config, plain_target
from tocsin.collect.tail_settings import TailSettings
from tocsin.collect.tail_target import Target
from tocsin.ingest.gate import Admission, Refused

log = structlog.get_logger("tocsin.tail")

Submit = Callable[[Any], Admission]
"""Takes an OTLP request of logs. Raises Refused."""

CHUNK_BYTES = 1024 * 1024
ROUND_BYTES = 8 * 1024 * 1024
LONGEST_PAUSE_SECONDS = 10.0
MAX_FUTURE_NS = 600 * 10**9
"""Beyond that a line's own time is not believed."""


@dataclass(frozen=True, slots=True)
class FileState:
    """How a followed file is doing."""

    path: str
    job: str
    read_bytes: int
    lag_bytes: int
    lines: int
    rejected_lines: int
    idle_seconds: float
    error: str


@dataclass(slots=True)
class _Sent:
    followed: Followed
    piece: Piece
    admission: Admission


class Tailer:
    """All files of the settings. Does nothing when these name none."""

    def __init__(self, settings: TailSettings, folder: Path, submit: Submit) -> None:
        """`folder` is where positions are kept. Raises TailConfigError."""
        self.settings = settings
        self.config = TailConfig((), (), (), ())
        if settings.promtail_file:
            self.config = load_tail_config(Path(settings.promtail_file), Path(settings.docker_folder))
        self.problem = ""  # why nothing gets on at present
        self._own = [plain_target(pattern, settings.files_service) for pattern in settings.files]
        self._folder = folder
        self._submit = submit
        self._finder: Finder | None = None
        self._positions: Positions | None = None
        self._unsaved: dict[int, Position] = {}
        self._behind_since = 0.0
        self._has_news = False  # a file begins anew
        self._failures = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tocsin-tail", daemon=True)

    def start(self) -> None:
        if self.settings.is_on:
            for sentence in self.config.ignored:
                log.warning("tail.not_carried_out", what=sentence)
            self._thread.start()

    def close(self) -> None:
        """Stop after the round in hand."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._positions is not None:
            self._save()
            self._positions.close()
            for one in self.followed:
                one.content.close()
            self._positions = self._finder = None

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def read_all(self) -> None:
        """Look for files and read what is there, without the thread. Raises OSError and Refused."""
        self._opened().look()
        while self._round():
            pass

    @property
    def followed(self) -> list[Followed]:
        return list(self._finder.followed) if self._finder else []

    def states(self) -> list[FileState]:
        """The followed files, those with something wrong first."""
        if self._finder is None:
            return []
        states = [
            FileState(
                one.position.path, one.target.job, one.position.offset, one.lag_bytes, one.lines, one.rejected_lines,
                round(one.idle_seconds(), 1), one.error or one.note,
            )
            for one in self.followed
        ]  # fmt: skip
        known = {state.path for state in states}
        states += [
            FileState(path, "", 0, 0, 0, 0, 0.0, error)
            for path, error in list(self._finder.problems.items())
            if path not in known
        ]
        return sorted(states, key=lambda state: (not state.error, -state.lag_bytes, state.path))

    def targets(self) -> Iterator[Target]:
        """What is read; containers as they are now."""
        yield from self.config.targets
        for job in self.config.docker:
            yield from job.targets()
        yield from self._own

    def _run(self) -> None:
        looked = -1e9
        while not self._stop.is_set():
            try:
                if time.monotonic() - looked >= self.settings.look_seconds:
                    looked = time.monotonic()
                    self._opened().look()
                is_busy = self._round()
                self.problem, self._failures = "", 0
            except (OSError, Refused) as error:
                is_busy = False
                self._note_failure(error)
            if not is_busy:
                self._stop.wait(self._pause_seconds())

    def _opened(self) -> Finder:
        if self._finder is None:
            self._positions = Positions(self._folder / "positions.db")
            self._positions.forget()
            self._finder = Finder(lambda: list(self.targets()), self._positions)
        return self._finder

    def _pause_seconds(self) -> float:
        return min(LONGEST_PAUSE_SECONDS, self.settings.poll_seconds * 2.0 ** min(self._failures, 10))

    def _note_failure(self, error: OSError | Refused) -> None:
        self._failures += 1
        if self.problem != str(error):
            log.warning("tail.waiting", error=str(error))
        self.problem = str(error)
        counters.errors.labels("").inc()

    def _round(self) -> bool:
        """Take a piece of each file that has one, and see them to disk. False when there was none."""
        finder = self._opened()
        self._has_news = False
        pieces = list(self._pieces(finder))
        for one, piece in pieces:
            one.intend(piece)
            self._unsaved[one.position.id] = one.position
        self._save()
        sent: list[_Sent] = []
        failure: OSError | Refused | None = None
        for one, piece in pieces:
            try:
                sent.append(_Sent(one, piece, self._submit(self._request(one, piece))))
            except Refused as refused:
                failure = refused
                break
        for each in sent:
            try:
                each.admission.stored.result()
            except OSError as error:
                failure = error
                continue
            self._settle(each)
        self._measure(finder)
        if failure is not None:
            raise failure
        return bool(pieces) or self._has_news

    def _pieces(self, finder: Finder) -> Iterator[tuple[Followed, Piece]]:
        budget = ROUND_BYTES
        limit = self.settings.max_line_bytes
        chunk_bytes = max(CHUNK_BYTES, 2 * limit)
        for one in list(finder.followed):
            if budget <= 0:
                return
            try:
                piece = one.take(chunk_bytes, limit, time.time_ns())
                one.error = ""
            except EmptiedError:
                finder.emptied(one)
                self._has_news = True
                continue
            except OSError as error:
                one.error = str(error)
                counters.errors.labels(one.position.path).inc()
                continue
            if piece is not None:
                budget -= piece.framed.used
                yield one, piece
            elif one.is_over():
                finder.release(one)

    def _request(self, one: Followed, piece: Piece) -> Any:
        return batch_of(
            piece.entries,
            one.position.path,
            one.target.tenant,
            piece.run,
            zone=self.settings.zone(),
            max_future_ns=MAX_FUTURE_NS,
        ).request

    def _settle(self, sent: _Sent) -> None:
        one, piece, job = sent.followed, sent.piece, sent.followed.target.job
        one.advance(piece)
        self._unsaved[one.position.id] = one.position
        rejected = sent.admission.checked.rejected
        one.rejected_lines += rejected
        if rejected:
            one.note = sent.admission.checked.explanation
            counters.rejected.labels(job).inc(rejected)
        counters.lines.labels(job).inc(piece.framed.lines)
        counters.read_bytes.labels(job).inc(piece.framed.used)
        counters.cut.labels(job).inc(piece.framed.cut_lines)
        for reason, count in piece.run.dropped.items():
            counters.dropped.labels(job, reason).inc(count)
        counters.faults.labels(job).inc(sum(piece.run.faults.values()))

    def _measure(self, finder: Finder) -> None:
        behind = sum(one.lag_bytes for one in finder.followed)
        now = time.monotonic()
        self._behind_since = (self._behind_since or now) if behind else 0.0
        counters.files.set(len(finder.followed))
        counters.lag_bytes.set(behind)
        counters.lag_seconds.set(now - self._behind_since if behind else 0.0)

    def _save(self) -> None:
        if self._positions is not None and self._unsaved:
            self._positions.save(self._unsaved.values())
            self._unsaved.clear()
