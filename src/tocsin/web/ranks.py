"""A tenant's place among the tenants, in words."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.query.tenants import TenantRow
from tocsin.web import format

FEWEST = 3
"""Below so many tenants a place says nothing."""


def percentile_rank(values: Sequence[float], own: float) -> float:
    """The part (0-1) of the values that are below `own`; those equal to it count half, itself not at all."""
    others = len(values) - 1
    if others < 1:
        return 0.0
    below, equal = sum(value < own for value in values), sum(value == own for value in values) - 1
    return (below + equal / 2) / others


def waits_words(rows: Sequence[TenantRow], tenant: str) -> str:
    """How long a tenant waits against the others: 'slower than 9 of 10 tenants'; '' where that says nothing."""
    return _words(
        rows, tenant, [row.red.p95_seconds or 0.0 for row in rows], ("slowest", "slower", "fastest", "faster")
    )


def failures_words(rows: Sequence[TenantRow], tenant: str) -> str:
    """The same for the failed part of its requests."""
    ratios = [row.red.error_ratio for row in rows]
    if not any(ratios):
        return ""
    return _words(rows, tenant, ratios, ("most often hurt", "fails more", "least often hurt", "fails less"))


def _words(rows: Sequence[TenantRow], tenant: str, values: Sequence[float], words: tuple[str, str, str, str]) -> str:
    own = next((value for row, value in zip(rows, values, strict=True) if row.tenant == tenant), None)
    if own is None or len(rows) < FEWEST:
        return ""
    most, more, least, less = words
    rank, others = percentile_rank(values, own), len(rows) - 1
    if rank == 1:
        return f"the {most} of {len(rows):,} tenants"
    if rank == 0:
        return f"the {least} of {len(rows):,} tenants"
    below, above = (sum(value < own for value in values), sum(value > own for value in values))
    if 0.4 <= rank <= 0.6 or below == above:
        return f"{'in the middle of' if most == 'slowest' else 'fails as often as most of'} {len(rows):,} tenants"
    if rank > 0.5:
        return f"{more} than {_part(below, others)}"
    return f"{less} than {_part(above, others)}"


def _part(count: int, of: int) -> str:
    """'86 % of the other tenants' of many, '9 of the other 13 tenants' of few."""
    return f"{count} of the other {of} tenants" if of <= 20 else f"{format.share(count / of)} % of the other tenants"
