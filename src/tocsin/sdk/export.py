"""Ships what was recorded from a background thread, and never makes the app wait.

Spans wait in a bounded queue until the next small batch, encoded batches in a bounded one until the server takes
them. Every loss has a reason and a counter.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tocsin.sdk.decode import rejected_items
from tocsin.sdk.encode_spans import Queued
from tocsin.sdk.guard import guarded
from tocsin.sdk.logs.line import LogLine
from tocsin.sdk.logs.recorder import exporting
from tocsin.sdk.propagation import chance
from tocsin.sdk.records import ERROR, Record
from tocsin.sdk.settings import Settings
from tocsin.sdk.transport import HttpTransport, Response, Transport, compressor

log = logging.getLogger("tocsin")

# A batch this large leaves at once: encoding more in one go, up to 3 µs each, would hold the GIL too long.
BATCH_SPANS = 512
_IDLE_SECONDS = 1.0
_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS = 0.5, 30.0
_LONGEST_RETRY_AFTER_SECONDS = 300.0
_OPEN_AFTER_FAILURES = 3
# Metrics wait this deep while the server is away (one a second); then they go on adding up in the RED table.
_METRICS_WAITING = 120
# Records that wait for the next batch.
_RECORDS = 4096
# Lines that wait before the thread is woken for them, and how many are encoded before the app is let through again.
_MANY_LINES, _LINES_PORTION = 2048, 128

# While somebody captures spans in a test, every exporter of the process keeps what it has.
_captures: list[object] = []


@contextmanager
def exports_paused() -> Iterator[None]:
    """Lets nothing out inside the block: what is recorded stays in the queues."""
    mark = object()
    _captures.append(mark)
    try:
        yield
    finally:
        _captures.remove(mark)


class Payload(NamedTuple):
    """One encoded request: sent, and if need be resent, byte for byte; the server knows a repeat by its content."""

    signal: str
    body: bytes
    items: int


class Breaker:
    """When to try again. Closed: at once. After a failure: later and later. Open: after three in a row."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.failures = 0
        self.not_before = 0.0
        self.cause = ""

    @property
    def state(self) -> str:
        if not self.failures:
            return "ok"
        return "open" if self.failures >= _OPEN_AFTER_FAILURES else "retrying"

    def allows(self) -> bool:
        return not self.failures or self._clock() >= self.not_before

    def succeed(self) -> None:
        self.failures, self.cause = 0, ""

    def fail(self, cause: str, retry_after_seconds: float | None) -> None:
        """Waits at least as long as the server asks, else exponentially longer with jitter."""
        self.failures += 1
        self.cause = cause
        delay = min(_LONGEST_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2 ** min(self.failures - 1, 10))
        delay *= 0.5 + chance() / 2
        if retry_after_seconds is not None:
            delay = max(delay, min(retry_after_seconds, _LONGEST_RETRY_AFTER_SECONDS))
        self.not_before = self._clock() + delay


class Exporter:
    """The queues and the thread. encode_spans and encode_metrics are called in the thread only.

    digest() turns ended requests into numbers and queued spans;
    encode_spans(spans) -> body; encode_records(records) -> body; encode_lines(lines) -> body;
    encode_metrics() -> (body, points), or None when there is nothing to say.
    beat() is called every `metrics_seconds`, also while the server is away.
    """

    def __init__(
        self,
        settings: Settings,
        digest: Callable[[], None],
        encode_spans: Callable[[list[Queued]], bytes],
        encode_metrics: Callable[[], tuple[bytes, int] | None],
        encode_records: Callable[[list[Record]], bytes],
        encode_lines: Callable[[list[LogLine]], bytes],
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._digest = digest
        self._encode_spans = encode_spans
        self._encode_metrics = encode_metrics
        self._encode_records = encode_records
        self._encode_lines = encode_lines
        self._beat = beat
        self._compress = compressor(settings.compression, settings.endpoint)
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.exported: Counter[str] = Counter()
        self._atfork()

    def _atfork(self) -> None:
        """A fresh start with nothing queued; the parent's queue is the parent's to send."""
        self.queue: deque[Queued] = deque()
        self.records: deque[Record] = deque()
        # Apart from events, which no flood of lines is to keep out.
        self.lines: deque[LogLine] = deque()
        self._limit = self._settings.queue_spans
        self._payloads: deque[Payload] = deque()
        self._payload_bytes = 0
        self.breaker = Breaker()
        self._transport: Transport | None = None
        self._thread: threading.Thread | None = None
        self._start_lock = threading.Lock()
        self._work_lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self.is_idle = True
        self._next_metrics = self._next_batch = 0.0
        self.dropped.clear()
        self.exported.clear()
        # A thread of this process may get the number of one that was exporting in the parent.
        exporting.clear()

    after_fork = _atfork

    # -- called by requests

    def put(self, span: Queued) -> None:
        """Takes one span, or counts it when the queue is full."""
        if len(self.queue) >= self._limit:
            self.dropped["traces", "queue_full"] += 1
            return
        self.queue.append(span)

    def put_all(self, spans: list[Queued]) -> None:
        """Takes as many as there is room for, and counts the rest."""
        room = self._limit - len(self.queue)
        if len(spans) > room:
            self.dropped["traces", "queue_full"] += len(spans) - max(room, 0)
            del spans[max(room, 0) :]
        self.queue.extend(spans)
        if len(self.queue) >= BATCH_SPANS:
            self._wake.set()

    def put_record(self, record: Record) -> None:
        """Takes one log record, or counts it when the queue is full. An error is sent at once, others with the next
        batch."""
        if len(self.records) >= _RECORDS:
            self.dropped["logs", "queue_full"] += 1
            return
        self.records.append(record)
        if record.severity >= ERROR:
            self._next_batch = 0.0
            self.wake()
        elif self.is_idle:
            self.wake()

    def put_line(self, line: LogLine) -> None:
        """Takes one line of the log, or counts it when the queue is full. Many at once do not wait for their turn."""
        lines = self.lines
        waiting = len(lines)
        if waiting >= self._settings.queue_logs:
            self.dropped["logs", "queue_full"] += 1
            return
        lines.append(line)
        if self.is_idle or waiting == _MANY_LINES:
            self.wake()

    def wake(self) -> None:
        """Starts the thread at the first request of this process, and ends an idle wait."""
        self.is_idle = False
        if self._thread is None:
            self._start()
        else:
            self._wake.set()

    # -- called by whoever wants the data to be out

    def flush(self, timeout_seconds: float) -> bool:
        """Sends what is queued; True when nothing is left. Gives up at the timeout or the first failure."""
        deadline = time.monotonic() + timeout_seconds
        if not self._work_lock.acquire(timeout=max(0.0, timeout_seconds)):
            return False
        try:
            if _captures:
                return False
            self._collect(metrics_due=True, batch_due=True)
            while self._payloads:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self._send_first(remaining):
                    return False
            return True
        finally:
            self._work_lock.release()

    def hand_over(self, timeout_seconds: float) -> list[Payload]:
        """Everything that is not sent yet, for another process to send; nothing when the lock is not had in time."""
        if _captures or not self._work_lock.acquire(timeout=max(0.0, timeout_seconds)):
            return []
        try:
            self._collect(metrics_due=True, batch_due=True)
            payloads = list(self._payloads)
            self._payloads.clear()
            self._payload_bytes = 0
            return payloads
        finally:
            self._work_lock.release()

    def take_over(self, payloads: Iterable[Payload]) -> None:
        """Sends what another process has handed over, as far as there is room for it."""
        with self._work_lock:
            for payload in payloads:
                if self._payload_bytes < self._settings.queue_bytes:
                    self._add(payload)
                else:
                    self.dropped[payload.signal, "queue_full"] += payload.items

    def stop(self, timeout_seconds: float) -> None:
        """Flushes and ends the thread; a later request starts it again."""
        self._stopping = True
        self._wake.set()
        self.flush(timeout_seconds)
        if isinstance(self._transport, HttpTransport) and self._work_lock.acquire(timeout=0.1):
            self._transport.close()
            self._work_lock.release()
        self._thread, self._stopping, self.is_idle = None, False, True

    @property
    def queue_length(self) -> int:
        return len(self.queue)

    @property
    def state(self) -> str:
        return self.breaker.state

    # -- the thread

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is None:
                self._wake.clear()
                self._thread = threading.Thread(target=self._run, name="tocsin-export", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        own = threading.current_thread()
        quiet_since = time.monotonic()
        while self._thread is own and not self._stopping:
            if self.queue or self.records or self.lines or self._payloads:
                quiet_since = time.monotonic()
            is_quiet = time.monotonic() - quiet_since > 2 * self._settings.metrics_seconds
            self.is_idle = is_quiet
            self._wake.wait(_IDLE_SECONDS if is_quiet else self._settings.batch_seconds)
            if self._wake.is_set():
                self._wake.clear()
                quiet_since = time.monotonic()
            self._step()

    @guarded(None)
    def _step(self) -> None:
        with self._work_lock:
            if _captures:
                return
            now = time.monotonic()
            metrics_due = now >= self._next_metrics
            if metrics_due:
                self._next_metrics = now + self._settings.metrics_seconds
            batch_due = now >= self._next_batch or metrics_due
            if batch_due:
                self._next_batch = now + self._settings.batch_seconds
            self._collect(metrics_due, batch_due)
            if metrics_due:
                self._beat()
            while self._payloads and self.breaker.allows() and not self._stopping:
                if not self._send_first(self._settings.timeout_seconds):
                    break

    def _collect(self, metrics_due: bool, batch_due: bool) -> None:
        """Digests what has ended, and makes payloads of what is queued: when that is due or enough for a batch, and as
        far as there is room."""
        least = 1 if batch_due else BATCH_SPANS
        self._digest()
        while len(self.queue) >= least and self._payload_bytes < self._settings.queue_bytes:
            time.sleep(0)  # gives the GIL away: the app goes first
            self._collect_batch()
        while len(self.records) >= least and self._payload_bytes < self._settings.queue_bytes:
            records = [self.records.popleft() for _ in range(min(len(self.records), BATCH_SPANS))]
            self._add(Payload("logs", self._compress(self._encode_records(records)), len(records)))
        self._collect_lines(least)
        waiting = sum(payload.signal == "metrics" for payload in self._payloads) if metrics_due else 0
        if metrics_due and waiting < _METRICS_WAITING and self._payload_bytes < self._settings.queue_bytes:
            encoded = self._encode_metrics()
            if encoded is not None:
                self._add(Payload("metrics", self._compress(encoded[0]), encoded[1]))

    def _collect_lines(self, least: int) -> None:
        lines = self.lines
        while len(lines) >= least and self._payload_bytes < self._settings.queue_bytes:
            time.sleep(0)
            batch = [lines.popleft() for _ in range(min(len(lines), _LINES_PORTION))]
            self._add(Payload("logs", self._compress(self._encode_lines(batch)), len(batch)))

    def _collect_batch(self) -> None:
        queue = self.queue
        batch = [queue.popleft() for _ in range(min(len(queue), BATCH_SPANS))]
        self._add(Payload("traces", self._compress(self._encode_spans(batch)), len(batch)))

    def _add(self, payload: Payload) -> None:
        self._payloads.append(payload)
        self._payload_bytes += len(payload.body)

    def _send_first(self, timeout_seconds: float) -> bool:
        """Sends the oldest payload; False when it has to wait."""
        payload = self._payloads[0]
        # What is logged below by whatever carries it is about sending, and would be sent for ever.
        exporting.add(threading.get_ident())
        try:
            response = self._open_transport(timeout_seconds)(payload.signal, payload.body)
        finally:
            exporting.discard(threading.get_ident())
        if response.is_retryable:
            self._note_failure(response)
            return False
        self._payloads.popleft()
        self._payload_bytes -= len(payload.body)
        if response.is_ok:
            self._note_success(payload, response)
        else:
            self._note_refusal(payload, response)
        return True

    def _open_transport(self, timeout_seconds: float) -> Transport:
        settings = self._settings
        if settings.transport is not None:
            return settings.transport
        if self._transport is None:
            self._transport = HttpTransport(settings.endpoint, settings.ingest_key, settings.timeout_seconds)
        if isinstance(self._transport, HttpTransport):
            self._transport.timeout_seconds = max(0.1, min(timeout_seconds, settings.timeout_seconds))
        return self._transport

    def _note_success(self, payload: Payload, response: Response) -> None:
        if self.breaker.failures >= _OPEN_AFTER_FAILURES:
            log.warning("export to %s works again", self._settings.endpoint)
        self.breaker.succeed()
        rejected = min(rejected_items(response.body), payload.items) if response.body else 0
        self.exported[payload.signal] += payload.items - rejected
        if rejected:
            self.dropped[payload.signal, "rejected"] += rejected

    def _note_refusal(self, payload: Payload, response: Response) -> None:
        """The server will never take these bytes: they are dropped and counted, and the next wait a little."""
        self.dropped[payload.signal, f"http_{response.status}"] += payload.items
        if response.status in (401, 403):
            self._note_failure(response)
        elif self.dropped[payload.signal, f"http_{response.status}"] == payload.items:
            log.warning("cannot export %s to %s: HTTP %d", payload.signal, self._settings.endpoint, response.status)

    def _note_failure(self, response: Response) -> None:
        cause = response.cause or f"HTTP {response.status}"
        self.breaker.fail(cause, response.retry_after_seconds)
        if self.breaker.failures == _OPEN_AFTER_FAILURES:
            log.warning(
                "cannot export to %s: %s; the app is unaffected, up to %d bytes wait, see docs/sdk.md#safety",
                self._settings.endpoint,
                cause,
                self._settings.queue_bytes,
            )
