"""What may be seen in the work of a tenant, and when a value surely names another one."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from tocsin.sdk.isolation import declared

# Why something was not checked.
NO_TENANT, UNKNOWN_KEY, NOT_UNDERSTOOD, SAMPLED, UNKNOWN_ROW = (
    "no_tenant", "unknown_key", "not_understood", "sampled", "unknown_row",
)  # fmt: skip

# While the product's own `tenant_key` is asked, which may itself query.
_asking: ContextVar[bool] = ContextVar("tocsin_asking_tenant_key", default=False)


def ask_allowed(tenant: str, row_tenant: Any) -> frozenset[Any] | None:
    """The values of a tenant's rows, empty when nobody knows; None while the product is being asked for them."""
    if _asking.get():
        return None
    token = _asking.set(True)
    try:
        return declared.find_allowed(tenant, row_tenant)
    finally:
        _asking.reset(token)


def is_proof(tenants: set[str]) -> bool:
    """A name that is equal is one; small numbers may be equal by chance, so there two tenants are needed."""
    return any(not tenant.isdigit() for tenant in tenants) or len(tenants) > 1


def is_canary(value: Any) -> bool:
    """Whether a value names a tenant that no customer has."""
    return bool(declared.now.canary) and value is not None and is_among(value, declared.now.canary)


def has_mapping(work: Any) -> bool:
    return declared.now.tenant_key is not None or work.row_tenant is not None


def is_among(value: Any, allowed: frozenset[Any]) -> bool:
    try:
        return value in allowed or str(value).strip().lower() in allowed
    except TypeError:
        return str(value).strip().lower() in allowed
