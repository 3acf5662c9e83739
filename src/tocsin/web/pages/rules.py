"""Rules: every rule there is, whether it fires, and whether it is evaluated as it should be."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tocsin.detect.rules.alerting import RuleState
from tocsin.model.access import Role
from tocsin.web import rules_headline
from tocsin.web.page import Page
from tocsin.web.ruling import engine_of, rule_marks, told_severity, visible_groups
from tocsin.web.view import View, view_of

page = Page(id="rules", title="Rules", group="", path="/rules", order=4, key="l", notes_reads=False)
router = APIRouter()
STATES = {
    "": "watched", "firing": "firing", "pending": "pending", "failing": "failing", "off": "off", "all": "all",
}  # fmt: skip


@router.get(page.path)
def rules(view: Annotated[View, Depends(view_of(page))], show: str = "") -> Response:
    runs = visible_groups(view.request, view.principal)
    engine = engine_of(view.request)
    unreadable = engine.unreadable if engine and view.scope.is_platform else []
    show = show if show in STATES else ""
    groups = [(run, [state for state in run.states if _is_shown(state, show)]) for run in runs]
    return view.render(
        headline=rules_headline.rules(view.speech, runs, unreadable),
        groups=[(run, states) for run, states in groups if states],
        unreadable=unreadable,
        show=show,
        told_severity=told_severity,
        marks=rule_marks(view.request, view.principal),
        states=STATES,
        may_edit=view.principal.has(Role.OPERATOR),
    )


def _is_shown(state: RuleState, show: str) -> bool:
    match show:
        case "all":
            return True
        case "":
            return state.is_on
        case "failing":
            return bool(state.error)
    return state.state == show
