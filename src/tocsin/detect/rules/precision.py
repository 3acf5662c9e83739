"""How often a rule that fired in a back-test was right: its fires against what people and incidents said then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tocsin.detect.rules.demote import DEMOTED_FROM
from tocsin.detect.rules.replay import Period, Replayed
from tocsin.detect.rules.rule import Rule
from tocsin.model.alert import ALERT_NAME
from tocsin.model.labels import tenant_of
from tocsin.model.severity import SEVERITY_LABEL, Severity, severity_of

SLACK_MS = 15 * 60_000
"""An alert may be this much before the incident it belongs to, or after it."""

Kind = Literal["incident", "acted", "noise", "deploy"]


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of a time. acted, noise: what a person did about the alert `name`; '' and tenant '': of any.

    labels: of that alert, so that what was said of one of its series is not said of the others.
    """

    kind: Kind
    start_ms: int
    end_ms: int
    name: str = ""
    tenant: str = ""
    what: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        """As the rule says it, whatever it was told as."""
        return severity_of(self.labels.get(DEMOTED_FROM) or self.labels.get(SEVERITY_LABEL, ""))

    def fits(self, name: str, labels: Mapping[str, str], start_ms: int, end_ms: int) -> bool:
        if self.name and self.name != name:
            return False
        tenant = tenant_of(labels)
        if self.tenant and tenant and self.tenant != tenant:
            return False
        if any(self.labels.get(name, text) != text for name, text in labels.items()):
            return False
        return self.start_ms <= end_ms + SLACK_MS and start_ms <= self.end_ms + SLACK_MS


@dataclass(frozen=True, slots=True)
class Precision:
    """Fires of one rule. real: in an incident, or somebody acted; noise: called false; unjudged: nobody said anything.

    missed: incidents in which it did not fire. after_deploys: fires within a quarter of an hour after a deploy.
    """

    real: int = 0
    noise: int = 0
    unjudged: int = 0
    missed: int = 0
    after_deploys: int = 0

    @property
    def ratio(self) -> float | None:
        """Of those that were judged, how many were real; None where none was."""
        judged = self.real + self.noise
        return self.real / judged if judged else None


def precision(found: Replayed, marks: Sequence[Mark], until_ms: int) -> Precision:
    """A fire that was called false is noise, whatever else happened at the time."""
    name, fires = found.rule.name, found.fires
    marks = _about(found.rule, marks)
    verdicts = [_verdict(name, period, marks, until_ms) for period in fires]
    incidents = [mark for mark in marks if mark.kind == "incident"]
    return Precision(
        real=verdicts.count("real"),
        noise=verdicts.count("noise"),
        unjudged=verdicts.count(""),
        missed=sum(1 for one in incidents if not any(_fits(one, name, fire, until_ms) for fire in fires)),
        after_deploys=sum(1 for fire in fires if _is_after_deploy(fire, marks)),
    )


def _about(rule: Rule, marks: Sequence[Mark]) -> list[Mark]:
    """Without those of another rule of this name. What a rule adds to labels is not compared: it may be what changed.

    Rules that share a name differ by severity: where alerts of this one's were spoken of, those of the others are not
    its own.
    """
    severities = {mark.severity for mark in marks if mark.name == rule.name and mark.labels}
    has_own = rule.severity in severities
    own = {*rule.labels, SEVERITY_LABEL, ALERT_NAME}
    return [
        replace(mark, labels={name: text for name, text in mark.labels.items() if name not in own})
        for mark in marks
        if not (has_own and mark.name == rule.name and mark.labels and mark.severity != rule.severity)
    ]


def _verdict(name: str, period: Period, marks: Iterable[Mark], until_ms: int) -> str:
    kinds = {mark.kind for mark in marks if _fits(mark, name, period, until_ms)}
    if "noise" in kinds:
        return "noise"
    return "real" if kinds & {"incident", "acted"} else ""


def _fits(mark: Mark, name: str, period: Period, until_ms: int) -> bool:
    start_ms = period.fired_at_ms if period.fired_at_ms is not None else period.pending_at_ms
    return mark.fits(name, period.labels, start_ms, period.ended_at_ms or until_ms)


def _is_after_deploy(period: Period, marks: Iterable[Mark]) -> bool:
    at_ms = period.fired_at_ms or period.pending_at_ms
    return any(mark.kind == "deploy" and 0 <= at_ms - mark.start_ms <= SLACK_MS for mark in marks)
