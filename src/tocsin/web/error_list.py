"""Groups of errors as people see them: what occurred in the chosen time, what is known for ever, what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tocsin.model.errors import ErrorDecision, ErrorState, state_of
from tocsin.model.tenant import Scope
from tocsin.query.error_history import ErrorCourse, ErrorHistory, SeenIn, courses, histories
from tocsin.query.errors import ErrorGroup, error_groups
from tocsin.query.filters import Filter
from tocsin.storage.control import ControlStore
from tocsin.storage.telemetry.store import TelemetryStore
from tocsin.web.charts import spark

MOST_GROUPS = 200
SPARK_POINTS = 40

TABS = {"open": "open", "new": "new", "regressed": "came back", "resolved": "resolved", "ignored": "ignored"}


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One group. The lists are of the chosen time, the most frequent first, or of ever if it did not occur in it."""

    history: ErrorHistory
    count: int  # in the chosen time
    tenants: list[str]
    routes: list[str]
    state: ErrorState
    is_new: bool  # first seen ever in the chosen time
    decision: ErrorDecision | None
    course: ErrorCourse | None

    @property
    def fingerprint(self) -> str:
        return self.history.fingerprint

    @property
    def name(self) -> str:
        """The class without its module."""
        return self.history.type.rpartition(".")[2]

    @property
    def is_open(self) -> bool:
        """Whether somebody should look: nobody decided, or it came back."""
        return self.state in (ErrorState.OPEN, ErrorState.REGRESSED)

    def is_in(self, tab: str) -> bool:
        if tab == "new":
            return self.is_new and self.is_open
        return self.is_open if tab == "open" else self.state == tab

    def spark(self) -> tuple[str, str]:
        return spark(self.course.total, 120, 24) if self.course else ("", "")


def listed(store: TelemetryStore, control: ControlStore, scope: Scope, filter: Filter, now: datetime) -> list[ErrorRow]:
    """Every group of the filter, and those decided about that did not occur; what came back first, then new ones."""
    decisions = control.errors.all()
    groups = {group.fingerprint: group for group in error_groups(store, scope, filter, limit=MOST_GROUPS)}
    # An endpoint's page asks for what happened there.
    quiet = [] if filter.route is not None else [name for name in decisions if name not in groups]
    names = [*groups, *quiet[:MOST_GROUPS]]
    known = histories(store, scope, filter, names)
    over_time = courses(store, scope, filter, list(groups), SPARK_POINTS)
    rows = [
        _row(known[name], groups.get(name), decisions.get(name), over_time.get(name), filter, now)
        for name in names
        if name in known
    ]
    rank = {ErrorState.REGRESSED: 0, ErrorState.OPEN: 1, ErrorState.RESOLVED: 2, ErrorState.IGNORED: 3}
    return sorted(rows, key=lambda row: (rank[row.state], not row.is_new, -row.count, row.fingerprint))


def found(
    store: TelemetryStore, control: ControlStore, scope: Scope, filter: Filter, fingerprint: str, now: datetime
) -> ErrorRow | None:
    """One group, whether or not it occurred in the chosen time; None when it never did, or not in sight."""
    known = histories(store, scope, filter, [fingerprint]).get(fingerprint)
    if known is None:
        return None
    course = courses(store, scope, filter, [fingerprint]).get(fingerprint)
    return _row(known, None, control.errors.find(fingerprint), course, filter, now)


def _row(
    history: ErrorHistory,
    group: ErrorGroup | None,
    decision: ErrorDecision | None,
    course: ErrorCourse | None,
    filter: Filter,
    now: datetime,
) -> ErrorRow:
    seen = {part.name: instant(part.last_ns) for part in history.releases}
    count = group.count if group else sum(course.total) if course else 0
    return ErrorRow(
        # What is known for ever is counted approximately; it is never less than what the chosen time has.
        history=replace(history, count=max(history.count, count)),
        count=count,
        tenants=group.tenants if group else _names(history.tenants),
        routes=group.routes if group else _names(history.routes),
        state=state_of(decision, instant(history.last_ns), history.count, seen, now),
        is_new=history.first_ns >= filter.window.start_ns,
        decision=decision,
        course=course,
    )


def instant(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / 1e9, UTC)


def _names(parts: Sequence[SeenIn]) -> list[str]:
    return [part.name for part in parts]
