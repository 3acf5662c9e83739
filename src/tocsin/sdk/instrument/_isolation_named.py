"""Tenants that a text names, such as a key: held against the request's as rows are, and never by a guess alone."""

from __future__ import annotations

import uuid
from typing import Any

from tocsin.sdk.instrument._isolation_allowed import (
    NO_TENANT,
    SAMPLED,
    UNKNOWN_KEY,
    ask_allowed,
    has_mapping,
    is_among,
    is_canary,
    is_proof,
)
from tocsin.sdk.instrument._isolation_findings import Found, count_checked, report_crossing, report_exempt
from tocsin.sdk.isolation import crossing_reason, declared, forms
from tocsin.sdk.isolation_findings import EXEMPT, NOT_CHECKED, SCOPED
from tocsin.sdk.propagation import chance
from tocsin.sdk.tenant import work_at_hand

SCOPED_LABELS = (("result", SCOPED),)


class Place:
    """Where tenants are named: by `column` of `what`, a kind of key.

    is_declared: somebody has said so; is_certain: so that whatever stands there is a tenant. Any other place is
    settled once requests of tenants have named themselves there.
    """

    __slots__ = ("_tenants", "column", "is_certain", "is_declared", "is_settled", "what")

    def __init__(self, what: str, column: str, *, is_declared: bool, is_certain: bool) -> None:
        self.what, self.column, self.is_declared, self.is_certain = what, column, is_declared, is_certain
        self.is_settled = is_certain
        self._tenants: set[str] = set()

    def prove(self, tenant: str) -> None:
        if not self.is_settled:
            self._tenants.add(tenant)
            self.is_settled = is_proof(self._tenants)


def hold(metric: str, how: str, place: Place, value: Any, text: str, ratio: float) -> None:
    """Counts one named tenant under `metric`, and reports it when it is another than that of here and now."""
    work = work_at_hand()
    tenant: str = (work.find_tenant() or "") if work is not None else ""
    reason = crossing_reason.get()
    if reason:
        count_checked(metric, work, tenant, EXEMPT)
        report_exempt(work, tenant, reason)
    elif is_canary(value):
        count_checked(metric, work, tenant, *((SCOPED,) if tenant else (NOT_CHECKED, NO_TENANT)))
        report_crossing(Found(None, work, tenant, text), place.what, place.column, how, value, 0, True)
    elif not tenant:
        count_checked(metric, work, "", NOT_CHECKED, NO_TENANT)
    elif ratio < 1.0 and chance() >= ratio:
        count_checked(metric, work, tenant, NOT_CHECKED, SAMPLED)
    else:
        allowed = ask_allowed(tenant, work.row_tenant)
        if allowed is not None:
            _judge(metric, how, place, value, Found(None, work, tenant, text), allowed)


def _judge(metric: str, how: str, place: Place, value: Any, found: Found, allowed: frozenset[Any]) -> None:
    tenant = found.tenant
    if is_among(value, allowed) or is_among(value, forms(tenant)):
        place.prove(tenant)
        count_checked(metric, found.work, tenant, SCOPED)
    elif not allowed or not _is_surely_another(place, value, found):
        count_checked(metric, found.work, tenant, NOT_CHECKED, UNKNOWN_KEY)
    else:
        count_checked(metric, found.work, tenant, SCOPED)
        report_crossing(found, place.what, place.column, how, value, 0, place.is_declared)


def _is_surely_another(place: Place, value: Any, found: Found) -> bool:
    """Where nobody has declared the place: it has named tenants before, and this is the name of one.

    A declared one may use another kind of name than requests do, which is no proof of anything.
    """
    if not place.is_certain:
        return place.is_settled and is_among(value, frozenset(declared.names))
    return has_mapping(found.work) or _kind(value) == _kind(found.tenant)


def _kind(value: Any) -> str:
    text = str(value).strip()
    if text.isdigit():
        return "number"
    try:
        uuid.UUID(text)
    except ValueError:
        return "text"
    return "uuid"
