"""What a release did: compared with the one before it, the faults that came with it, the flags changed meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query.annotations import FLIP, told
from tocsin.query.deployments import Deployment, deployments, predecessor, releases
from tocsin.query.events import EventRecord
from tocsin.query.filters import Filter
from tocsin.query.release_compare import (
    SECOND_NS,
    Comparison,
    NewFault,
    Side,
    compare,
    new_faults,
    sides_around,
    sides_of,
)
from tocsin.query.significance import Verdict
from tocsin.storage.telemetry.store import TelemetryStore

MOST_FLIPS = 5
FLIP_SECONDS = 1800
"""Before and after a change of a flag."""


@dataclass(frozen=True, slots=True)
class FlagChange:
    """A flag that changed near a release, and what its tenant's requests (or everybody's) did then."""

    flag: str
    variant: str
    before: str
    tenant: str
    time_ns: int
    text: str
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class ReleaseReport:
    """One release. before and comparison are None for the first that was ever seen."""

    release: Deployment
    before: Deployment | None
    comparison: Comparison | None
    faults: Sequence[NewFault] = ()
    flags: Sequence[FlagChange] = ()

    @property
    def verdict(self) -> Verdict:
        if self.faults:
            return Verdict.WORSE
        return self.comparison.verdict if self.comparison else Verdict.UNKNOWN


def found_release(every: Sequence[Deployment], release: str) -> Deployment | None:
    """The one heard of last among those of this name: it may run in several environments."""
    return max((one for one in every if one.release == release), key=lambda one: one.last_seen_ns, default=None)


def report(
    store: TelemetryStore,
    scope: Scope,
    one: Deployment,
    before: Deployment | None,
    now_ns: int,
    tenant: str | None = None,
    *,
    with_flags: bool = True,
) -> ReleaseReport:
    """All of it, for the scope's tenants or the one that is asked for."""
    asked = Filter(_window_of(one, now_ns), one.environment, tenant, one.service)
    comparison = compare(store, scope, asked, *sides_of(before, one, now_ns)) if before else None
    faults = new_faults(store, scope, one, tenant) if before else []
    flags = flag_changes(store, scope, asked, now_ns) if with_flags else []
    return ReleaseReport(one, before, comparison, faults, flags)


def flag_changes(
    store: TelemetryStore, scope: Scope, asked: Filter, now_ns: int, flag: str | None = None
) -> list[FlagChange]:
    """The flags (or the one of that name) that changed in the filter's window, newest first, with what came of it."""
    deploys = [one.at_ns for one in deployments(store, replace(asked, tenant=None))]
    flips = [event for event in told(store, scope, asked, [FLIP], 200) if _is_about(event, flag)]
    return [_flag_change(store, scope, asked, event, now_ns, deploys) for event in flips[:MOST_FLIPS]]


def _is_about(event: EventRecord, flag: str | None) -> bool:
    key = event.attributes.get("feature_flag.key")
    return bool(key) and (flag is None or key == flag)


def _flag_change(
    store: TelemetryStore, scope: Scope, asked: Filter, event: EventRecord, now_ns: int, deploys: Sequence[int]
) -> FlagChange:
    said = event.attributes
    of = Filter(asked.window, asked.environment, event.tenant or asked.tenant, event.service)
    found = compare(store, scope, of, *sides_around(event.time_ns, now_ns, FLIP_SECONDS, deploys))
    return FlagChange(
        str(said["feature_flag.key"]), str(said.get("feature_flag.result.variant", "")),
        str(said.get("tocsin.flag.before", "")), event.tenant, event.time_ns, event.body, found,
    )  # fmt: skip


def pairs(
    store: TelemetryStore, service: str | None, environment: str | None, reader: Scope
) -> list[tuple[Deployment, Deployment | None]]:
    """Every release that answered the reader's tenants with the one before it, newest first."""
    every = releases(store, service, environment, reader)
    return [(one, predecessor(every, one)) for one in every]


def chosen_sides(every: Sequence[Deployment], older: str, newer: str, now_ns: int) -> tuple[Side, Side] | None:
    """The sides of any two releases of one service; None when one is not known."""
    one = found_release(every, newer)
    if one is None:
        return None
    same_place = [other for other in every if other.environment == one.environment]
    before = found_release(same_place, older)
    return sides_of(before, one, now_ns) if before else None


def _window_of(one: Deployment, now_ns: int) -> Window:
    """An hour before the deploy to an hour after it."""
    hour = 3600 * SECOND_NS
    return Window(max(0, one.at_ns - hour), max(one.at_ns + 1, min(one.at_ns + hour, now_ns)))
