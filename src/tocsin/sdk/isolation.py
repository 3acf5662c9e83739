"""How the product keeps its tenants apart: which columns name them, and the work that may cross between them.

The product declares; `instrument/isolation.py` checks. Nothing here touches a database.
"""

from __future__ import annotations

import functools
import inspect
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tocsin.sdk.guard import attempt

if TYPE_CHECKING:
    from tocsin.sdk.settings import Settings

C = TypeVar("C", bound=Callable[..., Any])

# Columns that name a tenant wherever they occur. Not account_id, customer_id, company_id, user_id: in many products
# these are things that a tenant owns.
COLUMNS = ("tenant_id", "tenant", "tenant_slug", "org_id", "organisation_id", "organization_id")

_KEPT = 10_000
# After `tenant_key` had no answer for a tenant.
_ASK_AGAIN_SECONDS = 30.0
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)

_PLACE = "{tenant}"
_PATTERN_PARTS = re.compile(r"(\{tenant\}|\*)")

TenantKey = Callable[[str], Any]


class IsolationError(ValueError):
    """A declaration that cannot be used; the message says what to write instead."""


@dataclass(frozen=True)
class KeyPattern:
    """How keys of a cache name their tenant: `org:{tenant}:*`; without `{tenant}` they are everybody's."""

    text: str
    regex: re.Pattern[str]

    @property
    def names_tenant(self) -> bool:
        return _PLACE in self.text

    @property
    def is_certain(self) -> bool:
        """Whether a key that fits can be nothing else: `{tenant}:*` fits each key with a colon in it."""
        return self.text.partition(_PLACE)[0].strip("*{") != ""


@dataclass(frozen=True)
class Declaration:
    """models: table in small letters -> column, '' for none. shared: values that stand for everybody's rows.

    key_patterns: the first that fits a key counts. canary: tenants of no customer, in all forms.

    is_explicit: somebody has declared something, so that columns found by their name are meant.
    """

    columns: tuple[str, ...] = COLUMNS
    models: Mapping[str, str] = field(default_factory=dict)
    exempt: frozenset[str] = frozenset()
    shared: tuple[Any, ...] = ()
    tenant_key: TenantKey | None = None
    key_patterns: tuple[KeyPattern, ...] = ()
    job_arguments: frozenset[str] = frozenset()
    canary: frozenset[Any] = frozenset()
    is_explicit: bool = False


class Declared:
    """The declaration of this process, and what follows from it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unknown: dict[tuple[str, Any], float] = {}
        self.now = Declaration()
        self.version = 0
        # The values that rows of a tenant may have, shared ones included, by its name and what `set_tenant` said of
        # its rows.
        self.allowed: dict[tuple[str, Any], frozenset[Any]] = {}
        # Which tenant a value of a row stands for, as far as requests have told.
        self.names: dict[Any, str] = {}

    def change(self, **changes: Any) -> None:
        self.now = replace(self.now, **changes)
        self.version += 1
        self.allowed.clear()
        self._unknown.clear()

    def forget(self) -> None:
        self.now = Declaration()
        self.version += 1
        self.allowed.clear()
        self._unknown.clear()
        self.names.clear()

    def find_allowed(self, tenant: str, row_tenant: Any) -> frozenset[Any]:
        """What `allowed` has of a tenant, found when it is new; empty when nobody knows."""
        key = (tenant, row_tenant)
        found = self.allowed.get(key)
        if found is not None:
            return found
        if self._unknown.get(key, 0.0) > self._clock():
            return frozenset()
        found = self._make_allowed(tenant, row_tenant)
        if len(self.allowed) >= _KEPT or len(self._unknown) >= _KEPT:
            self.allowed.clear()
            self.names.clear()
            self._unknown.clear()
        if found:
            self.allowed[key] = found
        else:
            # The product may know later: the tenant is new, or its database did not answer.
            self._unknown[key] = self._clock() + _ASK_AGAIN_SECONDS
        return found

    def name_of(self, value: Any) -> str:
        """The tenant of a row's value, by the name it has in requests when one has been seen."""
        return self.names.get(value) or str(value)

    def _make_allowed(self, tenant: str, row_tenant: Any) -> frozenset[Any]:
        make = self.now.tenant_key
        if row_tenant is None:
            row_tenant = attempt("tenant_key", functools.partial(make, tenant), None) if make is not None else tenant
        if row_tenant is None:
            return frozenset()
        own = forms(row_tenant)
        self.names.update(dict.fromkeys(own, tenant))
        for name in forms(tenant):
            # What rows say wins where one tenant's name is another's number.
            self.names.setdefault(name, tenant)
        return own.difference(self.now.canary).union({None}, *(forms(value) for value in self.now.shared))


declared = Declared()

# Why the work of here and now may cross between tenants; '' when it may not.
crossing_reason: ContextVar[str] = ContextVar("tocsin_crossing_reason", default="")


def forms(value: Any) -> frozenset[Any]:
    """The ways in which drivers hand out one key: text, number, UUID; texts in small letters, too."""
    text = str(value).strip()
    found = {value, text, text.lower()}
    if text.isdigit():
        found.add(int(text))
    elif _UUID.fullmatch(text):
        same = uuid.UUID(text)
        found |= {same, str(same), same.hex, same.bytes}
    return frozenset(found)


def may_be_equal_kind(value: Any, tenant: str) -> bool:
    """False when a row's value can never be a request's tenant: a number against a name, a UUID against none."""
    if isinstance(value, bool | int):
        return tenant.isdigit()
    return not isinstance(value, uuid.UUID | bytes) or _UUID.fullmatch(tenant) is not None


def isolation(
    *,
    tenant_columns: Iterable[str] | None = None,
    models: Mapping[Any, str] | None = None,
    exempt_tables: Iterable[Any] | None = None,
    shared: Iterable[Any] | None = None,
    tenant_key: TenantKey | None = None,
    key_patterns: Iterable[str] | None = None,
    job_arguments: Iterable[str] | None = None,
    canary: Iterable[Any] | None = None,
) -> None:
    """Declares how tables name their tenant; every row and statement is then held against the request's tenant.

    tenant_columns: names that do so in every table. models: mapped class, Table or table name -> column, where it has
    another name. exempt_tables: those of everybody. shared: values such as '*' that mark rows for all tenants (NULL
    always does). tenant_key: from the request's tenant to the value in rows, when they differ; called once a tenant.
    key_patterns: how keys of Redis name a tenant, such as 'org:{tenant}:*'; without '{tenant}': keys of everybody.
    job_arguments: arguments of background jobs that name a tenant, beside those called like tenant columns.
    canary: tenants that no customer has, whose rows nobody may read, in whatever work.
    What is left out stays as declared before.
    """
    about_rows = (tenant_columns, models, exempt_tables, shared, tenant_key)
    changes: dict[str, Any] = {"is_explicit": declared.now.is_explicit or any(each is not None for each in about_rows)}
    if tenant_columns is not None:
        changes["columns"] = _names(tenant_columns, "tenant_columns")
    if models is not None:
        changes["models"] = {**declared.now.models, **{_table(model): str(c).lower() for model, c in models.items()}}
    if exempt_tables is not None:
        if isinstance(exempt_tables, str):
            raise IsolationError(f"cannot exempt {exempt_tables!r}: one text; write a list such as ['{exempt_tables}']")
        changes["exempt"] = frozenset(_table(table) for table in exempt_tables)
    if shared is not None:
        changes["shared"] = (shared,) if isinstance(shared, str) else tuple(shared)
    if key_patterns is not None:
        changes["key_patterns"] = read_key_patterns(key_patterns)
    if job_arguments is not None:
        changes["job_arguments"] = frozenset(_names(job_arguments, "job_arguments"))
    if canary is not None:
        changes["canary"] = _canary((canary,) if isinstance(canary, str) else canary)
    if tenant_key is not None:
        if not callable(tenant_key) or inspect.iscoroutinefunction(tenant_key):
            raise IsolationError(f"cannot use tenant_key {tenant_key!r}: not a plain function of the tenant's name")
        changes["tenant_key"] = tenant_key
    declared.change(**changes)


def configure(settings: Settings) -> None:
    """What settings and environment say; calls of `isolation` win over it."""
    changes: dict[str, Any] = {}
    now = declared.now
    if settings.isolation_columns and now.columns == COLUMNS:
        changes["columns"] = _names(settings.isolation_columns, "isolation_columns")
    if settings.isolation_exempt_tables and not now.exempt:
        changes["exempt"] = frozenset(_table(table) for table in settings.isolation_exempt_tables)
    if settings.isolation_shared and not now.shared:
        changes["shared"] = settings.isolation_shared
    is_explicit = bool(changes) or now.is_explicit
    if settings.isolation_key_patterns and not now.key_patterns:
        changes["key_patterns"] = read_key_patterns(settings.isolation_key_patterns)
    if settings.isolation_job_arguments and not now.job_arguments:
        changes["job_arguments"] = frozenset(_names(settings.isolation_job_arguments, "isolation_job_arguments"))
    if settings.isolation_canary and not now.canary:
        changes["canary"] = _canary(settings.isolation_canary)
    if changes:
        declared.change(is_explicit=is_explicit, **changes)


def _canary(tenants: Iterable[Any]) -> frozenset[Any]:
    return frozenset(form for tenant in tenants for form in forms(tenant) if form not in ("", None))


def read_key_patterns(texts: Iterable[str]) -> tuple[KeyPattern, ...]:
    """Raises IsolationError for one text instead of a list, and for patterns that name no or several tenants."""
    if isinstance(texts, str):
        raise IsolationError(f"cannot read key_patterns {texts!r}: one text; write a list such as ['{texts}']")
    return tuple(_key_pattern(text.strip()) for text in texts)


def _key_pattern(text: str) -> KeyPattern:
    if not text.strip("*") or text.count(_PLACE) > 1:
        cause = "nothing but stars" if not text.strip("*") else "it names several tenants"
        raise IsolationError(f"cannot read key pattern {text!r}: {cause}; write one such as 'org:{_PLACE}:*'")
    made, parts = "", _PATTERN_PARTS.split(text)
    for number, part in enumerate(parts):
        if part == _PLACE:
            after = parts[number + 1][:1]
            made += f"([^{re.escape(after)}]+)" if after else "([^:/|]+)"
        else:
            made += ".*" if part == "*" else re.escape(part)
    return KeyPattern(text, re.compile(made, re.DOTALL))


class cross_tenant:  # a context manager, named as it is used
    """Work that may see rows of several tenants: `with tocsin.cross_tenant("nightly invoice run"): …`.

    Also `async with`, and a decorator of functions and coroutine functions. It holds for statements run inside, in
    this task or thread and those started from it; each is counted and noted under its reason.
    """

    def __init__(self, reason: str) -> None:
        if not isinstance(reason, str) or not reason.strip():
            raise IsolationError("cannot cross tenants without a reason: an audit would ask; write one in a few words")
        self.reason = reason.strip()[:200]
        self._tokens: list[Token[str]] = []

    def __enter__(self) -> Self:
        self._tokens.append(crossing_reason.set(self.reason))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        token = self._tokens.pop()
        try:
            crossing_reason.reset(token)
        except ValueError:
            # A generator closed in another context, as of a dependency with yield: that one has nothing to undo.
            crossing_reason.set("")

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, stack)

    def __call__(self, function: C) -> C:
        reason = self.reason
        call: Any
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call(*args: Any, **kwargs: Any) -> Any:
                with cross_tenant(reason):
                    return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def call(*args: Any, **kwargs: Any) -> Any:
                with cross_tenant(reason):
                    return function(*args, **kwargs)

        given: C = call
        return given


def _names(names: Iterable[str], what: str) -> tuple[str, ...]:
    if isinstance(names, str):
        raise IsolationError(f"cannot read {what} {names!r}: one text; write a list such as ['{names}']")
    found = tuple(name.strip().lower() for name in names if name.strip())
    if not found:
        raise IsolationError(f"cannot read {what}: no name in it; write one such as 'org_id', or leave it out")
    return found


def _table(model: Any) -> str:
    """The table's own name in small letters, of a mapped class, a Table or a text with or without schema."""
    name = model if isinstance(model, str) else getattr(getattr(model, "__table__", model), "name", None)
    if not isinstance(name, str):
        raise IsolationError(f"cannot declare {model!r}: no mapped class, table or name of one")
    return name.rpartition(".")[2].strip('"`').lower()
