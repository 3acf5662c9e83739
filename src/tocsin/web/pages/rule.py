"""One rule: what it measures against its threshold, why it fires or does not at an instant, and how it is tested."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.responses import RedirectResponse, Response

from tocsin.detect.rules.evaluation import Surroundings
from tocsin.detect.rules.library import CUSTOM
from tocsin.detect.rules.replay import Period, replay
from tocsin.detect.rules.rule import Rule
from tocsin.detect.rules.rule_text import write_rules
from tocsin.detect.rules.tested import cases_of
from tocsin.model.access import Role
from tocsin.model.runbooks import runbook_link
from tocsin.query import evaluate
from tocsin.web import rules_headline
from tocsin.web.api.rules import FAULTS, explanation
from tocsin.web.auth import Operator
from tocsin.web.page import Page
from tocsin.web.rule_charts import rule_chart
from tocsin.web.ruling import Ruled, engine_of, rule_marks, rule_of, surroundings_for
from tocsin.web.view import View, view_of

page = Page(id="rule", title="Rule", group="", path="/rules/{key}", order=4, parent="rules", notes_reads=False)
router = APIRouter()
PAGE_SECONDS = 20.0


@router.get(page.path)
def rule(view: Annotated[View, Depends(view_of(page))], key: str, at: str = "") -> Response:
    ruled = rule_of(view.request, view.principal, key)
    at_ms = _instant(view, at) or view.window.end_ns // 1_000_000
    why = explanation(view.request, view.principal, ruled, at_ms)
    periods = _periods(view, ruled)
    group = replace(ruled.run.group, rules=(ruled.state.rule,))
    return view.render(
        page_title=ruled.state.rule.name,
        headline=rules_headline.rule(view.speech, ruled, why),
        ruled=ruled,
        rule=ruled.state.rule,
        why=why,
        marks=rule_marks(view.request, view.principal).get(ruled.state.key) if ruled.state.rule.is_alerting else None,
        at_ns=at_ms * 1_000_000,
        drawn=rule_chart("rule", ruled.state.rule, _around(view, ruled), view.window, periods),
        runbook_link=runbook_link,
        periods=[period for period in reversed(periods) if period.fired_at_ms is not None][:50],
        cases=cases_of(ruled.run.file, ruled.state.rule.name),
        custom=ruled.run.file.removeprefix(CUSTOM) if ruled.run.loaded.origin == "custom" else "",
        text=write_rules(replace(ruled.run.loaded.file, groups=(group,))),
        may_edit=view.principal.has(Role.OPERATOR),
    )


@router.post("/rules/{key}/switch")
def switch(
    operator: Operator, view: Annotated[View, Depends(view_of(page))], key: str, is_on: Annotated[bool, Form()]
) -> Response:
    """Audited. Switched off, its alerts are resolved."""
    rule_of(view.request, operator, key)
    engine = engine_of(view.request)
    assert engine is not None
    engine.switch(operator, key, is_on)
    return RedirectResponse(view.link(f"/rules/{key}"), 303)


def _instant(view: View, text: str) -> int | None:
    """Milliseconds of Unix seconds, or of a time of the reader's zone as a field gives it."""
    try:
        return round(float(text) * 1000) if text else None
    except (ValueError, OverflowError):
        pass  # no number
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round((said if said.tzinfo else said.replace(tzinfo=view.zone)).timestamp() * 1000)


def _around(view: View, ruled: Ruled) -> Surroundings:
    """What the rule sees, within the time that a page may take."""
    around = surroundings_for(view.request, view.principal, ruled.run.tenant)
    settings = replace(around.settings, timeout_seconds=min(PAGE_SECONDS, around.settings.timeout_seconds))
    return replace(around, settings=settings)


def _periods(view: View, ruled: Ruled) -> list[Period]:
    found: Rule = ruled.state.rule
    if not found.is_alerting:
        return []
    step = max(evaluate.step_ms(view.window, points=480), ruled.run.interval_ms)
    try:
        return replay(ruled.run.group, found, _around(view, ruled), evaluate.grid_of(view.window, step)).periods
    except FAULTS:
        return []  # the explanation says what is wrong
