"""Decides about one ingest request: who sends it, may it come in, is it sound; then hands it to the spool."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

from tocsin.ingest import counters
from tocsin.ingest.known_series import KnownSeries, SeriesSettings
from tocsin.ingest.otlp_series import counted_signals, read_otlp
from tocsin.ingest.sample_batch import Collected, TimeBounds
from tocsin.ingest.validate import Bounds, Checked, check
from tocsin.model.settings import setting
from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.promises import joined
from tocsin.storage.telemetry.spool import Spool, SpoolFullError

DAY_NS = 86_400 * 10**9
# Bodies beyond this are decompressed and parsed in a thread, so that the event loop stays free for others.
LARGE_BODY_BYTES = 512 * 1024


@dataclass(frozen=True)
class IngestSettings:
    """What senders may do."""

    require_key: bool = setting(
        False,
        help="Refuse telemetry without an ingest key. Always on when the server listens beyond this machine.",
        env=("TOCSIN_REQUIRE_INGEST_KEY",),
    )
    max_body_bytes: int = setting(16 * 1024**2, unit="bytes", help="Largest request body as sent.")
    max_message_bytes: int = setting(64 * 1024**2, unit="bytes", help="Largest request body once decompressed.")
    max_json_bytes: int = setting(
        16 * 1024**2,
        unit="bytes",
        help="Largest OTLP/JSON body once decompressed; reading it takes some twenty times as much memory.",
    )
    max_body_seconds: float = setting(
        60.0, unit="seconds", help="Time a request body may take to arrive; raise it for senders on slow links."
    )
    max_in_flight_bytes: int = setting(
        256 * 1024**2, unit="bytes", help="Bodies worked on at one time before senders are told to retry."
    )
    max_attributes: int = setting(1024, help="Attributes of one span, event, log record, data point or resource.")
    max_events: int = setting(1024, help="Events, or links, of one span.")
    max_age_days: int = setting(
        31, help="Oldest telemetry taken in, in days; raise it with the retention to import older data."
    )
    max_future_seconds: int = setting(3600, unit="seconds", help="How far ahead a sender's clock may be.")
    items_per_second: int = setting(
        0, help="Spans, points and records a second that one key may send; 0 sets no limit. A key may have its own."
    )


class Key(Protocol):
    """What the gate needs to know of an ingest key."""

    @property
    def id(self) -> str: ...
    @property
    def spans_per_second(self) -> int | None: ...


KeyLookup = Callable[[str], "Key | None"]
ReadSamples = Callable[[KnownSeries, Any, str, TimeBounds], Collected]
"""Reads a body's samples into a batch, for a key id and within bounds of time."""


class Refused(Exception):
    """The request is not taken. `status` is the HTTP status; `retry_seconds` is None when retrying is no use."""

    def __init__(self, status: HTTPStatus, message: str, retry_seconds: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_seconds = retry_seconds


class Admission(NamedTuple):
    """A request on its way to disk: acknowledge once `stored` is done."""

    stored: Future[bool]
    checked: Checked


URGENT_SEVERITY = 17
"""OTLP's first number of ERROR: events from here on raise alerts, so they are not left waiting for company."""


def has_urgent_event(request: Any) -> bool:
    """Whether an OTLP request of logs has an event that is an error."""
    return any(
        record.severity_number >= URGENT_SEVERITY and record.event_name != ""
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    )


class Gate:
    """Every protocol's way into the spool."""

    def __init__(
        self,
        spool: Spool,
        find_key: KeyLookup,
        settings: IngestSettings | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        series: SeriesSettings | None = None,
    ) -> None:
        self.settings = settings or IngestSettings()
        self.known_series = KnownSeries(series)
        self._spool = spool
        self._find_key = find_key
        self._clock_ns = clock_ns
        self._allowances: dict[str, _Allowance] = {}
        self._in_flight = 0

    def authenticate(self, secret: str) -> Key | None:
        """The key behind `secret`; None when none was sent and none is needed. Raises Refused (401)."""
        if not secret:
            if self.settings.require_key:
                raise Refused(
                    HTTPStatus.UNAUTHORIZED,
                    "cannot accept telemetry without an ingest key; create one under Settings, Ingest keys and send it "
                    "as 'Authorization: Bearer <key>'",
                )
            return None
        key = self._find_key(secret)
        if key is None:
            raise Refused(
                HTTPStatus.UNAUTHORIZED,
                "cannot accept this ingest key: it is unknown or revoked; create one under Settings, Ingest keys",
            )
        return key

    def reserve(self, size: int) -> None:
        """Account for a body that is about to be worked on; pair with `release`. Raises Refused (503)."""
        if self._in_flight + size > self.settings.max_in_flight_bytes:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "cannot accept the request: too many are in flight", 1)
        self._in_flight += size
        counters.in_flight_bytes.set(self._in_flight)

    def release(self, size: int) -> None:
        self._in_flight -= size
        counters.in_flight_bytes.set(self._in_flight)

    def admit(self, signal: Signal, body: bytes | None, request: Any, key: Key | None) -> Admission:
        """Check a parsed request and append it to the spool. `body` is its protobuf encoding, if it came so.

        Raises Refused: 429 beyond the key's rate, 503 when the spool is full.
        """
        checked = check(signal, body, request, self._bounds())
        self._require_allowance(key, checked.items)
        if signal is Signal.METRICS:
            stored, checked = self._admit_metrics(checked, key)
        else:
            stored = self._append({signal: checked.message} if checked.items else {})
            if signal is Signal.LOGS and has_urgent_event(request):
                stored.add_done_callback(lambda _: self._spool.hasten(Signal.LOGS))
        counters.items.labels(signal).inc(checked.items)
        counters.rejected_items.labels(signal).inc(checked.rejected)
        return Admission(stored, checked)

    def _admit_metrics(self, checked: Checked, key: Key | None) -> tuple[Future[bool], Checked]:
        """OTLP metrics: series for all but our SDK's counts of requests and calls, which go on as they came."""
        beside = dict.fromkeys(counted_signals(checked.message), checked.message)
        stored, collected = self.admit_samples(read_otlp, checked.message, key, beside, needs_allowance=False)
        explanation = "; ".join(part for part in (checked.explanation, collected.explanation) if part)
        left_out = collected.rejected
        return stored, Checked(checked.message, checked.items - left_out, checked.rejected + left_out, explanation)

    def admit_samples(
        self,
        read: ReadSamples,
        body: Any,
        key: Key | None,
        beside: dict[Signal, bytes] | None = None,
        *,
        needs_allowance: bool = True,
    ) -> tuple[Future[bool], Collected]:
        """Read the samples in `body` and append them to the spool, with the messages `beside`.

        What cannot be stored is left out and told in `Collected`. Raises Refused as `admit` does, and what `read`
        raises.
        """
        key_id, known = key.id if key else "", self.known_series
        now_ms = self._clock_ns() // 10**6
        bounds = TimeBounds(
            oldest_ms=now_ms - self.settings.max_age_days * DAY_NS // 10**6,
            newest_ms=now_ms + self.settings.max_future_seconds * 1000,
        )
        with known.lock:
            known.sweep(now_ms)
            collected = read(known, body, key_id, bounds)
        try:
            if needs_allowance:
                self._require_allowance(key, collected.samples + collected.histograms)
            stored = self._append(collected.messages | (beside or {}))
        except Refused:
            known.withdraw(collected.announced)
            raise
        stored.add_done_callback(lambda done: known.withdraw(collected.announced) if done.exception() else None)
        counters.count(collected, len(known))
        return stored, collected

    def _append(self, messages: dict[Signal, bytes]) -> Future[bool]:
        """Done when all are on disk; False if all were stored before. Raises Refused when the spool is full."""
        try:
            return joined([self._spool.append(signal, message) for signal, message in messages.items()])
        except SpoolFullError as error:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, f"cannot accept telemetry for now: {error}; retry later", 5
            ) from error

    def _bounds(self) -> Bounds:
        now = self._clock_ns()
        return Bounds(
            oldest_ns=now - self.settings.max_age_days * DAY_NS,
            newest_ns=now + self.settings.max_future_seconds * 10**9,
            max_attributes=self.settings.max_attributes,
            max_events=self.settings.max_events,
        )

    def _require_allowance(self, key: Key | None, items: int) -> None:
        per_second = (key.spans_per_second if key else None) or self.settings.items_per_second
        if not per_second:
            return
        name = key.id if key else ""
        allowance = self._allowances.get(name)
        if allowance is None or allowance.per_second != per_second:
            allowance = self._allowances[name] = _Allowance(per_second, self._clock_ns())
        wait_seconds = allowance.take(items, self._clock_ns())
        if wait_seconds:
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"cannot accept {items} items: this ingest key may send {per_second} a second; lower the sampling "
                f"ratio or raise the key's limit",
                wait_seconds,
            )


class _Allowance:
    """A token bucket that holds two seconds' worth and may go into debt by one request."""

    def __init__(self, per_second: int, now_ns: int) -> None:
        self.per_second = per_second
        self._left = 2.0 * per_second
        self._seen_ns = now_ns

    def take(self, items: int, now_ns: int) -> int:
        """0 if the items may pass, else whole seconds to wait."""
        refill = max(0, now_ns - self._seen_ns) / 1e9 * self.per_second
        self._left = min(2.0 * self.per_second, self._left + refill)
        self._seen_ns = now_ns
        if self._left <= 0:
            return int(-self._left / self.per_second) + 1
        self._left -= items
        return 0


def too_large(detail: str) -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"cannot accept the body: {detail}; send smaller batches "
        "(OTEL_BSP_MAX_EXPORT_BATCH_SIZE; Prometheus: max_samples_per_send)",
    )
