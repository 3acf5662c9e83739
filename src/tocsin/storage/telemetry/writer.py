"""Moves finished segments from the spool into the engine, each once, and sets aside what the engine refuses."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from tocsin.model.settings import setting
from tocsin.storage.telemetry import counters
from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.engine import Engine, EngineError
from tocsin.storage.telemetry.spool import Segment, Spool, read_messages, torn_tail, write_messages

log = structlog.get_logger("tocsin.writer")


# Counts of calls may be a little older than requests: an insert fills seven rollups, so there are fewer of them.
CALLS_SECONDS = 5.0


@dataclass(frozen=True)
class WriterSettings:
    """When a segment is handed to the engine."""

    busy_seconds: float = setting(
        0.25,
        unit="seconds",
        help="Age at which a segment of at least busy_bytes is inserted, and any of logs while somebody follows these; "
        "the delay under load.",
    )
    idle_seconds: float = setting(
        1.0, unit="seconds", help="Age at which any segment is inserted; lower it to see a quiet product sooner."
    )
    busy_bytes: int = setting(262_144, unit="bytes", help="Size from which a segment counts as busy.")
    max_backoff_seconds: float = setting(
        30.0, unit="seconds", help="Longest pause between two tries while the engine is down."
    )


class Writer:
    """One thread that inserts segments in order. `on_commit(signal)` is called after each insert; what `is_awaited` is
    inserted first, and as early as under load."""

    def __init__(
        self,
        spool: Spool,
        engine: Engine,
        rejected: Path,
        settings: WriterSettings | None = None,
        on_commit: Callable[[Signal], None] = lambda signal: None,
        is_awaited: Callable[[Signal], bool] = lambda signal: False,
    ) -> None:
        self.settings = settings or WriterSettings()
        self.last_error = ""
        self._spool = spool
        self._engine = engine
        self._rejected = rejected
        self._on_commit = on_commit
        self._is_awaited = is_awaited
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tocsin-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop after the segment in hand; the rest waits in the spool for the next start."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def drain(self) -> None:
        """Insert all that is spooled now. Raises EngineError if the engine cannot take it at present."""
        for signal in Signal:
            self._spool.roll(signal)
            for segment in self._spool.finished(signal):
                self._insert(segment)

    def _run(self) -> None:
        failures = 0
        while not self._stop.wait(0.05 if not failures else self._backoff_seconds(failures)):
            try:
                self._step()
                failures, self.last_error = 0, ""
            except (EngineError, OSError) as error:
                failures += 1
                self.last_error = str(error)
                counters.writer_retries.inc()
                log.warning("writer.retry", failures=failures, error=str(error))

    def _step(self) -> None:
        failure: EngineError | OSError | None = None
        for signal in sorted(Signal, key=lambda signal: not self._is_awaited(signal)):
            try:
                self._step_through(signal)
            except (EngineError, OSError) as error:
                failure = error  # of one signal; the others may well go through
        if failure is not None:
            raise failure

    def _step_through(self, signal: Signal) -> None:
        busy, idle = self.settings.busy_seconds, self.settings.idle_seconds
        if signal is Signal.CALLS:
            idle = max(idle, CALLS_SECONDS)
        if self._is_awaited(signal):
            idle = min(idle, busy)
        self._spool.roll_due(signal, busy, idle, self.settings.busy_bytes)
        for segment in self._spool.finished(signal):
            if self._stop.is_set():
                return
            self._insert(segment)

    def _backoff_seconds(self, failures: int) -> float:
        return min(self.settings.max_backoff_seconds, 0.25 * 2.0 ** min(failures, 10))

    def _insert(self, segment: Segment) -> None:
        started = time.perf_counter()
        try:
            self._engine.insert_segment(segment.signal, segment.path, segment.id)
        except EngineError as error:
            if error.retryable or not self._is_engine_well():
                raise
            self._sort_out(segment, str(error))
        self._spool.retire(segment)
        counters.segments_inserted.labels(segment.signal).inc()
        counters.insert_seconds.labels(segment.signal).inc(time.perf_counter() - started)
        self._on_commit(segment.signal)

    def _is_engine_well(self) -> bool:
        """Whether the engine answers at all: only then is a refusal the segment's own fault."""
        try:
            self._engine.query("SELECT 1", {}, {}, 10)
        except EngineError:
            return False
        return True

    def _sort_out(self, segment: Segment, reason: str) -> None:
        """Insert what can be inserted of a refused segment and set the rest aside, unreadable bytes included."""
        messages = list(read_messages(segment.path))
        torn = torn_tail(segment.path)
        if torn:
            self._reject(segment.signal, torn, f"{segment.id}.torn", f"cut off or damaged on disk; {reason}")
            if messages:
                self._insert_part(segment, messages, f"{segment.id}.whole")
        else:
            self._bisect(segment, messages, segment.id, reason)

    def _bisect(self, segment: Segment, messages: list[bytes], token: str, reason: str) -> None:
        """Insert all messages but those that the engine refuses alone; these go to the rejected folder.

        Halves carry tokens derived from the segment's, so that a crash half-way repeats without doubling.
        """
        if len(messages) == 1:
            self._reject(segment.signal, messages[0], token, reason)
            return
        middle = len(messages) // 2
        self._insert_part(segment, messages[:middle], f"{token}.0")
        self._insert_part(segment, messages[middle:], f"{token}.1")

    def _insert_part(self, segment: Segment, messages: list[bytes], token: str) -> None:
        part = segment.path.with_suffix(".part")
        write_messages(part, messages)
        try:
            self._engine.insert_segment(segment.signal, part, token)
        except EngineError as error:
            if error.retryable or not self._is_engine_well():
                raise
            self._bisect(segment, messages, token, str(error))
        finally:
            part.unlink(missing_ok=True)

    def _reject(self, signal: Signal, message: bytes, token: str, reason: str) -> None:
        folder = self._rejected / signal
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{token}.bin").write_bytes(message)
        (folder / f"{token}.json").write_text(json.dumps({"signal": signal, "bytes": len(message), "reason": reason}))
        counters.rejected_messages.labels(signal).inc()
        log.error("writer.rejected", signal=signal.value, token=token, bytes=len(message), reason=reason)
