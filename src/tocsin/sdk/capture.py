"""Spans and numbers caught in memory instead of being sent, for the tests of a product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tocsin.sdk import agents
from tocsin.sdk.agent import Agent, agent_for
from tocsin.sdk.critical_routes import OUTCOMES
from tocsin.sdk.decode import MessageReader
from tocsin.sdk.encode_spans import Queued, SpanEncoder
from tocsin.sdk.export import exports_paused
from tocsin.sdk.logs.line import LineEncoder, LogLine
from tocsin.sdk.records import Record, RecordEncoder
from tocsin.sdk.red import RedKey
from tocsin.sdk.settings import Settings
from tocsin.sdk.spans import ERROR, OK
from tocsin.sdk.sums import SumKey

_KINDS = ("", "internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True)
class CapturedEvent:
    """One event of a captured span."""

    name: str
    attributes: dict[str, Any]
    time_ns: int


@dataclass(frozen=True)
class CapturedSpan:
    """One span as it would have been sent. Ids are hexadecimal; parent_id is '' for the first span of a trace."""

    name: str
    kind: str
    attributes: dict[str, Any]
    events: list[CapturedEvent]
    status: str
    status_text: str
    trace_id: str
    span_id: str
    parent_id: str
    parent: str | None
    tenant: str | None
    start_ns: int
    end_ns: int
    scope: str

    @property
    def duration_seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True)
class CapturedRequests:
    """The requests counted under one key."""

    method: str
    route: str
    status: int
    tenant: str | None
    error_type: str | None
    count: int
    seconds: float
    request_bytes: int
    response_bytes: int
    background_seconds: float
    buckets: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CapturedRecord:
    """One event, such as `tocsin.isolation.crossing`. Ids are hexadecimal."""

    event: str
    body: str
    severity: int
    attributes: dict[str, Any]
    tenant: str | None
    trace_id: str
    time_ns: int


@dataclass(frozen=True)
class CapturedLog:
    """One line of the app's log. level: its name where it was logged. Ids are hexadecimal, '' outside of any trace."""

    logger: str
    level: str
    severity: int
    body: str
    attributes: dict[str, Any]
    tenant: str | None
    trace_id: str
    span_id: str
    time_ns: int


@dataclass(frozen=True)
class CapturedOperation:
    """The runs of a critical operation that ended in the same way. outcome: success, failure or rejected."""

    operation: str
    outcome: str
    reason: str | None
    tenant: str | None
    count: int


class Capture:
    """What was recorded since `capture_spans()` began."""

    def __init__(self) -> None:
        self._spans: list[CapturedSpan] = []
        self._rows: dict[tuple[str, str, int, str, str], CapturedRequests] = {}
        self._records: list[CapturedRecord] = []
        self._logs: list[CapturedLog] = []
        self._counts: Counter[SumKey] = Counter()

    @property
    def spans(self) -> list[CapturedSpan]:
        """Every kept span, in the order of their start."""
        self._drain()
        names = {span.span_id: span.name for span in self._spans}
        named = (replace(span, parent=names.get(span.parent_id)) for span in self._spans)
        return sorted(named, key=lambda span: span.start_ns)

    @property
    def requests(self) -> list[CapturedRequests]:
        """Rate, errors and duration by method, route, status, tenant and error."""
        for agent in agents.all_agents():
            for key, row in agent.collect_red().rows.items():
                self._rows[key] = _captured_row(RedKey(*key), row, self._rows.get(key))
        return list(self._rows.values())

    @property
    def records(self) -> list[CapturedRecord]:
        """Every event, as it came."""
        self._drain()
        return list(self._records)

    @property
    def logs(self) -> list[CapturedLog]:
        """Every line that the app has logged, as it would have been sent."""
        self._drain()
        return list(self._logs)

    @property
    def operations(self) -> list[CapturedOperation]:
        """Critical operations, whether declared in the code or known by their route."""
        for agent in agents.all_agents():
            agent.collect_red()
            for key, number in agent.collect_increase().sums.numbers.items():
                self._counts[key] += int(number)
        found = []
        for key, number in self._counts.items():
            labels = dict(key.labels)
            if key.name == OUTCOMES:
                how = labels["operation"], labels["outcome"], labels.get("reason")
                found.append(CapturedOperation(*how, key.tenant or None, number))
        return found

    def find(self, name: str) -> CapturedSpan:
        """The one span of this name. Raises LookupError, naming what is there, when there is none or several."""
        found = [span for span in self.spans if span.name == name]
        if len(found) != 1:
            names = sorted(span.name for span in self.spans)
            raise LookupError(f"cannot find one span {name!r}: {len(found)} of {names}")
        return found[0]

    def clear(self) -> None:
        """Forgets what was captured so far."""
        self._drain()
        for agent in agents.all_agents():
            agent.collect_red()
            agent.collect_increase()
        self._counts.clear()
        self._spans.clear()
        self._records.clear()
        self._logs.clear()
        self._rows.clear()

    def _drain(self) -> None:
        """Takes what waits to be sent; whoever asks for spans, records or logs does so, too."""
        for agent in agents.all_agents():
            agent.digest()
            while agent.exporter.queue:
                self._spans.append(_captured(agent.exporter.queue.popleft()))
            while agent.exporter.records:
                self._records.append(_captured_record(agent.exporter.records.popleft()))
            while agent.exporter.lines:
                self._logs.append(_captured_log(agent, agent.exporter.lines.popleft()))


@contextmanager
def capture_spans() -> Iterator[Capture]:
    """Catches what instrumented apps and `tocsin.span` record inside the block; nothing is sent.

    Nothing needs to be waited for: a span is there as soon as it has ended, a request's as soon as the app has
    returned. Without an instrumented app it catches the spans of `tocsin.span` with the settings of the environment.
    """
    if agents.current_agent() is None:
        agent_for(Settings.load())
    with exports_paused():
        capture = Capture()
        capture.clear()
        try:
            yield capture
        finally:
            capture._drain()  # before exports go on: most tests look after the block


def _captured(span: Queued) -> CapturedSpan:
    """What would have been sent, read back from the very bytes."""
    if isinstance(span, bytes):
        return _read_back(span, "tocsin")
    encoder = SpanEncoder(
        b"", "", span.agent.settings.redact, span.agent.routes.name_of, span.agent.redactor,
        span.agent.settings.attribute_characters,
    )  # fmt: skip
    encoder.set_clock()
    return _read_back(encoder.encode_span(span), span.library[0] if span.library else "tocsin")


def _read_back(encoded: bytes, scope: str) -> CapturedSpan:
    seen = MessageReader(encoded)
    status = MessageReader(b"".join(seen.all(15)))
    attributes = seen.attributes(9)
    return CapturedSpan(
        name=seen.text(5),
        kind=_KINDS[seen.number(6)],
        attributes=attributes,
        events=[
            CapturedEvent(event.text(2), event.attributes(3), event.number(1))
            for event in map(MessageReader, seen.all(11))
        ],
        status={ERROR: "error", OK: "ok"}.get(status.number(3), "unset"),
        status_text=status.text(2),
        trace_id=seen.hex(1),
        span_id=seen.hex(2),
        parent_id=seen.hex(4),
        parent=None,
        tenant=attributes.get("tocsin.tenant"),
        start_ns=seen.number(7),
        end_ns=seen.number(8),
        scope=scope,
    )


def _captured_record(record: Record) -> CapturedRecord:
    seen = MessageReader(RecordEncoder(b"", "").encode_record(record, record.time_ns))
    attributes = seen.attributes(6)
    return CapturedRecord(
        event=seen.text(12),
        body=record.body,
        severity=seen.number(2),
        attributes=attributes,
        tenant=attributes.pop("tocsin.tenant", None),
        trace_id=seen.hex(9),
        time_ns=seen.number(1),
    )


def _captured_log(agent: Agent, line: LogLine) -> CapturedLog:
    settings = agent.settings
    encoder = LineEncoder(b"", agent.redactor, settings.attributes_per_span, settings.attribute_characters)
    seen = MessageReader(encoder.encode_line(line, line.time_ns))
    attributes = seen.attributes(6)
    return CapturedLog(
        logger=line.logger,
        level=seen.text(3),
        severity=seen.number(2),
        body=MessageReader(b"".join(seen.all(5))).text(1),
        attributes=attributes,
        tenant=attributes.pop("tocsin.tenant", None),
        trace_id=seen.hex(9),
        span_id=seen.hex(10),
        time_ns=seen.number(1),
    )


def _captured_row(key: RedKey, row: Any, seen: CapturedRequests | None) -> CapturedRequests:
    buckets = dict(seen.buckets) if seen else {}
    for index, count in row.buckets.items():
        buckets[index] = buckets.get(index, 0) + count
    return CapturedRequests(
        key.method,
        key.route,
        key.status,
        key.tenant or None,
        key.error_type or None,
        row.count + (seen.count if seen else 0),
        row.seconds + (seen.seconds if seen else 0.0),
        row.request_bytes + (seen.request_bytes if seen else 0),
        row.response_bytes + (seen.response_bytes if seen else 0),
        row.background_seconds + (seen.background_seconds if seen else 0.0),
        buckets,
    )
