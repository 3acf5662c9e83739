"""A rule that people mostly called false is told one severity lower, until it is right again.

A P0 never is. What is active keeps the severity it was told with, so that no alert changes its labels while it fires.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from tocsin.detect.rules.alerting import RuleState
from tocsin.model.severity import SEVERITY_LABEL, Severity, is_known, severity_of
from tocsin.storage.control.alerts import Marks

log = structlog.get_logger("tocsin.rules")
DEMOTED_FROM = "demoted_from"
"""Label of what is told lower than its rule says; its value is the rule's own word."""

_LOWER = {Severity.P1: "high", Severity.P2: "warning", Severity.P3: "info"}


def judge(states: Iterable[RuleState], marks: Mapping[str, Marks], least: int, ratio: float) -> None:
    """Sets the labels of each rule by what people said of its alerts, by its key. least 0: nothing is demoted."""
    for state in states:
        if not state.rule.is_alerting:
            continue
        said = marks.get(state.key)
        wanted = _labels(state, least > 0 and said is not None and is_mostly_false(said, least, ratio))
        if wanted != state.labels:
            is_lower = DEMOTED_FROM in wanted
            log.warning("rules.demoted" if is_lower else "rules.restored", rule=state.rule.name, key=state.key)
            state.labels = wanted


def is_mostly_false(said: Marks, least: int, ratio: float) -> bool:
    found = said.false_positive_ratio
    return said.false_positives >= least and found is not None and found >= ratio


def demoted_from(labels: Mapping[str, str]) -> Severity | None:
    """What the rule itself says; None where it is told as it says."""
    return severity_of(labels[DEMOTED_FROM]) if DEMOTED_FROM in labels else None


def _labels(state: RuleState, is_wrong: bool) -> Mapping[str, str]:
    active = [one for one in state.alerts.values() if one.is_active]
    is_lower = any(DEMOTED_FROM in one.labels for one in active) if active else is_wrong
    own = dict(state.labels)
    if word := own.pop(DEMOTED_FROM, ""):
        own[SEVERITY_LABEL] = word
    said = own.get(SEVERITY_LABEL, "")
    lower = _LOWER.get(severity_of(said)) if is_known(said) else None
    return {**own, SEVERITY_LABEL: lower, DEMOTED_FROM: said} if is_lower and lower else own
