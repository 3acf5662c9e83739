"""What a report over log lines says, out of the groups the engine found.

Called by `tocsin logs analyze` for files and by /api/v1/logs/report for the store, so that both say the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tocsin.detect.patterns.tree import Pattern, PatternTree
from tocsin.model.log_levels import level_of
from tocsin.model.log_views import LogView
from tocsin.query.log_report import COUNTED, OUTSIDE, UNDATED, UNREADABLE, ReportGroup

MOST_TENANTS = 5
MOST_SHOWN = 3
"""Unreadable lines that are shown."""


@dataclass(slots=True)
class Finding:
    """Lines of a view that are the same kind of thing. what: the type of the error, the event's name, the endpoint, or
    '' where the pattern says it. seconds: the longest and the mean of those that tell a duration."""

    what: str
    pattern: str
    lines: int = 0
    tenants: Counter[str] = field(default_factory=Counter)
    first_us: int = 0
    last_us: int = 0
    most_seconds: float = 0.0
    sum_seconds: float = 0.0
    example: str = ""

    @property
    def mean_seconds(self) -> float:
        return self.sum_seconds / self.lines if self.lines else 0.0


@dataclass(slots=True)
class ViewReport:
    """One view: all its lines, and what they are, most lines first (the slowest first where it is about time)."""

    view: LogView
    lines: int
    findings: list[Finding]


@dataclass(slots=True)
class LogReport:
    """Lines that count, by level and tenant; those left out, with why; the views asked for. Times in microseconds of
    1970, 0 where no line tells one."""

    lines: int
    unreadable: int
    undated: int
    outside: int
    unreadable_examples: list[str]
    first_us: int
    last_us: int
    levels: dict[str, int]
    tenants: dict[str, int]
    views: list[ViewReport]

    @property
    def read(self) -> int:
        return self.lines + self.unreadable + self.undated + self.outside


def report_of(groups: Iterable[ReportGroup], views: Sequence[LogView]) -> LogReport:
    """The report; groups may come from several questions."""
    states: Counter[int] = Counter()
    levels: Counter[str] = Counter()
    tenants: Counter[str] = Counter()
    examples: list[str] = []
    first_us = last_us = 0
    tree = PatternTree()
    mine: list[tuple[ReportGroup, Pattern]] = []
    for group in groups:
        states[group.state] += group.lines
        if group.state == UNREADABLE and group.example and len(examples) < MOST_SHOWN:
            examples.append(group.example)
        if group.state != COUNTED:
            continue
        levels[level_of(group.severity)] += group.lines
        tenants[group.tenant] += group.lines
        first_us = min(first_us or group.first_us, group.first_us or first_us)
        last_us = max(last_us, group.last_us)
        if group.views:
            mine.append((group, tree.add_shape(group.shape)))
    found = [_view_report(view, 1 << place, mine, tree) for place, view in enumerate(views)]
    return LogReport(
        states[COUNTED], states[UNREADABLE], states[UNDATED], states[OUTSIDE], examples, first_us, last_us,
        dict(levels.most_common()), {name: count for name, count in tenants.most_common() if name}, found,
    )  # fmt: skip


def _view_report(view: LogView, bit: int, mine: Sequence[tuple[ReportGroup, Pattern]], tree: PatternTree) -> ViewReport:
    findings: dict[tuple[str, str], Finding] = {}
    for group, pattern in mine:
        if not group.views & bit:
            continue
        template = tree.now(pattern).template
        what = _what(view, group)
        key = (what, "" if view.took and what else template)
        _add(findings.setdefault(key, Finding(what, template)), group)
    ordered = sorted(
        findings.values(), key=lambda one: (-one.most_seconds if view.took else 0, -one.lines, one.what, one.pattern)
    )
    return ViewReport(view, sum(one.lines for one in ordered), ordered)


def _what(view: LogView, group: ReportGroup) -> str:
    if view.least_severity:
        return group.error_type
    if view.took:
        return group.place
    return group.name


def _add(finding: Finding, group: ReportGroup) -> None:
    if not finding.lines or group.most_seconds > finding.most_seconds:
        finding.example = group.example
    finding.lines += group.lines
    finding.first_us = min(finding.first_us or group.first_us, group.first_us or finding.first_us)
    finding.last_us = max(finding.last_us, group.last_us)
    finding.most_seconds = max(finding.most_seconds, group.most_seconds)
    finding.sum_seconds += group.sum_seconds
    if group.tenant:
        finding.tenants[group.tenant] += group.lines
