"""One run of a background job, whatever runs it: its span, its numbers, its schedule, and whose work it is.

Whoever queues calls `queued` and sends the headers along; whoever runs opens a `JobRun` with them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context

from tocsin.sdk.agents import active_agent
from tocsin.sdk.calls import current_span
from tocsin.sdk.current import SPAN_KEY, current_context, enter_context, leave_context
from tocsin.sdk.errors import qualified_name
from tocsin.sdk.exposition import Labels, labels_of
from tocsin.sdk.guard import guarded
from tocsin.sdk.instrument._isolation_jobs import hold_payload
from tocsin.sdk.isolation import crossing_reason
from tocsin.sdk.logs.whose import whose
from tocsin.sdk.overhead import JOBS, QUEUED_JOBS
from tocsin.sdk.propagation import format_traceparent, new_span_id, new_trace_id, parse_traceparent
from tocsin.sdk.schedules import schedules
from tocsin.sdk.spans import CONSUMER, ERROR, PRODUCER, RecordingSpan
from tocsin.sdk.sums import describe
from tocsin.sdk.tenant import clean, current_tenant, current_work, work_at_hand
from tocsin.sdk.trace import start_child

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent

SUCCESS, FAILURE, RETRY, REVOKED = "success", "failure", "retry", "revoked"

# What travels with a queued job, beside `traceparent` and `tracestate`.
TENANT, QUEUED, REQUEST = "tocsin-tenant", "tocsin-queued", "tocsin-request-id"
CORRELATION, USER = "tocsin-correlation-id", "tocsin-user-id"
# How rows name the tenant, and why whoever queued the job might cross tenants.
ROW_TENANT, CROSSING = "tocsin-row-tenant", "tocsin-crossing"
# Cut to 256 when it is encoded, without what is secret.
_STATUS_CHARACTERS = 768
_NAME_CHARACTERS = 200

# Jobs take milliseconds or hours.
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)

describe("job_duration_seconds", "Seconds that runs of background jobs take.", _BOUNDS)
describe("job_runs_total", "Runs of background jobs that have ended, by outcome: success, failure, retry or revoked.")
describe("job_queue_seconds", "Seconds from when a job was queued, or due, to when it began.", _BOUNDS)
describe("job_retries_total", "Runs that ended in the job being queued again.")
describe("job_enqueued_total", "Jobs put into a queue.")
describe("job_missed_total", "Times of a schedule at which its job was not run, by reason.")


class JobName(NamedTuple):
    """Which job it is. system: the library, such as celery; queue: '' where there is none."""

    name: str
    queue: str
    system: str

    def labels(self, outcome: str = "") -> Labels:
        return _labels(self, outcome)


@lru_cache(maxsize=4096)
def _labels(job: JobName, outcome: str) -> Labels:
    # Not `job`: to Prometheus that is the scraped target, and it would overwrite ours.
    return labels_of({"job_name": job.name, "queue": job.queue, "system": job.system, "outcome": outcome})


def name_of(function: Any) -> str:
    """A function's name with its module's last part, as people know it: `billing.send_invoices`."""
    while hasattr(function, "func"):  # a partial
        function = function.func
    named = getattr(function, "__qualname__", "") or type(function).__qualname__
    module = (getattr(function, "__module__", "") or "").rpartition(".")[2]
    named = named.replace("<locals>.", "")
    return (f"{module}.{named}" if module and module != "__main__" else named)[:_NAME_CHARACTERS]


@guarded(dict[str, str]())
def queued(
    job: JobName, message_id: str = "", due: float = 0.0, payload: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Notes that a job is being queued, and gives what has to travel with it; {} when nothing is watched.

    due: when it may begin at the earliest, in Unix seconds. payload: its arguments by name, which may name a tenant.
    """
    entered_ns, agent = perf_counter_ns(), active_agent()
    if agent is None:
        return {}
    tenant = current_tenant() or ""
    agent.increases.count("job_enqueued_total", job.labels(), tenant)
    wake(agent)
    headers = {QUEUED: f"{max(time.time(), due):.6f}"}
    if tenant:
        headers[TENANT] = tenant
        row_tenant = getattr(work_at_hand(), "row_tenant", None)
        if row_tenant is not None:
            headers[ROW_TENANT] = str(row_tenant)
    if crossing_reason.get():
        headers[CROSSING] = crossing_reason.get()
    if payload:
        _hold("queued", job, payload, agent)
    parent = current_span()
    if parent is not None and not parent.root.is_done:
        _note_producer(agent, parent, job, message_id, headers)
        of = whose()
        said = {REQUEST: of.said_request_id, CORRELATION: of.said_correlation_id, USER: of.user_id}
        headers.update({name: value for name, value in said.items() if value})
        if parent.root.is_metered:
            spent_ns = perf_counter_ns() - entered_ns
            parent.root.note_hook(QUEUED_JOBS, spent_ns)  # type: ignore[attr-defined]  # they have it
    else:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            ids = context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")
            headers["traceparent"] = format_traceparent(*ids, context.trace_flags.sampled)
    return headers


def _hold(how: str, job: JobName, payload: Mapping[str, Any], agent: Agent, reason: str = "") -> None:
    hold_payload(how, job, payload, agent.settings, reason)


def _note_producer(agent: Agent, parent: RecordingSpan, job: JobName, message_id: str, headers: dict[str, str]) -> None:
    span = start_child(agent, parent, f"queue {job.name}", PRODUCER)
    above = span if isinstance(span, RecordingSpan) else parent
    if above is span:
        span.set_attributes({**_attributes(job, message_id), "messaging.operation.type": "send"})
        span.end()
    root = parent.root
    root.identify()
    headers["traceparent"] = format_traceparent(root.trace_id, above.span_id, above.sampled_flag())
    if root.trace_state:
        headers["tracestate"] = root.trace_state


class JobSpan(RecordingSpan):
    """The first span of a job. As a request does, it holds the tenant, which `set_tenant` changes."""

    is_request = True
    has_tenant = False
    row_tenant: Any = None
    # As the request that queued it has them.
    user_id = request_id = correlation_id = ""

    def find_tenant(self) -> str:
        return self.tenant


class JobRun:
    """A run between `begin` and `end`; as a context manager it ends with what the block raises, which passes on.

    headers: what `queued` gave, None when it was not queued; the run then belongs to the span of here and now, if that
    is one of ours that has not ended. due: when it should have begun, in Unix seconds, 0 when nobody said.
    schedule and interval: the text of its schedule, and the seconds until the next run. payload: its arguments by
    name, which may name a tenant; crossing: why whoever queued it might cross tenants. entered_ns: when its hook was
    entered, by `perf_counter_ns`, for the overhead meter.
    """

    def __init__(
        self, job: JobName, headers: Mapping[str, Any] | None = None, *, message_id: str = "", due: float = 0.0,
        attempt: int = 0, schedule: str = "", interval: float = 0.0, is_detached: bool = False,
        attributes: Mapping[str, Any] | None = None, payload: Mapping[str, Any] | None = None, crossing: str = "",
        entered_ns: int = 0,
    ) -> None:  # fmt: skip
        self.job = job
        self.outcome = ""
        self.span: RecordingSpan | None = None
        self._headers = headers or {}
        self._facts = {**_attributes(job, message_id), **(attributes or {})}
        self._payload, self._crossing = payload, crossing or str(self._headers.get(CROSSING) or "")
        self._due, self._attempt = due, attempt
        self._schedule, self._interval = schedule, interval
        self._is_detached = is_detached or bool(headers)
        self._agent: Agent | None = None
        self._began_ns = self._cost_ns = 0
        self._entered_ns = entered_ns
        self._began = self._waited = 0.0
        self._tokens: tuple[Any, Any] | None = None

    def __enter__(self) -> JobRun:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        self.end(self.outcome or (SUCCESS if error is None else FAILURE), error)

    @guarded(None)
    def begin(self, since: float = 0.0) -> None:
        """since: when it began, in Unix seconds, if that is over already."""
        entered_ns = perf_counter_ns()
        agent = self._agent = active_agent()
        if agent is None:
            return
        self._began, self._began_ns = time.time(), entered_ns
        if since:
            self._began_ns -= int((self._began - since) * 1e9)
            self._began = since
        due = self._due or _number(self._headers.get(QUEUED))
        self._waited = max(0.0, self._began - due) if due else -1.0
        self._open(agent)
        if self._payload:
            _hold("run", self.job, self._payload, agent, self._crossing)
        self._cost_ns = perf_counter_ns() - (self._entered_ns or entered_ns)

    def _open(self, agent: Agent) -> None:
        above = None if self._is_detached else current_span()
        if above is not None and not above.root.is_done:
            below = start_child(agent, above, self.job.name, CONSUMER)
            self.span = below if isinstance(below, RecordingSpan) else None
        else:
            self.span = self._root(agent)
        if self.span is None:
            return
        self.span.set_attributes(self._facts)
        self.span.set_attribute("tocsin.job.attempt", self._attempt or None)
        self.span.set_attribute("tocsin.request.id", self._headers.get(REQUEST))
        if self._waited >= 0:
            self.span.set_attribute("tocsin.job.queue_seconds", round(self._waited, 6))
        if self.span.root is self.span:
            # Whatever was around when its thread or task was made is not this job's.
            self._tokens = enter_context(Context({SPAN_KEY: self.span})), current_work.set(self.span)
        else:
            context = Context({**current_context(), SPAN_KEY: self.span})
            self._tokens = enter_context(context), current_work.set(current_work.get())

    @guarded(None)
    def end(self, outcome: str, error: BaseException | None = None, error_text: str = "") -> None:
        """outcome: success, failure, retry or revoked. error_text: what happened where nothing was raised."""
        agent = self._agent
        if agent is None or not self._began_ns:
            return
        ended_ns = perf_counter_ns()
        seconds = (ended_ns - self._began_ns) * 1e-9
        self._began_ns = 0
        self.outcome = outcome
        span = self.span
        tenant = self._tenant()
        try:
            self._count(agent, seconds, tenant)
            if span is not None:
                self._close(agent, span, seconds, error, error_text)
        finally:
            self._leave()
        wake(agent)
        agent.meter.add(JOBS, (self._cost_ns + perf_counter_ns() - ended_ns) * 1e-9)

    def leave(self) -> None:
        """Gives the context of before back, where what runs meanwhile is not this job."""
        self._leave()

    def _root(self, agent: Agent) -> JobSpan:
        value = str(self._headers.get("traceparent") or "").encode("ascii", "replace")
        state = str(self._headers.get("tracestate") or "").encode("ascii", "replace")
        remote = parse_traceparent(value, state) if value else None
        trace_id, parent_id = (remote[0], remote[1]) if remote else (new_trace_id(), b"")
        start_ns = int(self._began * 1e9)
        span = JobSpan(agent, self.job.name, CONSUMER, trace_id, new_span_id(), parent_id, start_ns)
        if remote:
            span.remote_sampled, span.trace_state = remote[2], remote[3]
        span.tenant = clean(self._headers.get(TENANT)) or (current_tenant() or "" if not self._headers else "")
        span.row_tenant = self._headers.get(ROW_TENANT)
        span.user_id = clean(self._headers.get(USER))
        span.request_id, span.correlation_id = (clean(self._headers.get(name)) for name in (REQUEST, CORRELATION))
        agent.live_jobs.add(span)
        return span

    def _tenant(self) -> str:
        find = getattr(self.span.root, "find_tenant", None) if self.span is not None else None
        return find() or "" if find is not None else current_tenant() or ""

    def _count(self, agent: Agent, seconds: float, tenant: str) -> None:
        increases, job = agent.increases, self.job
        ended = job.labels(outcome=self.outcome)
        increases.count("job_runs_total", ended, tenant)
        increases.time("job_duration_seconds", ended, tenant, seconds)
        if self._waited >= 0:
            increases.time("job_queue_seconds", job.labels(), tenant, self._waited)
        if self.outcome == RETRY:
            increases.count("job_retries_total", job.labels(), tenant)
        if self._schedule:
            succeeded = self.outcome == SUCCESS
            schedules.note_run(job.name, self._schedule, job.system, self._interval, self._began, succeeded)

    def _close(self, agent: Agent, span: RecordingSpan, seconds: float, error: BaseException | None, text: str) -> None:
        span.set_attribute("tocsin.job.outcome", self.outcome)
        if self._schedule:
            span.set_attribute("tocsin.job.schedule", self._schedule)
        if error is not None or text:
            if error is not None:
                span.record_exception(error, escaped=True)
                span.set_attribute("error.type", qualified_name(error))
                text = text or f"{type(error).__name__}: {error}"
            span.status, span.status_text, span.is_plain = ERROR, text[:_STATUS_CHARACTERS], False
        # Jobs take long by nature: slow begins later than with requests.
        span.is_lasting = seconds < agent.settings.slow_job_seconds
        if isinstance(span, JobSpan):
            agent.live_jobs.discard(span)
        span.end()

    def _leave(self) -> None:
        if self._tokens is not None:
            around, work = self._tokens
            self._tokens = None
            current_work.reset(work)
            leave_context(around)


@guarded(None)
def note_ended(job: JobName, outcome: str, tenant: str = "") -> None:
    """Counts a job that ended without having been run, such as one that was revoked or has expired."""
    agent = active_agent()
    if agent is not None:
        agent.increases.count("job_runs_total", job.labels(outcome=outcome), tenant)
        wake(agent)


@guarded(None)
def note_missed(job: JobName, reason: str) -> None:
    """Counts a time of a schedule at which its job was not run."""
    agent = active_agent()
    if agent is not None:
        labels = labels_of({"job_name": job.name, "system": job.system, "reason": reason})
        agent.increases.count("job_missed_total", labels, "")
        wake(agent)


def wake(agent: Agent) -> None:
    if agent.exporter.is_idle:
        agent.exporter.wake()


def _attributes(job: JobName, message_id: str) -> dict[str, Any]:
    facts = {
        "messaging.system": job.system,
        "messaging.destination.name": job.queue,
        "messaging.operation.type": "process",
        "messaging.message.id": message_id,
        "tocsin.job.name": job.name,
    }
    return {key: value for key, value in facts.items() if value}


def _number(value: Any) -> float:
    try:
        return float(value or 0.0)
    except (TypeError, ValueError):
        return 0.0
