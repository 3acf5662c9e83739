"""Rules for the pages and routes: which ones somebody may see, previews and back-tests within what they may read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fastapi import HTTPException
from starlette.requests import HTTPConnection

from tocsin.detect.rules.alerting import Active, RuleState
from tocsin.detect.rules.demote import demoted_from
from tocsin.detect.rules.engine import RuleEngine
from tocsin.detect.rules.evaluation import Surroundings
from tocsin.detect.rules.group_run import GroupRun, names_of
from tocsin.detect.rules.marks import marks_by_rule
from tocsin.detect.rules.over_rows import rows_of
from tocsin.detect.rules.replay import Period, Replayed
from tocsin.model.access import Principal
from tocsin.model.labels import tenant_of
from tocsin.model.severity import SEVERITY_LABEL, Severity, severity_of
from tocsin.query.log_source import LogSource
from tocsin.query.promql.source import Source
from tocsin.storage.control.alerts import Marks
from tocsin.web.alerting import pipeline_of
from tocsin.web.metrics import promql_settings_of, reader_for

NIGHT = (22, 7)
"""From ten in the evening to seven in the morning a page wakes somebody, in the server's UTC."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """A rule with its group and how it is doing."""

    run: GroupRun
    state: RuleState


def engine_of(request: HTTPConnection) -> RuleEngine | None:
    """None where a site runs without rules."""
    return getattr(request.app.state.tocsin, "rules", None)


def may_see(principal: Principal, run: GroupRun) -> bool:
    """Rules over the platform are for who sees the platform."""
    return principal.scope.allows(run.tenant) if run.tenant else principal.scope.is_platform


def rule_marks(request: HTTPConnection, principal: Principal) -> dict[str, Marks]:
    """What the alerts of each rule, by its key, did in the time their history is kept, as far as this person may see
    them."""
    pipeline = pipeline_of(request)
    start = pipeline.clock() - timedelta(hours=pipeline.settings.history_hours)
    engine = engine_of(request)
    names = names_of(engine.groups) if engine is not None else {}
    return marks_by_rule(pipeline.control.alerts.marks(principal.scope, start=start), names)


def told_severity(state: RuleState) -> Severity:
    """As its alerts are told, which is lower than the rule says where it was mostly false."""
    return severity_of(state.labels[SEVERITY_LABEL]) if demoted_from(state.labels) is not None else state.rule.severity


def may_see_alert(principal: Principal, one: Active) -> bool:
    return principal.scope.is_platform or principal.scope.allows(tenant_of(one.labels))


def visible_groups(request: HTTPConnection, principal: Principal) -> list[GroupRun]:
    """By file and name."""
    engine = engine_of(request)
    found = [] if engine is None else [run for run in engine.groups if may_see(principal, run)]
    return sorted(found, key=lambda run: (run.file, run.name))


def rule_of(request: HTTPConnection, principal: Principal, key: str) -> Ruled:
    """Raises HTTPException 404."""
    engine = engine_of(request)
    found = engine.find(key) if engine else None
    if found is None or not may_see(principal, found[0]):
        raise HTTPException(404, f"cannot find rule '{key[:40]}': there is none, or it is not yours to see")
    return Ruled(found[0], found[0].states[found[1]])


def surroundings_for(request: HTTPConnection, principal: Principal, tenant: str = "") -> Surroundings:
    """What a rule of a tenant would see, as far as this person may."""
    scope = principal.scope.narrowed_to(tenant or None)
    source: Source = reader_for(request, scope)
    engine = engine_of(request)
    if engine is not None and (principal.scope.allows(tenant) if tenant else principal.scope.is_platform):
        source = engine.with_recent(tenant, source)
    store = request.app.state.tocsin.store
    return Surroundings(
        source,
        promql_settings_of(request),
        count_rows=rows_of(store, scope),
        open_lines=lambda: LogSource(store, scope),
    )


@dataclass(frozen=True, slots=True)
class Tally:
    """What a rule would have done over a span of time."""

    fires: int
    night_pages: int
    firing_seconds: float
    longest_seconds: float


def tally(replayed: Replayed, severity: Severity) -> Tally:
    """night_pages: fires at night of what is severe enough to wake somebody (P0 to P2)."""
    until = replayed.grid.end_ms
    seconds = [period.firing_seconds(until) for period in replayed.fires]
    pages = [period for period in replayed.fires if is_night(period)] if severity <= Severity.P2 else []
    return Tally(len(seconds), len(pages), sum(seconds), max(seconds, default=0.0))


def is_night(period: Period) -> bool:
    hour = datetime.fromtimestamp((period.fired_at_ms or 0) / 1000, UTC).hour
    return hour >= NIGHT[0] or hour < NIGHT[1]


def counts(runs: Sequence[GroupRun]) -> dict[str, int]:
    """Rules by their state; `all` without recording rules."""
    found = {"all": 0, "firing": 0, "pending": 0, "off": 0, "inactive": 0, "failing": 0}
    for run in runs:
        for state in run.states:
            found["failing"] += bool(state.error)
            if state.rule.is_alerting:
                found["all"] += 1
                found[state.state] += 1
    return found
