"""Proposals for rules that rang for nothing, each tried over stored history, as a diff of the rule's YAML."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from tocsin.detect.rules.alerting import moment
from tocsin.detect.rules.replay import Replayed, grid_for, replay
from tocsin.detect.rules.tune import Proposal, proposal
from tocsin.model.access import Principal
from tocsin.web.api.contract import BEARER, REFUSALS
from tocsin.web.api.rules import FAULTS, ms_of
from tocsin.web.auth import Viewer
from tocsin.web.backtest_marks import marks_of
from tocsin.web.refusals import RefusingRoute
from tocsin.web.ruling import Ruled, rule_marks, surroundings_for, tally, visible_groups

router = APIRouter(
    prefix="/api/v1/rules",
    tags=["rules"],
    dependencies=[Depends(BEARER)],
    responses=REFUSALS,
    route_class=RefusingRoute,
)
MOST_RULES = 20
RULE_SECONDS = 20.0


class Tried(BaseModel):
    """What a rule did, or would have done."""

    fires: int
    night_pages: int
    real: int
    noise: int
    precision: float | None


class Tuned(BaseModel):
    """A change of one rule that rings less and loses nothing that was real."""

    rule: str
    key: str
    file: str
    change: str = Field(examples=["for 1m → 5m"])
    now: Tried
    proposed: Tried
    diff: str = Field(description="Of the rule's YAML, as diff -u shows it")


class Tuning(BaseModel):
    looked_at: list[str] = Field(description="Rules that fired in this time, the most frequent first")
    proposals: list[Tuned]
    failed: dict[str, str] = Field(description="Rules that cannot be replayed, with why")


@router.post("/tune", summary="Proposals for rules that ring for nothing")
def tune_rules(
    request: Request,
    viewer: Viewer,
    since: Annotated[str, Query(description="How far back, such as 7d")] = "7d",
    rule: Annotated[str, Query(description="Only the rule of this name")] = "",
) -> Tuning:
    """Nothing is changed: take the diffs over into your rule files."""
    now_ms = int(time.time() * 1000)
    start_ms = now_ms - ms_of(since)
    marks = marks_of(request, viewer, moment(start_ms), moment(now_ms))
    found = Tuning(looked_at=[], proposals=[], failed={})
    for ruled in _frequent(request, viewer, rule):
        name, run = ruled.state.rule.name, ruled.run
        found.looked_at.append(name)
        around = surroundings_for(request, viewer, run.tenant)
        seconds = min(RULE_SECONDS, around.settings.timeout_seconds)
        around = replace(around, settings=replace(around.settings, timeout_seconds=seconds))
        try:
            replayed = replay(run.group, ruled.state.rule, around, grid_for(start_ms, now_ms, run.interval_ms / 1000))
        except FAULTS as error:
            found.failed[name] = str(error)
            continue
        if (made := proposal(run.group, replayed, marks)) is not None:
            found.proposals.append(_tuned(ruled, replayed, made))
    return found


def _frequent(request: Request, principal: Principal, name: str) -> list[Ruled]:
    """Alerting rules that are on and fired of late, or the one of that name."""
    fired = rule_marks(request, principal)
    every = [Ruled(run, state) for run in visible_groups(request, principal) for state in run.states]
    on = [one for one in every if one.state.is_on and one.state.rule.is_alerting]
    if name:
        return [one for one in on if one.state.rule.name == name]
    rung = [one for one in on if one.state.key in fired and fired[one.state.key].fired > 1]
    return sorted(rung, key=lambda one: -fired[one.state.key].fired)[:MOST_RULES]


def _tuned(ruled: Ruled, replayed: Replayed, made: Proposal) -> Tuned:
    severity = ruled.state.rule.severity
    before, after = tally(replayed, severity), tally(made.change.replayed, severity)
    return Tuned(
        rule=ruled.state.rule.name,
        key=ruled.state.key,
        file=ruled.run.file,
        change=made.change.words,
        now=Tried(
            fires=before.fires, night_pages=before.night_pages,
            real=made.before.real, noise=made.before.noise, precision=made.before.ratio,
        ),
        proposed=Tried(
            fires=after.fires, night_pages=after.night_pages,
            real=made.after.real, noise=made.after.noise, precision=made.after.ratio,
        ),
        diff=made.diff,
    )  # fmt: skip
