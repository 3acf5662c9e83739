"""Rules and groups of rules as a rule file says them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.model.rows import Rows
from tocsin.model.severity import SEVERITY_LABEL, Severity, severity_of

DEFAULT_INTERVAL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Condition:
    """`tocsin: {events: …}` or `tocsin: {traces: …}` of a rule: these rows, counted within the last `within_seconds`.

    The rule gives the label sets with at least `count` rows, until the window is past.
    """

    rows: Rows
    count: float = 1.0
    within_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class InsteadOf:
    """`tocsin: {instead_of: …}` of a rule: an alert that says the same less well, where these labels are equal."""

    alert: str
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Notes:
    """What stands below `tocsin:` of a rule. waits_for: the signal that does not exist yet, the rule is off then.

    source: `logs` for an expression in LogQL, '' for PromQL. condition: what is counted instead of an expression.
    profiles: those with which it is on, all when there are none. rows: the requirements it fills, for whoever counts.
    instead_of: the alert that is told to nobody while this one fires, because it is the same fact.
    """

    waits_for: str = ""
    is_off: bool = False
    title: str = ""
    rows: tuple[str, ...] = ()
    audience: str = ""
    profiles: tuple[str, ...] = ()
    condition: Condition | None = None
    instead_of: InsteadOf | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Of an alerting rule `alert` is the name, of a recording rule `record`; never both."""

    record: str = ""
    alert: str = ""
    expr: str = ""
    for_seconds: float = 0.0
    keep_firing_for_seconds: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    line: int = 0

    @property
    def name(self) -> str:
        return self.alert or self.record

    @property
    def is_alerting(self) -> bool:
        return bool(self.alert)

    @property
    def over(self) -> str:
        """What it looks at: `events`, `traces`, `logs`, or '' for series."""
        return self.notes.condition.rows.table if self.notes.condition else self.notes.source

    @property
    def severity(self) -> Severity:
        return severity_of(self.labels.get(SEVERITY_LABEL, ""))

    def is_on_with(self, profile: str) -> bool:
        """Whether it is evaluated unless somebody switches it."""
        notes = self.notes
        return not notes.is_off and not notes.waits_for and (not notes.profiles or profile in notes.profiles)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other at the same time. labels are added to those of each rule.

    interval_seconds and query_offset_seconds None: as the server is set. limit 0: no limit.
    """

    name: str
    rules: tuple[Rule, ...]
    interval_seconds: float | None = None
    limit: int = 0
    query_offset_seconds: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    line: int = 0

    def labels_of(self, rule: Rule) -> dict[str, str]:
        """A rule's own labels win over those of its group."""
        return {**self.labels, **rule.labels}


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One file. tenant: whose series its rules read and write; '' for the whole platform."""

    name: str
    groups: tuple[Group, ...]
    tenant: str = ""

    @property
    def rules(self) -> list[Rule]:
        return [rule for group in self.groups for rule in group.rules]


def keys_of(file: RuleFile, group: Group) -> list[str]:
    """The id of each rule of a group: the same as long as file, group, name and labels are, whatever else changes."""
    keys: list[str] = []
    for rule in group.rules:
        said = "\0".join((file.name, group.name, rule.name, *(f"{k}={v}" for k, v in sorted(rule.labels.items()))))
        key = hashlib.sha256(said.encode()).hexdigest()[:16]
        while key in keys:  # two rules of the same name and labels
            key = hashlib.sha256(key.encode()).hexdigest()[:16]
        keys.append(key)
    return keys
