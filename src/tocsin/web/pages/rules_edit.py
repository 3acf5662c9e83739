"""Rules made here, as text: checked with exact errors, previewed over the last hours, saved, deleted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, HTTPException
from starlette.responses import RedirectResponse, Response

from tocsin.detect.rules.alerting import moment
from tocsin.detect.rules.library import CUSTOM
from tocsin.detect.rules.precision import Precision, precision
from tocsin.detect.rules.replay import Replayed, backtest
from tocsin.detect.rules.rule import RuleFile
from tocsin.detect.rules.rule_text import read_rules
from tocsin.model.access import Role
from tocsin.model.yaml_text import Problem, TextError
from tocsin.query import evaluate
from tocsin.storage.control import Taken
from tocsin.web import format
from tocsin.web.api.rules import FILE_ID
from tocsin.web.backtest_marks import marks_of
from tocsin.web.metric_charts import MetricChart
from tocsin.web.page import Page
from tocsin.web.refusals import RefusingRoute
from tocsin.web.rule_charts import rule_chart
from tocsin.web.ruling import Tally, engine_of, surroundings_for, tally
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of
from tocsin.web.words import Headline, Part

page = Page(
    id="rules_edit", title="Edit rules", group="", path="/rules-edit/{id}", order=5, role=Role.OPERATOR,
    parent="rules", notes_reads=False,
)  # fmt: skip
router = APIRouter(route_class=RefusingRoute)
Editing = Annotated[View, Depends(view_of(page))]
MOST_PREVIEWED = 6
NEW = """groups:
  - name: {id}
    rules:
      - alert: MyAlert
        expr: sum by (job) (rate(http_errors_total[5m])) > 1
        for: 5m
        labels: {{severity: warning}}
        annotations:
          summary: "{{{{ $labels.job }}}} has {{{{ $value | humanize }}}} errors a second"
"""


@dataclass(frozen=True, slots=True)
class Previewed:
    """A rule over the chosen time: its chart, and what it would have done."""

    replayed: Replayed
    tally: Tally
    judged: Precision
    drawn: MetricChart | None


@router.get("/rules-new")
def new(view: Editing, id: str = "") -> Response:
    """Leads to the page of an id that is not taken."""
    wanted = id if FILE_ID.fullmatch(id) else "mine"
    taken = {one.id for one in control_of(view.request).rules.files()}
    free = next(name for name in (wanted, *(f"{wanted}-{n}" for n in range(2, 1000))) if name not in taken)
    return RedirectResponse(view.link(f"/rules-edit/{free}"), 303)


@router.get(page.path)
def edit(view: Editing, id: str) -> Response:
    stored = control_of(view.request).rules.find(_checked(id))
    text = stored.text if stored else NEW.format(id=id)
    return _shown(view, id, text, stored.version if stored else 0, [], None)


@router.post(page.path)
def change(
    view: Editing,
    id: str,
    text: Annotated[str, Form()],
    version: Annotated[int, Form()],
    action: Annotated[Literal["check", "save"], Form()] = "check",
) -> Response:
    """Checks and previews; saves when asked and nothing is wrong."""
    text = text.replace("\r\n", "\n")
    try:
        file = read_rules(text, CUSTOM + _checked(id))
    except TextError as error:
        return _shown(view, id, text, version, error.problems, None)
    if action == "save":
        try:
            control_of(view.request).rules.save(view.principal, id=id, text=text, over_version=version)
        except Taken as error:
            return _shown(view, id, text, version, [Problem("", 0, str(error))], file)
        _reload(view)
        return RedirectResponse(view.link("/rules"), 303)
    return _shown(view, id, text, version, [], file)


@router.post("/rules-edit/{id}/delete")
def delete(view: Editing, id: str) -> Response:
    control_of(view.request).rules.delete(view.principal, _checked(id))
    _reload(view)
    return RedirectResponse(view.link("/rules"), 303)


def _checked(id: str) -> str:
    if not FILE_ID.fullmatch(id):
        raise HTTPException(404, "Rules have ids of small letters, digits, - and _.")
    return id


def _reload(view: View) -> None:
    if (engine := engine_of(view.request)) is not None:
        engine.reload()


def _shown(view: View, id: str, text: str, version: int, problems: list[Problem], file: RuleFile | None) -> Response:
    state, said = "quiet", f"The rules {id} are edited as text." if version else f"New rules, to be kept as {id}."
    if problems:
        count = len(problems)
        state, said = "warn", f"These rules cannot be read yet: {count} thing{'s are' if count > 1 else ' is'} wrong."
    previews = _previews(view, file) if file else []
    if file and not problems:
        fires = sum(one.tally.fires for one in previews)
        said = f"These rules read well; in {view.span_words} they would have fired {format.plural(fires, 'time')}. "
        said += "They are not saved yet."
    return view.render(
        page_title=f"Edit {id}",
        headline=Headline(state, (Part(said),)),
        id=id,
        text=text,
        version=version,
        problems=problems,
        previews=previews,
    )


def _previews(view: View, file: RuleFile) -> list[Previewed]:
    around = surroundings_for(view.request, view.principal, file.tenant)
    start_ms, end_ms = view.window.start_ns // 1_000_000, min(view.window.end_ns // 1_000_000, int(time.time() * 1000))
    step = evaluate.step_ms(view.window, points=480) / 1000
    replayed = backtest(file, around, start_ms, end_ms, step)[:MOST_PREVIEWED]
    marks = marks_of(view.request, view.principal, moment(start_ms), moment(end_ms))
    return [
        Previewed(
            one,
            tally(one, one.rule.severity),
            precision(one, marks, end_ms),
            None if one.error else rule_chart(f"p{place}", one.rule, around, view.window, one.fires),
        )
        for place, one in enumerate(replayed)
    ]
