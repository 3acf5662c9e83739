"""Inhibition: while a source alert fires, its targets are not told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tocsin.alerts.matcher_text import all_match
from tocsin.model.alert import Alert
from tocsin.query.promql.matchers import Matcher


@dataclass(frozen=True, slots=True)
class InhibitRule:
    """Alerts that match `source` hold back those that match `target` and have the same values of `equal`.

    note: why, for whoever asks; '' for rules of an alertmanager.yml, which do not say.
    """

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()
    line: int = 0
    note: str = ""


@dataclass(slots=True)
class Inhibitor:
    """The rules with what fires now, looked up by the labels that must be equal.

    An alert that matches both sides of a rule cannot be inhibited by another of which that is also true, itself
    included.
    """

    rules: tuple[InhibitRule, ...]
    _sources: list[dict[tuple[str, ...], list[tuple[Alert, bool]]]] = field(init=False)

    def __post_init__(self) -> None:
        self._sources = [{} for _ in self.rules]

    @classmethod
    def over(cls, rules: tuple[InhibitRule, ...], alerts: Iterable[Alert]) -> Inhibitor:
        made = cls(rules)
        for alert in alerts if rules else ():
            made.add(alert)
        return made

    def add(self, alert: Alert) -> None:
        for rule, found in zip(self.rules, self._sources, strict=True):
            if all_match(rule.source, alert.labels):
                is_target = all_match(rule.target, alert.labels)
                found.setdefault(_equals(rule, alert.labels), []).append((alert, is_target))

    def inhibited_by(self, labels: Mapping[str, str], now: datetime) -> list[Alert]:
        """The alerts that hold back one with these labels: the first of each rule."""
        return [source for _, source in self.inhibitions(labels, now)]

    def inhibitions(self, labels: Mapping[str, str], now: datetime) -> list[tuple[InhibitRule, Alert]]:
        """The same with the rules by which they do."""
        found = []
        for rule, sources in zip(self.rules, self._sources, strict=True):
            candidates = sources.get(_equals(rule, labels))
            if not candidates or not all_match(rule.target, labels):
                continue
            is_source = all_match(rule.source, labels)
            for alert, is_target in candidates:
                if not alert.is_resolved(now) and not (is_source and is_target):
                    found.append((rule, alert))
                    break
        return found


def cycles(alerts: Mapping[str, Alert], inhibitor: Inhibitor, now: datetime) -> list[tuple[str, str]]:
    """Pairs of alerts that hold back each other, so that nobody is told of either: a fault of the rules."""
    by = {
        key: {source.fingerprint for source in inhibitor.inhibited_by(alert.labels, now)}
        for key, alert in alerts.items()
        if not alert.is_resolved(now)
    }
    return sorted({(min(one, other), max(one, other)) for one in by for other in by[one] if one in by.get(other, ())})


def _equals(rule: InhibitRule, labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in rule.equal)
