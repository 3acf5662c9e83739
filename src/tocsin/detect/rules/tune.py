"""Proposals for rules that ring for nothing: a longer `for`, a longer `keep_firing_for` or a stricter threshold.

Each is tried over stored history, which is read once a rule: a stricter rule breaches only where the rule did before.
One is proposed when it fires clearly less, loses nothing that was real, misses no more incidents, and still fires
whenever the rule fired long.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tocsin.detect.rules.precision import Mark, Precision, precision
from tocsin.detect.rules.replay import Measured, Replayed, measured_by, periods_of
from tocsin.detect.rules.rule import Group, Rule, RuleFile
from tocsin.detect.rules.rule_text import write_rules
from tocsin.query.promql.engine import ResultSeries

FOR_SECONDS = (60.0, 120.0, 300.0, 600.0, 900.0, 1800.0)
KEEP_SECONDS = (300.0, 600.0, 1800.0)
FACTORS = (1.25, 1.5, 2.0, 3.0)
CLEARLY_LESS = 0.7
"""Of the fires before: a proposal that spares less than three in ten is not worth a change."""
LONG_SECONDS = 900.0
_STRICTER = {">": 1, ">=": 1, "<": -1, "<=": -1}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


@dataclass(frozen=True, slots=True)
class Change:
    """A rule that says otherwise, in what, and what it would have done."""

    words: str
    replayed: Replayed

    @property
    def rule(self) -> Rule:
        return self.replayed.rule


@dataclass(frozen=True, slots=True)
class Proposal:
    """The best change of a rule. diff: of the rule's own YAML, as `diff -u` shows it."""

    change: Change
    before: Precision
    after: Precision
    diff: str


def proposal(group: Group, found: Replayed, marks: Sequence[Mark]) -> Proposal | None:
    """found: the rule as it is, over the history. None where no change is clearly better."""
    if len(found.fires) < 2:
        return None
    until, before = found.grid.end_ms, precision(found, marks, found.grid.end_ms)
    good: list[tuple[int, Change, Precision]] = []
    for change in _changes(group, found):
        after = precision(change.replayed, marks, until)
        fires = len(change.replayed.fires)
        if fires <= CLEARLY_LESS * len(found.fires) and _is_safe(found, change, before, after):
            good.append((fires, change, after))
    if not good:
        return None
    _, best, after = min(good, key=lambda each: each[0])  # the mildest of equals: they come in that order
    return Proposal(best, before, after, _diff(group, found.rule, best.rule))


def _is_safe(found: Replayed, change: Change, before: Precision, after: Precision) -> bool:
    if not change.replayed.fires and before.noise < len(found.fires):
        return False  # a rule that never fires is no proposal, unless all its fires were false
    return after.real >= before.real and after.missed <= before.missed and _keeps_long(found, change.replayed)


def _changes(group: Group, found: Replayed) -> Iterator[Change]:
    """The mildest first."""
    rule = found.rule
    for seconds in KEEP_SECONDS:
        if seconds > rule.keep_firing_for_seconds:
            words = f"keep_firing_for {_words(rule.keep_firing_for_seconds)} → {_words(seconds)}"
            yield _tried(group, replace(rule, keep_firing_for_seconds=seconds), words, found, found.series)
    for seconds in FOR_SECONDS:
        if seconds > rule.for_seconds:
            words = f"for {_words(rule.for_seconds)} → {_words(seconds)}"
            yield _tried(group, replace(rule, for_seconds=seconds), words, found, found.series)
    yield from _stricter(group, found)


def _stricter(group: Group, found: Replayed) -> Iterator[Change]:
    rule = found.rule
    if rule.notes.condition is not None:
        return  # a count of rows: its number is not in an expression
    parts = measured_by(rule)
    for factor in FACTORS:
        limit = _limit(parts, factor)
        text = _rewritten(rule.expr, parts, limit) if limit is not None else None
        if limit is None or text is None:
            continue
        is_more = _STRICTER[parts.operator] > 0
        series = [_beyond(one, limit, is_more, has_equal="=" in parts.operator) for one in found.series]
        changed = replace(rule, expr=text)
        yield _tried(group, changed, f"threshold {parts.threshold:g} → {limit:g}", found, series)


def _limit(parts: Measured, factor: float) -> float | None:
    """The threshold, so much further away; None for what is no plain one, and for shares that would pass 1."""
    if parts.threshold is None or parts.threshold <= 0 or parts.operator not in _STRICTER:
        return None
    limit = parts.threshold * factor if _STRICTER[parts.operator] > 0 else parts.threshold / factor
    limit = float(f"{limit:.3g}")
    return None if parts.threshold < 1 <= limit else limit


def _rewritten(expr: str, parts: Measured, limit: float) -> str | None:
    """The expression with the other threshold; None where it stands there not once."""
    pattern = re.compile(rf"(?<![<>=!]){re.escape(parts.operator)}(?!=)\s*(?:bool\s+)?({_NUMBER})(?![\w.])")
    places = [one for one in pattern.finditer(expr) if float(one[1]) == parts.threshold]
    return f"{expr[: places[0].start(1)]}{limit:g}{expr[places[0].end(1) :]}" if len(places) == 1 else None


def _beyond(series: ResultSeries, limit: float, is_more: bool, has_equal: bool) -> ResultSeries:
    values = np.asarray(series.values)
    kept = values > limit if is_more else values < limit
    if has_equal:
        kept |= values == limit
    return ResultSeries(series.labels, np.asarray(series.times)[kept], values[kept])


def _tried(group: Group, rule: Rule, words: str, found: Replayed, series: Sequence[ResultSeries]) -> Change:
    listed = list(series)
    return Change(words, Replayed(rule, found.grid, listed, periods_of(group, rule, listed, found.grid)))


def _keeps_long(found: Replayed, other: Replayed) -> bool:
    """Whether the other fires, too, within each time that this one fired long."""
    until = found.grid.end_ms
    spans = [(one.labels, one.fired_at_ms or 0, one.ended_at_ms or until) for one in other.fires]
    return all(
        any(labels == one.labels and start < (one.ended_at_ms or until) and end > (one.fired_at_ms or 0)
            for labels, start, end in spans)
        for one in found.fires
        if one.firing_seconds(until) >= LONG_SECONDS
    )  # fmt: skip


def _diff(group: Group, rule: Rule, changed: Rule) -> str:
    def text_of(one: Rule) -> list[str]:
        return write_rules(RuleFile(group.name, (replace(group, rules=(one,)),))).splitlines(keepends=True)

    return "".join(difflib.unified_diff(text_of(rule), text_of(changed), "now", "proposed"))


def _words(seconds: float) -> str:
    return f"{seconds / 60:g}m" if seconds >= 60 else f"{seconds:g}s"
