"""Whose work a log line belongs to: trace, span, request, tenant and user of here and now."""

from __future__ import annotations

from typing import Any, NamedTuple

from opentelemetry import trace

from tocsin.sdk.current import SPAN_KEY, current_context
from tocsin.sdk.spans import RecordingSpan
from tocsin.sdk.tenant import TenantHolder, clean, current_work

_IDS = "_tocsin_ids"
_LEFT = "_tocsin_whose"
REQUEST_ID, CORRELATION_ID = b"x-request-id", b"x-correlation-id"


class Whose(NamedTuple):
    """trace_id, span_id: b'' outside of any trace. work: the request, job or holder that knows the rest, or None."""

    trace_id: bytes = b""
    span_id: bytes = b""
    work: Any = None

    @property
    def tenant(self) -> str:
        work = self.work
        return (work.find_tenant() or "") if work is not None else ""

    def ids(self) -> tuple[str, str]:
        """Request and correlation id; what was said of them never changes and is kept with the work."""
        work = self.work
        if work is None:
            return "", self.trace_id.hex()
        found: tuple[str, str] | None = work.__dict__.get(_IDS)
        if found is None:
            found = work.__dict__[_IDS] = self.request_id, self.said_correlation_id
        return found[0], found[1] or self.trace_id.hex()

    @property
    def said_request_id(self) -> str:
        """What the client calls the request, also in the jobs that it queued."""
        return _said(self.work, REQUEST_ID, "request_id")

    @property
    def said_correlation_id(self) -> str:
        """What the client calls the course of things that the request belongs to."""
        return _said(self.work, CORRELATION_ID, "correlation_id")

    @property
    def request_id(self) -> str:
        """The client's, else the id of the request's first span here; '' outside of requests."""
        return self.said_request_id or _span_of(self.work)

    @property
    def correlation_id(self) -> str:
        """The client's, else the trace."""
        return self.said_correlation_id or self.trace_id.hex()

    @property
    def user_id(self) -> str:
        """Who was said to be signed in: by `set_user`, else by Starlette's authentication."""
        work = self.work
        if work is None:
            return ""
        return getattr(work, "user_id", "") or _authenticated(getattr(work, "scope", None))


NOBODY = Whose()
# A third of what calling the class takes; each line makes one.
_make = tuple.__new__


def whose() -> Whose:
    """Whose work this is, as far as it is known; tenant and user are looked up when they are asked for."""
    span = current_context().get(SPAN_KEY)
    work = current_work.get()
    if span is None:
        return NOBODY if work is None else _make(Whose, (b"", b"", work))
    if isinstance(span, RecordingSpan):
        if not span.span_id:
            span.identify()
        root = span._parent_root or span
        if work is None and getattr(root, "is_request", False):
            work = root
        return _make(Whose, (root.trace_id, span.span_id, work))
    return _of_another(span, work)


def note_left(error: Exception) -> None:
    """Notes at an exception that leaves a request whose it is: servers log it when the request is over.

    In plain values, because an exception may outlive the request, or be pickled.
    """
    of = whose()
    if of.work is not None:
        holder = TenantHolder(of.tenant, user_id=of.user_id)
        holder.__dict__[_IDS] = of.ids()
        error.__dict__[_LEFT] = of._replace(work=holder)


def of_error(error: BaseException | None) -> Whose:
    """Whose the request was that this exception has left."""
    return NOBODY if error is None else error.__dict__.get(_LEFT, NOBODY)


def named(trace_id: Any, tenant: Any) -> Whose:
    """What the fields of a record say that was logged outside of the work it tells of, such as of a slow request."""
    try:
        known = bytes.fromhex(trace_id) if isinstance(trace_id, str) and len(trace_id) == 32 else b""
    except ValueError:
        known = b""
    return Whose(known, b"", TenantHolder(clean(tenant)) if tenant else None) if known else NOBODY


def _of_another(span: Any, work: Any) -> Whose:
    """The span is another SDK's, or stands for one there was no room for."""
    context = span.get_span_context() if isinstance(span, trace.Span) else trace.INVALID_SPAN_CONTEXT
    root = getattr(span, "root", None)
    work = work if work is not None else root if getattr(root, "is_request", False) else None
    if not context.is_valid:
        return Whose(work=work)
    return Whose(context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big"), work)


def _said(work: Any, header: bytes, name: str) -> str:
    headers = getattr(work, "headers", None)
    if headers is None and getattr(work, "scope", None) is not None:
        headers = work.header_map()
    if headers:
        value = headers.get(header)
        return clean(value.decode("latin-1")) if value else ""
    return getattr(work, name, "")


def _span_of(work: Any) -> str:
    if work is None or getattr(work, "header_map", None) is None:
        return ""
    work.identify()
    span_id: bytes = work.span_id
    return span_id.hex()


def _authenticated(scope: Any) -> str:
    """The user that Starlette's AuthenticationMiddleware has put there."""
    user = scope.get("user") if scope is not None else None
    if user is None or not getattr(user, "is_authenticated", False):
        return ""
    for name in ("identity", "id", "username", "display_name"):
        try:
            value = getattr(user, name, None)
        except NotImplementedError:  # Starlette's BaseUser leaves them to others
            continue
        if value:
            return clean(value)
    return ""
