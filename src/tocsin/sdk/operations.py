"""Critical operations that the code declares: how they end, how long they take, for whom, and their traces."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import trace
from opentelemetry.trace.status import StatusCode

from tocsin.sdk.agents import active_agent
from tocsin.sdk.critical_routes import (
    DURATION,
    FAILURE,
    OUTCOMES,
    REJECTED,
    SUCCESS,
    check_name,
    declared,
    outcome_labels,
)
from tocsin.sdk.guard import guarded
from tocsin.sdk.spans import RecordingSpan
from tocsin.sdk.tenant import TenantHolder, clean, current_tenant, current_work, work_at_hand

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent

Function = TypeVar("Function", bound=Callable[..., Any])

# Reasons of one operation that are told apart; more is a text that should be an attribute.
_REASONS = 50
_REASON_CHARACTERS = 80
_OTHER = "other"
_reasons: dict[str, set[str]] = {}


class Run:
    """One run of an operation, as the code inside it sees it."""

    __slots__ = ("_name", "_tenant", "began", "outcome", "reason", "span")

    def __init__(self, name: str, tenant: str, span: trace.Span) -> None:
        self._name, self._tenant = name, tenant
        self.span = span
        self.outcome, self.reason = SUCCESS, ""
        self.began = time.perf_counter()

    def fail(self, reason: str = "failed") -> None:
        """The operation has failed though nothing was raised."""
        self.outcome, self.reason = FAILURE, reason

    def reject(self, reason: str = "rejected") -> None:
        """Whoever asked for it got it wrong: no failure of the operation, such as a wrong password."""
        self.outcome, self.reason = REJECTED, reason

    def set(self, **attributes: Any) -> None:
        """Attributes of its span."""
        self.span.set_attributes(attributes)

    @guarded(None)
    def note(self, error: BaseException) -> None:
        """What an exception that leaves the operation makes of it."""
        status = getattr(error, "status_code", None)
        if isinstance(status, int) and 400 <= status < 500:
            self.reject(str(status))
        elif not isinstance(error, Exception):
            self.reject("cancelled")
        elif self.outcome != FAILURE:
            self.fail(type(error).__name__)

    @guarded(None)
    def close(self, agent: Agent | None) -> None:
        """Counts the run, and says on its span how it ended."""
        seconds = time.perf_counter() - self.began
        reason = bounded_reason(self._name, self.reason)
        self.span.set_attribute("tocsin.operation.outcome", self.outcome)
        if reason:
            self.span.set_attribute("tocsin.operation.reason", reason)
        if self.outcome == FAILURE:
            self.span.set_status(StatusCode.ERROR, self.reason)
            if isinstance(self.span, RecordingSpan):
                self.span.root.wanted = "error"
        if agent is not None:
            tenant = self._tenant or current_tenant() or ""
            agent.increases.count(OUTCOMES, outcome_labels(self._name, self.outcome, reason), tenant)
            agent.increases.time(DURATION, (("operation", self._name),), tenant, seconds)


class operation:
    """A critical operation around a block or a function: `with tocsin.operation("form_automation") as run:`.

    As a decorator, `@tocsin.critical("org_switch")`, it takes functions and coroutine functions; `async with` works,
    too. An exception makes it a failure (one with a 4xx status a rejection) and passes on. tenant: whose it is, where
    that is not known yet. Raises CriticalError for a name that is none.
    """

    def __init__(self, name: str, tenant: str | None = None, **attributes: Any) -> None:
        self._name = check_name(name)
        self._tenant = clean(tenant)
        self._attributes = {"tocsin.operation": name, **attributes}
        self._entered: list[_Entered] = []
        declared.add(name)

    def __enter__(self) -> Run:
        entered = _Entered(self._name, self._tenant, self._attributes)
        self._entered.append(entered)
        return entered.run

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self._entered.pop().leave(kind, error, traceback)

    async def __aenter__(self) -> Run:
        return self.__enter__()

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: Function) -> Function:
        # A fresh one for each call: calls of one function overlap.
        def begin() -> operation:
            fresh = operation.__new__(operation)
            fresh._name, fresh._tenant = self._name, self._tenant
            fresh._attributes, fresh._entered = self._attributes, []
            return fresh

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                with begin():
                    return await function(*args, **kwargs)

            return call_async  # type: ignore[return-value]  # the same signature

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with begin():
                return function(*args, **kwargs)

        return call  # type: ignore[return-value]  # the same signature


critical = operation


class _Entered:
    """What one entry has opened and has to close again."""

    def __init__(self, name: str, tenant: str, attributes: dict[str, Any]) -> None:
        self._agent = active_agent()
        self._token = _name_tenant(tenant)
        self._span: Any = None
        span: trace.Span = trace.INVALID_SPAN
        if self._agent is not None:
            self._span = self._agent.tracer_for_app().start_as_current_span(name, attributes=attributes)
            span = self._span.__enter__()
        self.run = Run(name, tenant, span)

    def leave(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is not None:
            self.run.note(error)
        self.run.close(self._agent)
        try:
            if self._span is not None:
                self._span.__exit__(kind, error, traceback)
        finally:
            if self._token is not None:
                current_work.reset(self._token)


def _name_tenant(tenant: str) -> Any:
    """Outside of requests the work inside is the tenant's, too."""
    work = work_at_hand()
    if tenant and not (work is not None and work.is_request):
        return current_work.set(TenantHolder(tenant))
    return None


def bounded_reason(name: str, reason: str) -> str:
    """The reason as it is counted: short, and not more than some to an operation."""
    reason = str(reason)[:_REASON_CHARACTERS]
    known = _reasons.setdefault(name, set())
    if reason and reason not in known:
        if len(known) >= _REASONS:
            return _OTHER
        known.add(reason)
    return reason
