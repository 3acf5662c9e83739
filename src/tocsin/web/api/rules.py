"""Rules for programs: list, explain, switch; check, preview and back-test; the files made here."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

from tocsin.detect.rules.alerting import RuleError, moment
from tocsin.detect.rules.demote import demoted_from
from tocsin.detect.rules.library import CUSTOM
from tocsin.detect.rules.over_logs import LOGS
from tocsin.detect.rules.replay import Replayed, explain, grid_for, measured_by, measured_over, replay
from tocsin.detect.rules.rule import Group, Notes, Rule, RuleFile
from tocsin.detect.rules.rule_text import read_rules, unexportable, write_rules
from tocsin.model.yaml_text import TextError, read_yaml, write_yaml
from tocsin.query.promql.errors import PromQLError
from tocsin.query.promql.literals import parse_duration_ms
from tocsin.query.series import TooManySeriesError
from tocsin.storage.control.alerts import Marks
from tocsin.web.api.contract import BEARER, CONFLICT, MISSING, REFUSALS
from tocsin.web.api.dashboards import BodyText
from tocsin.web.auth import Anybody, Operator, Viewer
from tocsin.web.refusals import RefusingRoute
from tocsin.web.ruling import Ruled, engine_of, rule_marks, rule_of, surroundings_for, told_severity, visible_groups
from tocsin.web.state import control_of

router = APIRouter(
    prefix="/api/v1/rules",
    tags=["rules"],
    dependencies=[Depends(BEARER)],
    responses=REFUSALS,
    route_class=RefusingRoute,
)
YAML = "application/yaml"
FILE_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}")
FAULTS = (PromQLError, RuleError, TooManySeriesError)


class RuleSummary(BaseModel):
    """A rule and how it is doing."""

    key: str
    name: str
    kind: str = Field(description="alerting or recording")
    expr: str
    severity: str = Field(description="P0 to P4 as it is told, '' of a recording rule")
    demoted_from: str = Field("", description="What the rule itself says, where it was mostly false; else ''")
    fired: int = Field(0, description="Alerts of its name that fired in the time the history is kept")
    false_positives: int = Field(0, description="Of these, how many people called false")
    false_positive_ratio: float | None = Field(None, description="0 to 1; null where none fired")
    state: str = Field(description="firing, pending, inactive or off")
    waits_for: str = Field(description="The signal that does not exist yet")
    alerts: int
    error: str
    evaluated_at: datetime | None
    seconds: float


class GroupSummary(BaseModel):
    file: str
    name: str
    origin: str = Field(description="pack, folder or custom")
    tenant: str
    interval_seconds: float
    evaluated_at: datetime | None
    seconds: float
    missed: int = Field(description="Evaluations that came too late to be made, since the start")
    rules: list[RuleSummary]


class UnreadableFile(BaseModel):
    name: str
    reason: str


class RuleList(BaseModel):
    groups: list[GroupSummary]
    unreadable: list[UnreadableFile]


class VerdictShown(BaseModel):
    """Why a rule fired or did not for one label set."""

    labels: dict[str, str]
    value: float | None
    state: str
    pending_since: datetime | None
    fired_at: datetime | None
    reason: str


class Explanation(BaseModel):
    rule: RuleSummary
    at: datetime
    measured: str = Field(description="What is compared")
    operator: str
    threshold: float | None
    for_seconds: float
    verdicts: list[VerdictShown]
    reason: str = Field(description="Why there is no verdict at all, '' where there is one")


class Checked(BaseModel):
    problems: list[str]
    rules: int
    unexportable: list[str]


class PeriodShown(BaseModel):
    labels: dict[str, str]
    pending_at: datetime
    fired_at: datetime | None
    ended_at: datetime | None
    worst: float


class SeriesShown(BaseModel):
    labels: dict[str, str]
    points: list[tuple[int, float]] = Field(description="Unix milliseconds and values")


class Preview(BaseModel):
    measured: str
    operator: str
    threshold: float | None
    series: list[SeriesShown]
    periods: list[PeriodShown]


class Saved(BaseModel):
    id: str
    version: int


class FileSummary(BaseModel):
    id: str
    version: int
    changed_at: datetime
    changed_by: str


class FileList(BaseModel):
    files: list[FileSummary]


@router.get("", summary="List rules")
def list_rules(request: Request, principal: Anybody) -> RuleList:
    engine = engine_of(request)
    bad = engine.unreadable if engine and principal.scope.is_platform else []
    marks = rule_marks(request, principal)
    groups = []
    for run in visible_groups(request, principal):
        groups.append(
            GroupSummary(
                file=run.file,
                name=run.name,
                origin=run.loaded.origin,
                tenant=run.tenant,
                interval_seconds=run.interval_ms / 1000,
                evaluated_at=moment(run.evaluated_at_ms) if run.evaluated_at_ms else None,
                seconds=run.seconds,
                missed=run.missed,
                rules=[_summary(Ruled(run, state), marks.get(state.key)) for state in run.states],
            )
        )
    return RuleList(groups=groups, unreadable=[UnreadableFile(name=one.name, reason=one.reason) for one in bad])


@router.post("/validate", summary="Check rules without saving them")
def validate(viewer: Viewer, text: BodyText) -> Checked:
    try:
        file = read_rules(text, "these rules")
    except TextError as error:
        return Checked(problems=[str(problem) for problem in error.problems], rules=0, unexportable=[])
    return Checked(problems=[], rules=len(file.rules), unexportable=unexportable(file))


@router.post("/preview", summary="What an expression gave of late, and when it would have fired")
def preview(
    request: Request,
    viewer: Viewer,
    text: BodyText,
    for_: Annotated[str, Query(alias="for", description="How long it has to hold, such as 5m")] = "0s",
    since: Annotated[str, Query(description="How far back, such as 6h")] = "6h",
    over: Annotated[
        Literal["series", "logs", "events", "traces"], Query(description="What it is over; series takes PromQL")
    ] = "series",
) -> Preview:
    """The expression is the body: PromQL, over logs LogQL, over events and traces what stands below that key."""
    rule = _previewed(text, over, ms_of(for_) / 1000)
    now_ms = int(time.time() * 1000)
    span_ms = ms_of(since)
    grid = grid_for(now_ms - span_ms, now_ms, max(15.0, span_ms / 1000 / 500))
    around = surroundings_for(request, viewer)
    try:
        parts = measured_by(rule)
        found = replay(Group("preview", (rule,)), rule, around, grid)
        shown = measured_over(rule, around, grid)
    except FAULTS as error:
        raise HTTPException(422, f"cannot preview this rule: {error}; correct the expression") from error
    return Preview(
        measured=parts.text,
        operator=parts.operator,
        threshold=parts.threshold,
        series=[
            SeriesShown(labels=dict(one.labels), points=list(zip(one.times.tolist(), one.values.tolist(), strict=True)))
            for one in shown[:50]
        ],
        periods=periods_shown(found),
    )


def _previewed(text: str, over: str, for_seconds: float) -> Rule:
    """Raises HTTPException 422."""
    if over in ("series", LOGS):
        return Rule(
            alert="preview",
            expr=text.strip(),
            for_seconds=for_seconds,
            notes=Notes(source=LOGS if over == LOGS else ""),
        )
    try:
        condition = read_yaml(text, "this condition").value
        said = {"alert": "preview", "tocsin": {over: condition}}
        [rule] = read_rules(write_yaml({"groups": [{"name": "preview", "rules": [said]}]}), "preview").rules
    except TextError as error:
        raise HTTPException(422, f"cannot preview this rule: {error}; correct the condition") from error
    return replace(rule, for_seconds=for_seconds)


@router.get("/export", summary="Rules as every Prometheus reads them")
def export(
    request: Request,
    principal: Viewer,
    file: Annotated[str, Query(description="One file by name; all when it is left out")] = "",
) -> Response:
    """What cannot be said there is told in comments at the beginning; promtool check rules accepts it."""
    runs = [run for run in visible_groups(request, principal) if file in ("", run.file)]
    if not runs:
        raise HTTPException(404, f"cannot export '{file[:80]}': there are no such rules, or they are not yours to see")
    groups = tuple(_exported(run.group, f"{run.file}: {run.name}" if not file else run.name) for run in runs)
    made = RuleFile(file or "tocsin", groups)
    lost = "".join(f"# not here: {sentence}\n" for sentence in unexportable(made))
    return Response(lost + write_rules(made, classic=True), media_type=YAML)


def _exported(group: Group, name: str) -> Group:
    return Group(name, group.rules, group.interval_seconds, group.limit, None, group.labels)


@router.get("/files", summary="List rule files made here")
def list_files(request: Request, principal: Viewer) -> FileList:
    rows = control_of(request).rules.files()
    return FileList(files=[FileSummary.model_validate(one, from_attributes=True) for one in rows])


@router.get("/files/{id}", summary="Read a rule file made here", responses=MISSING)
def read_file(request: Request, principal: Viewer, id: str) -> Response:
    stored = control_of(request).rules.find(id)
    if stored is None:
        raise HTTPException(404, f"cannot find rules '{id[:80]}': none of that id were made here")
    return Response(stored.text, media_type=YAML, headers={"ETag": f'"{stored.version}"'})


@router.put("/files/{id}", summary="Write a rule file", responses=CONFLICT)
def write_file(
    request: Request,
    operator: Operator,
    id: str,
    text: BodyText,
    over_version: Annotated[int | None, Query(description="Refuse when there is another version by now")] = None,
) -> Saved:
    """The file as YAML in the body; it holds at once."""
    if not FILE_ID.fullmatch(id):
        raise HTTPException(422, f"cannot save rules '{id[:80]}': use small letters, digits, - and _ for the id")
    rules_in(text, CUSTOM + id)
    stored = control_of(request).rules.save(operator, id=id, text=text, over_version=over_version)
    if (engine := engine_of(request)) is not None:
        engine.reload()
    return Saved(id=id, version=stored.version)


@router.delete("/files/{id}", status_code=204, summary="Delete a rule file made here", responses=MISSING)
def delete_file(request: Request, operator: Operator, id: str) -> Response:
    control_of(request).rules.delete(operator, id)
    if (engine := engine_of(request)) is not None:
        engine.reload()
    return Response(status_code=204)


@router.get("/{key}", summary="One rule: why it fires or does not", responses=MISSING)
def explain_rule(
    request: Request,
    principal: Anybody,
    key: str,
    at: Annotated[float | None, Query(description="Unix seconds; now when it is left out")] = None,
) -> Explanation:
    ruled = rule_of(request, principal, key)
    at_ms = int((at if at is not None else time.time()) * 1000)
    return explanation(request, principal, ruled, at_ms)


def explanation(request: Request, principal: Anybody, ruled: Ruled, at_ms: int) -> Explanation:
    """Why a rule fired or did not at a time, for every label set that was measured then."""
    run, rule = ruled.run, ruled.state.rule
    marks = rule_marks(request, principal).get(ruled.state.key)
    said = Explanation(
        rule=_summary(ruled, marks), at=moment(at_ms), for_seconds=rule.for_seconds,
        measured=rule.expr, operator="", threshold=None, verdicts=[], reason="",
    )  # fmt: skip
    if not ruled.state.is_on:
        waits = f": it waits for {rule.notes.waits_for}" if rule.notes.waits_for else ""
        said.reason = f"the rule is switched off{waits}"
    try:
        if rule.expr or rule.notes.condition:
            parts = measured_by(rule)
            around = surroundings_for(request, principal, run.tenant)
            matched = "were counted" if rule.notes.condition else "match the expression"
            found = explain(run.group, rule, around, at_ms, run.interval_ms / 1000) if rule.is_alerting else []
            said.measured, said.operator, said.threshold = parts.text, parts.operator, parts.threshold
            said.verdicts = [_verdict(one) for one in found]
            if not found and rule.is_alerting and not said.reason:
                said.reason = f"nothing was measured: no {rule.over or 'series'} {matched} at this time"
    except FAULTS as error:
        said.reason = f"the expression cannot be evaluated: {error}"
    return said


def _verdict(one: Any) -> VerdictShown:
    return VerdictShown(
        labels=one.labels,
        value=one.value if one.value is not None and one.value == one.value else None,
        state=one.state,
        pending_since=moment(one.pending_at_ms) if one.pending_at_ms is not None else None,
        fired_at=moment(one.fired_at_ms) if one.fired_at_ms is not None else None,
        reason=one.reason,
    )


class Switch(BaseModel):
    is_on: bool


@router.post("/{key}/switch", status_code=204, summary="Switch a rule on or off", responses=MISSING)
def switch(request: Request, operator: Operator, key: str, asked: Switch) -> Response:
    """Audited. Switched off, its alerts are resolved."""
    rule_of(request, operator, key)
    engine = engine_of(request)
    assert engine is not None
    engine.switch(operator, key, asked.is_on)
    return Response(status_code=204)


def _summary(ruled: Ruled, marks: Marks | None) -> RuleSummary:
    state, rule = ruled.state, ruled.state.rule
    demoted = demoted_from(state.labels)
    said = marks if rule.is_alerting else None
    return RuleSummary(
        key=state.key,
        name=rule.name,
        kind="alerting" if rule.is_alerting else "recording",
        expr=rule.expr,
        severity=told_severity(state).name if rule.is_alerting else "",
        demoted_from=demoted.name if demoted is not None else "",
        fired=said.fired if said else 0,
        false_positives=said.false_positives if said else 0,
        false_positive_ratio=said.false_positive_ratio if said else None,
        state=state.state,
        waits_for=rule.notes.waits_for,
        alerts=sum(1 for one in list(state.alerts.values()) if one.is_active),
        error=state.error,
        evaluated_at=moment(state.evaluated_at_ms) if state.evaluated_at_ms else None,
        seconds=state.seconds,
    )


def periods_shown(found: Replayed) -> list[PeriodShown]:
    return [
        PeriodShown(
            labels=one.labels,
            pending_at=moment(one.pending_at_ms),
            fired_at=moment(one.fired_at_ms) if one.fired_at_ms is not None else None,
            ended_at=moment(one.ended_at_ms) if one.ended_at_ms is not None else None,
            worst=one.worst,
        )
        for one in found.periods[:1000]
    ]


def rules_in(text: str, name: str) -> RuleFile:
    try:
        return read_rules(text, name)
    except TextError as error:
        raise HTTPException(422, "; ".join(str(problem) for problem in error.problems[:20])) from error


def ms_of(text: str) -> int:
    try:
        return parse_duration_ms(text)
    except ValueError as error:
        raise HTTPException(422, f"cannot use '{text[:40]}' as a duration: {error}; write such as 6h or 7d") from error
