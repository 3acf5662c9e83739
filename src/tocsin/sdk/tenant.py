"""Which tenant the current work is for: found in the request, or said by the app, and carried along.

What a client sends (header, JWT, host) is a claim. It labels the telemetry and decides nothing; `set_tenant`,
called after the app's own authentication, always wins over it, and `tenant_trusted_only` ignores claims altogether.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar, copy_context
from typing import Any, NamedTuple, ParamSpec, TypeVar

from tocsin.sdk.current import SPAN_KEY, current_context
from tocsin.sdk.guard import attempt

P = ParamSpec("P")
R = TypeVar("R")

Scope = Mapping[str, Any]
Headers = Mapping[bytes, bytes]
# (scope, headers) -> tenant as `clean` makes it, or nothing.
Resolve = Callable[[Scope, Headers], "str | None"]

# For resolvers that look at headers only.
NO_SCOPE: Scope = {}

_TENANT_CHARACTERS = 128
_TOKENS_KEPT = 1024
_VALUES_KEPT = 4096
_TOKEN_BYTES = 8192


class TenantError(ValueError):
    """A tenant resolver that cannot be read."""


class Resolver(NamedTuple):
    """One way to find the tenant.

    is_trusted: the app itself vouches for it, not the client. needs_scope: more than the headers are looked at.
    """

    resolve: Resolve
    is_trusted: bool = False
    needs_scope: bool = False


class TenantHolder:
    """Holds the tenant of one piece of work that is no request."""

    # A request is changed in place, so that a dependency running in a thread is heard; other work gets a new holder.
    is_request = False
    # A request knows its own; elsewhere the process's first agent counts.
    agent: Any = None
    is_metered = False

    def __init__(self, tenant: str = "", row_tenant: Any = None, user_id: str = "") -> None:
        self.tenant, self.row_tenant, self.user_id = tenant, row_tenant, user_id

    def find_tenant(self) -> str:
        return self.tenant


# The request or holder that the current context belongs to; set for a request only where others may change
# OpenTelemetry's context, such as middlewares that begin a fresh one from the headers.
current_work: ContextVar[Any] = ContextVar("tocsin_work", default=None)


def work_at_hand() -> Any:
    """The request or holder of here and now, or None."""
    work = current_work.get()
    if work is None:
        span = current_context().get(SPAN_KEY)
        # What the property `root` gives, at half the price.
        root = getattr(span, "_parent_root", None) or span
        work = root if getattr(root, "is_request", False) else None
    return work


def current_tenant() -> str | None:
    """The tenant of the current request or job, or None."""
    work = work_at_hand()
    return (work.find_tenant() or None) if work is not None else None


def set_tenant(tenant: str | None, row_tenant: Any = None) -> None:
    """Says whose work this is; wins over every resolver. None takes the name away.

    row_tenant: how rows name this tenant where that differs, such as 17 for "acme"; for the isolation monitor.

    Inside a request it holds for the whole request, also when called from a dependency that runs in a thread.
    Elsewhere it holds for the current context (task or thread) and what is started from it.
    """
    name = clean(tenant)
    work = work_at_hand()
    if work is not None and work.is_request:
        work.tenant = name
        work.has_tenant = True
        if row_tenant is not None or work.row_tenant is not None:
            work.row_tenant = row_tenant
    else:
        current_work.set(TenantHolder(name, row_tenant, getattr(work, "user_id", "")))


def set_user(user_id: object) -> None:
    """Says who is signed in: an id, not a name. It stands on the log lines of the request or job, and of what these
    queue. None takes it away."""
    name = clean(user_id)
    work = work_at_hand()
    if work is not None and work.is_request:
        work.user_id = name
    else:
        tenant, row_tenant = (work.tenant, work.row_tenant) if work is not None else ("", None)
        current_work.set(TenantHolder(tenant, row_tenant, name))


def wrap(function: Callable[P, R]) -> Callable[P, R]:
    """The function, bound to the tenant and the span of here and now; for threads and `run_in_executor`.

    asyncio tasks, `asyncio.to_thread` and Starlette's `run_in_threadpool` carry both by themselves.
    """
    context = copy_context()

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # A context can be entered only once at a time: several threads may run this function.
        return context.copy().run(function, *args, **kwargs)

    return call


def clean(tenant: object) -> str:
    """A tenant as it is recorded: text, stripped, printable, at most 128 characters."""
    if not tenant:
        return ""
    name = (tenant if isinstance(tenant, str) else str(tenant)).strip()[:_TENANT_CHARACTERS]
    return name if name.isprintable() else "".join(filter(str.isprintable, name))


def parse_resolvers(spec: object) -> tuple[Resolver, ...]:
    """The resolvers that a setting names, in order. Raises TenantError on one that does not exist."""
    if not spec:
        return ()
    if callable(spec):
        return (Resolver(_from_callable(spec), is_trusted=True, needs_scope=True),)
    if not isinstance(spec, str):
        raise TenantError(f"cannot find tenants by {spec!r}: neither text nor callable; write 'header:X-Tenant-ID'")
    return tuple(_parse_resolver(part.strip()) for part in spec.split(",") if part.strip())


def resolve_first(resolvers: tuple[Resolver, ...], scope: Scope, headers: Headers) -> str:
    """The first tenant that a resolver finds, or ''."""
    for resolver in resolvers:
        found = resolver.resolve(scope, headers)
        if found:
            return found
    return ""


def join_resolvers(resolvers: tuple[Resolver, ...]) -> Resolve | None:
    """One function that asks them in turn; the only one itself, None when there are none."""
    if len(resolvers) <= 1:
        return resolvers[0].resolve if resolvers else None
    return functools.partial(resolve_first, resolvers)


def _parse_resolver(part: str) -> Resolver:
    kind, _, argument = part.partition(":")
    maker = _MAKERS.get(kind.strip().lower())
    if maker is None or (not argument.strip() and kind != "subdomain"):
        raise TenantError(
            f"cannot find tenants by {part!r}: unknown or incomplete; "
            "write header:<name>, jwt:<claim>, subdomain, subdomain:<domain> or path:<parameter>"
        )
    return Resolver(maker(argument.strip()), needs_scope=maker is _from_path)


def _from_callable(function: Callable[..., object]) -> Resolve:
    def resolve(scope: Scope, headers: Headers) -> str | None:
        return clean(attempt("tenant callable", lambda: function(scope), None))

    return resolve


def _from_header(name: str) -> Resolve:
    key = name.lower().encode("latin-1")
    kept: dict[bytes, str] = {}

    def resolve(scope: Scope, headers: Headers) -> str | None:
        value = headers.get(key)
        if not value:
            return None
        found = kept.get(value)
        if found is None:
            if len(kept) >= _VALUES_KEPT:
                kept.clear()
            found = kept[value] = clean(value.decode("latin-1"))
        return found

    return resolve


def _from_path(name: str) -> Resolve:
    def resolve(scope: Scope, headers: Headers) -> str | None:
        value = scope.get("path_params", {}).get(name)
        return None if value is None else clean(value)

    return resolve


def _from_subdomain(domain: str) -> Resolve:
    suffix = f".{domain.lower().strip('.')}" if domain else ""

    def resolve(scope: Scope, headers: Headers) -> str | None:
        host = headers.get(b"host", b"").decode("latin-1").rpartition("@")[2].lower()
        host = host.partition(":")[0] if not host.startswith("[") else ""
        if suffix:
            return clean(host[: -len(suffix)]) if host.endswith(suffix) else None
        labels = host.split(".")
        # Without a domain to compare with: the first of at least three labels that are no IPv4 address.
        return clean(labels[0]) if len(labels) > 2 and not labels[-1].isdigit() and labels[0] != "www" else None

    return resolve


def _from_jwt(claim: str) -> Resolve:
    kept: dict[bytes, str] = {}

    def resolve(scope: Scope, headers: Headers) -> str | None:
        authorization = headers.get(b"authorization")
        if not authorization or authorization[:7].lower() != b"bearer " or len(authorization) > _TOKEN_BYTES:
            return None
        found = kept.get(authorization)
        if found is None:
            if len(kept) >= _TOKENS_KEPT:
                kept.clear()
            found = kept[authorization] = _read_claim(authorization[7:].strip(), claim)
        return found

    return resolve


def _read_claim(token: bytes, claim: str) -> str:
    """A claim of a JWT as text, dots going into objects; '' when absent. The signature is not looked at."""
    parts = token.split(b".")
    if len(parts) != 3:
        return ""
    try:
        value = json.loads(base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return ""
    # A claim may itself be named like a URL, so the whole name is tried first.
    for step in (claim,) if isinstance(value, dict) and claim in value else claim.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return clean(value) if isinstance(value, str | int) else ""


_MAKERS: dict[str, Callable[[str], Resolve]] = {
    "header": _from_header,
    "jwt": _from_jwt,
    "path": _from_path,
    "subdomain": _from_subdomain,
}
