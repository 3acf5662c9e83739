"""What people decided about groups of errors, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ErrorState(StrEnum):
    """Where a group stands: nobody decided, it was fixed, it came back after that, nobody wants to hear of it."""

    OPEN = "open"
    REGRESSED = "regressed"
    RESOLVED = "resolved"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class ErrorDecision:
    """The last decision about a group; a reopened group has none.

    releases: resolved "in the next release": those that had it by then, whose occurrences say nothing. until, or
    occurrences more than `occurrences_then`, end an ignore; without either it lasts.
    """

    fingerprint: str
    is_resolved: bool  # else ignored
    decided_at: datetime
    decided_by: str
    note: str = ""
    releases: tuple[str, ...] = ()
    until: datetime | None = None
    occurrences: int | None = None
    occurrences_then: int = 0


def state_of(
    decision: ErrorDecision | None,
    last_seen: datetime,
    occurrences: int,
    releases_seen: Mapping[str, datetime],
    now: datetime,
) -> ErrorState:
    """The state of a group seen so often until now. releases_seen: each release with when it was seen last."""
    if decision is None:
        return ErrorState.OPEN
    if not decision.is_resolved:
        is_over = decision.until is not None and now >= decision.until
        more = occurrences - decision.occurrences_then
        is_over = is_over or (decision.occurrences is not None and more >= decision.occurrences)
        return ErrorState.OPEN if is_over else ErrorState.IGNORED
    if decision.releases:
        later = (at for release, at in releases_seen.items() if release not in decision.releases)
        is_back = any(at > decision.decided_at for at in later)
    else:
        is_back = last_seen > decision.decided_at
    return ErrorState.REGRESSED if is_back else ErrorState.RESOLVED
