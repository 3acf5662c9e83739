"""Everything the SDK keeps in one process: counters, sampler, tracer provider and exporter, wired together."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from opentelemetry import trace

from tocsin.sdk import coexist, guard, instrument
from tocsin.sdk.agents import by_settings
from tocsin.sdk.allocations import next_kind_of
from tocsin.sdk.call_digest import CallCollection, CallDigest
from tocsin.sdk.catalogue import Catalogue
from tocsin.sdk.critical_routes import CriticalRoutes
from tocsin.sdk.digest import Digest
from tocsin.sdk.encode import resource
from tocsin.sdk.encode_metrics import MetricEncoder
from tocsin.sdk.encode_spans import Queued, SpanEncoder
from tocsin.sdk.exchange import Exchange
from tocsin.sdk.export import Exporter
from tocsin.sdk.exposition import Family
from tocsin.sdk.flag_requests import FlagRequests
from tocsin.sdk.increases import Increase, Increases
from tocsin.sdk.isolation_findings import findings
from tocsin.sdk.jobs import JobSpan
from tocsin.sdk.logs.levels import level_of
from tocsin.sdk.logs.limiter import Limiter
from tocsin.sdk.logs.line import LineEncoder, LogLine
from tocsin.sdk.logs.recorder import tell_left_out
from tocsin.sdk.measures import measures
from tocsin.sdk.overhead import OverheadMeter
from tocsin.sdk.process_figures import ProcessFigures
from tocsin.sdk.records import INFO, Record, RecordEncoder
from tocsin.sdk.red import RedCollection, RedTable
from tocsin.sdk.redaction import Redactor
from tocsin.sdk.sampling import Sampler
from tocsin.sdk.settings import Settings, host_name
from tocsin.sdk.slow import SlowLog
from tocsin.sdk.spans import ERROR, RecordingSpan
from tocsin.sdk.tenant import Resolver, current_tenant, join_resolvers, parse_resolvers
from tocsin.sdk.trace import TocsinTracerProvider
from tocsin.sdk.version import VERSION

log = logging.getLogger("tocsin")

# So many ended requests are digested at once by the thread that answers requests: what it has just written is in its
# own processor's caches, from which another would have to fetch it. The export thread takes what is left over.
PORTION = 64
# Without traffic the figures are repeated this often, so that a quiet process is seen to be alive.
_QUIET_NS = 15_000_000_000
# Share of the sampled traces that shedding leaves.
_SHED_SHARE = 0.1


class Encoders(NamedTuple):
    """What turns things into bytes; used by the export thread."""

    spans: SpanEncoder
    metrics: MetricEncoder
    records: RecordEncoder
    lines: LineEncoder


class Agent:
    """The SDK at work for one set of settings. Starts no thread before the first request."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.resolvers: tuple[Resolver, ...] = parse_resolvers(settings.tenant)
        if settings.tenant_trusted_only:
            self.resolvers = tuple(resolver for resolver in self.resolvers if resolver.is_trusted)
        # Those that look at headers only can be asked after the scope is gone, off the request's path.
        header_resolvers = tuple(resolver for resolver in self.resolvers if not resolver.needs_scope)
        self.resolve_headers = join_resolvers(header_resolvers)
        self.resolves_by_scope = len(header_resolvers) < len(self.resolvers)
        self.slow_ns = settings.slow_seconds * 1e9
        self.routes = CriticalRoutes(settings.critical, settings.critical_defaults)
        self.red = RedTable(settings.red_keys)
        self.sampler = Sampler(settings.sample_ratio, settings.sample_minimum_per_second)
        self.slow = SlowLog(settings.slow_logs_per_second)
        self.meter = OverheadMeter(settings.overhead_budget_us)
        self.provider = TocsinTracerProvider(self)
        self.exporter = Exporter(
            settings, self.digest, self._encode_spans, self._encode_metrics, self._encode_records, self._encode_lines,
            self._beat,
        )  # fmt: skip
        self.log_level, self.log_exclude = level_of(settings.log_level), frozenset(settings.log_exclude)
        self.redactor = Redactor(settings.redact_fields, settings.redact_patterns, settings.redact_personal)
        self._reset()
        _agents.add(self)

    def _reset(self) -> None:
        """What belongs to this very process; done anew in a forked child."""
        self.live: set[Exchange] = set()
        self.live_jobs: set[JobSpan] = set()
        self.increases = Increases()
        self.flag_requests = FlagRequests(self.increases)
        # Requests whose last byte is out.
        self.ended: deque[Exchange] = deque()
        # Takes a request whose last byte is out.
        self.put: Callable[[Exchange], None] = self._put_first
        self._digest = Digest(self)
        self.catalogue = Catalogue(self)
        self.limiter = Limiter(self.settings.log_rate)
        self.calls = CallDigest(self)
        self.figures = ProcessFigures(self)
        self._is_announced = False
        self._digest_lock = threading.Lock()
        # Requests begun so far; counted only where their memory is measured.
        self.begun = 0
        # One request in some is measured by a kind of exchange that takes more clocks.
        self.next_kind = next_kind_of(self, self.settings.allocation_ratio)
        self.sheds_children = False
        self.sheds_traces = False
        self.instance_id, self.pid = str(uuid.uuid4()), os.getpid()
        # Whether another process answers for this one, see `answer_through`.
        self.is_helper = False
        self.start_ns = time.time_ns()
        self.unrecorded_children = 0
        self._encoders: Encoders | None = None
        self._last_state = (-1, -1)
        self._last_figures_ns = 0

    def after_fork(self) -> None:
        self._reset()
        self.red.forget()
        self.exporter.after_fork()

    def answer_through(self, instance_id: str, pid: int) -> None:
        """Sends on as a part of another process, which lives longer: for a child forked for one job.

        What adds up is sent from here; this process's own state and increases are left to the other.
        """
        self.instance_id, self.pid, self.is_helper = instance_id, pid, True
        self._encoders = None

    # -- called on the request's path

    def _put(self, exchange: Exchange) -> None:
        """Takes a request whose last byte is out; it is counted within `batch_seconds`, and never lost."""
        self.ended.append(exchange)
        if self.exporter.is_idle:
            self.exporter.wake()
            # This is where the app answers, in its event loop if it has one.
            instrument.enter_loop()

    def _put_first(self, exchange: Exchange) -> None:
        """The first request: whatever it has sent already, so that the exporter is at work, its loop is entered."""
        self.put = self._put
        instrument.enter_loop()
        self._put(exchange)

    @guard.guarded(None)
    def digest_portion(self) -> None:
        """Digests what has ended, unless another thread is at it: the next request will ask again."""
        if self._digest_lock.acquire(blocking=False):
            try:
                self._digest_ended()
            finally:
                self._digest_lock.release()

    def head_decision(self, root: RecordingSpan) -> bool:
        """The caller's decision when there is a caller, else the sampler's."""
        if root.remote_sampled is not None:
            return root.remote_sampled
        tenant = root.find_tenant() if isinstance(root, Exchange) else root.tenant or current_tenant()
        return self.sampler.keeps(root.trace_id, tenant or "")

    def decide(self, root: RecordingSpan, duration_ns: int) -> bool:
        """Whether the trace of an ended root is kept; the reason is noted on the root."""
        if not root.tenant and not isinstance(root, Exchange):
            root.tenant = current_tenant() or ""
        root.identify()
        root.reason = self.reason_to_keep(root, duration_ns)
        if not root.reason:
            root.close()
        return bool(root.reason)

    def keep_trace(self, root: RecordingSpan) -> None:
        """Queues an ended root and what has ended below it."""
        children = root.close()
        self.keep(root)
        if children:
            self.keep_all(children)

    def keep(self, span: RecordingSpan) -> None:
        exporter = self.exporter
        exporter.put(span)
        if exporter.is_idle:
            exporter.wake()

    def keep_all(self, spans: list[RecordingSpan]) -> None:
        for span in spans:
            self.keep(span)

    @guard.guarded(None)
    def emit(
        self, event: str, body: str, attributes: Mapping[str, Any], severity: int = INFO, tenant: str | None = None
    ) -> None:
        """Sends an event of here and now: with the current trace and, unless said otherwise, its tenant."""
        span = trace.get_current_span().get_span_context()
        ids = (span.trace_id.to_bytes(16, "big"), span.span_id.to_bytes(8, "big")) if span.is_valid else (b"", b"")
        of = current_tenant() or "" if tenant is None else tenant
        self.exporter.put_record(Record(time.time_ns(), event, severity, body, attributes, of, *ids))

    def note_unrecorded_child(self) -> None:
        self.unrecorded_children += 1
        self.exporter.dropped["traces", "shed" if self.sheds_children else "trace_limit"] += 1

    def tracer_for_app(self) -> trace.Tracer:
        """The tracer for spans that the app makes itself: the global provider's if somebody else set one."""
        provider = trace.get_tracer_provider()
        return (provider if coexist.is_foreign(provider) else self.provider).get_tracer("tocsin.app", VERSION)

    def reason_to_keep(self, root: RecordingSpan, duration_ns: int) -> str:
        """Why this trace is kept, or ''."""
        if root.remote_sampled:
            return "parent"
        if not self.sheds_traces and (root.head or root.sampled_flag()):
            return "head"
        if root.status == ERROR:
            return "error"
        if duration_ns >= self.slow_ns and not root.is_lasting:
            return "slow"
        return root.wanted

    # -- called by the export thread

    def digest(self) -> None:
        """Turns ended requests into numbers and kept traces."""
        with self._digest_lock:
            self._digest.review_unfinished()
            self._digest_ended()

    def _digest_ended(self) -> None:
        count = len(self.ended)
        if count:
            began = time.thread_time()
            self._digest.take(self.ended, count)
            self.meter.add("digest", (time.thread_time() - began) / count)

    def collect_red(self) -> RedCollection:
        """The RED rows since the last collection, all ended requests included."""
        self.digest()
        with self._digest_lock:
            collection = self.red.collect()
            self.catalogue.add(collection.rows)
            self.routes.count(collection.rows, self.increases)
        return collection

    def collect_increase(self) -> Increase:
        """What was counted as increases since the last collection."""
        self.flag_requests.count_ended()
        increase = self.increases.collect()
        with self._digest_lock:
            self.catalogue.add_increase(increase.sums)
        return increase

    def increase_families(self) -> list[Family]:
        """The same of this process since it began, for a scraper."""
        self.digest()
        with self._digest_lock:
            return self.catalogue.increase_families(self.increases, self.routes, self.red.rows)

    def collect_calls(self) -> CallCollection:
        """What the app has called since the last collection, as far as digested."""
        with self._digest_lock:
            self.calls.count_open()
            collection = self.calls.table.collect()
            if collection.by_caller:
                self.catalogue.add_calls(collection.rows)
        return collection

    def call_families(self) -> list[Family]:
        """The calls of this process since it began, for a scraper."""
        self.digest()
        with self._digest_lock:
            self.calls.count_open()
            return self.catalogue.call_families(self.calls.table)

    def request_families(self) -> list[Family]:
        """The requests of this process since it began, for a scraper."""
        self.digest()
        with self._digest_lock:
            return self.catalogue.totals.families(self.red.rows)

    def _beat(self) -> None:
        self.catalogue.publish()
        coexist.wake_native_telemetry()

    def resource_attributes(self) -> dict[str, Any]:
        """Who is sending, in OpenTelemetry's words."""
        settings = self.settings
        attributes: dict[str, Any] = {
            "service.name": settings.service,
            "service.version": settings.release,
            "service.instance.id": self.instance_id,
            "deployment.environment.name": settings.environment,
            "host.name": host_name(),
            "process.pid": self.pid,
            "telemetry.sdk.name": "tocsin",
            "telemetry.sdk.language": "python",
            "telemetry.sdk.version": VERSION,
        }
        return {key: value for key, value in attributes.items() if value != ""}

    def _open_encoders(self) -> Encoders:
        if self._encoders is None:
            field, settings = resource(self.resource_attributes()), self.settings
            self._encoders = Encoders(
                SpanEncoder(
                    field, VERSION, settings.redact, self.routes.name_of, self.redactor, settings.attribute_characters
                ),
                MetricEncoder(field, VERSION),
                RecordEncoder(field, VERSION, self.redactor),
                LineEncoder(field, self.redactor, settings.attributes_per_span, settings.attribute_characters),
            )
        return self._encoders

    def _encode_spans(self, spans: list[Queued]) -> bytes:
        started = time.thread_time()
        body = self._open_encoders().spans.encode_request(spans)
        self.meter.add("export", (time.thread_time() - started) / len(spans))
        return body

    def _encode_records(self, records: list[Record]) -> bytes:
        return self._open_encoders().records.encode_request(records)

    def _encode_lines(self, lines: list[LogLine]) -> bytes:
        return self._open_encoders().lines.encode_request(lines)

    def _encode_metrics(self) -> tuple[bytes, int] | None:
        """The RED deltas and the SDK's figures; None when nothing has happened for a while."""
        self._review_overhead()
        tell_left_out(self)
        findings.flush(self)
        red, calls = self.collect_red(), self.collect_calls()
        self.announce()
        rows = len(red.rows) + len(calls.by_caller)
        encoder = self._open_encoders().metrics
        if self.is_helper:
            return (encoder.encode_request(red, (), (), self.start_ns, calls), rows) if rows else None
        increase = self.collect_increase()
        rows += len(increase.sums)
        state = (self.red.total, measures.version)
        if not rows and state == self._last_state and red.end_ns - self._last_figures_ns < _QUIET_NS:
            return None
        if not self.live:
            self._last_state = state
        self._last_figures_ns = red.end_ns
        figures, timings = self.figures.all(), measures.copied_timings()
        body = encoder.encode_request(red, figures, timings, self.start_ns, calls, increase)
        return body, rows + len(figures) + len(timings)

    def announce(self) -> None:
        """Says once that this process runs a release; the server shows the first process of each."""
        settings = self.settings
        if not self._is_announced and settings.release:
            self._is_announced = True
            facts = {"tocsin.release": settings.release, "vcs.ref.head.revision": settings.commit}
            facts = {name: value for name, value in facts.items() if value}
            self.emit("tocsin.deploy", f"{settings.service} {settings.release} started", facts, tenant="")

    def _review_overhead(self) -> None:
        if self.meter.review():
            level = self.meter.level
            self.sampler.shed_to(_SHED_SHARE if level >= 1 else 1.0)
            self.sheds_children = level >= 2
            self.sheds_traces = level >= 3


# -- the agents of this process

_agents: weakref.WeakSet[Agent] = weakref.WeakSet()
_lock = threading.Lock()


def agent_for(settings: Settings) -> Agent:
    """The agent with these settings, made when they are new."""
    with _lock:
        agent = by_settings.get(settings)
        if agent is None:
            agent = by_settings[settings] = Agent(settings)
    if settings.enabled:
        instrument.switch_on(settings)
    return agent


def close_agent(agent: Agent, timeout_seconds: float) -> None:
    """Flushes an agent and forgets it."""
    findings.flush(agent, is_last=True)
    agent.exporter.stop(timeout_seconds)
    with _lock:
        if by_settings.get(agent.settings) is agent:
            del by_settings[agent.settings]


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    for agent in list(_agents):
        agent.after_fork()


@guard.guarded(None)
def _flush_at_exit() -> None:
    for agent in list(_agents):
        if not agent.exporter.is_idle or agent.exporter.queue_length:
            findings.flush(agent, is_last=True)
            agent.exporter.stop(agent.settings.exit_flush_seconds)


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_flush_at_exit)
