"""Rules over a span of time at once: when they were pending and firing, what was measured, and why at one instant.

One range query a rule, then the same steps as the evaluation by the clock takes. For previews, back-tests, pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import replace as with_changes

import numpy as np

from tocsin.detect.rules.alerting import Alerts, Found, stepped, with_alert_name
from tocsin.detect.rules.evaluation import Surroundings
from tocsin.detect.rules.over_logs import LOGS, range_of, threshold_of
from tocsin.detect.rules.over_rows import described
from tocsin.detect.rules.over_rows import range_of as rows_range_of
from tocsin.detect.rules.rule import Group, Rule, RuleFile
from tocsin.detect.rules.template import Subject, TemplateError, filled
from tocsin.model.alert import fingerprint_of
from tocsin.model.labels import METRIC_NAME
from tocsin.query.promql.engine import ResultSeries, range_query
from tocsin.query.promql.expressions import COMPARISONS, Binary, Expression, NumberLiteral, Unary, unwrapped
from tocsin.query.promql.parser import parse
from tocsin.query.promql.source import Grid, Hints, Matcher, Series, Source, WholeSource

MOST_STEPS = 10_000


@dataclass(slots=True)
class Period:
    """One alert from the first breach to its end. fired_at_ms None: only pending; ended_at_ms None: it lasts."""

    labels: dict[str, str]
    pending_at_ms: int
    fired_at_ms: int | None = None
    ended_at_ms: int | None = None
    worst: float = 0.0

    def firing_seconds(self, until_ms: int) -> float:
        if self.fired_at_ms is None:
            return 0.0
        return ((self.ended_at_ms or until_ms) - self.fired_at_ms) / 1000


@dataclass(slots=True)
class Replayed:
    """What became of one rule over the grid. `series` are what its expression gave."""

    rule: Rule
    grid: Grid
    series: list[ResultSeries]
    periods: list[Period] = field(default_factory=list)
    error: str = ""

    @property
    def fires(self) -> list[Period]:
        return [period for period in self.periods if period.fired_at_ms is not None]


def grid_for(start_ms: int, end_ms: int, interval_seconds: float) -> Grid:
    """Every interval, or as often as is affordable."""
    step = max(round(interval_seconds * 1000), -(-(end_ms - start_ms) // MOST_STEPS), 1000)
    first = start_ms // step * step
    return Grid(first, max(first, end_ms // step * step), step)


def replay(group: Group, rule: Rule, around: Surroundings, grid: Grid) -> Replayed:
    """The rule as if it had been evaluated at every time of the grid. Raises PromQLError, RuleError."""
    series = _given(rule, around, grid)
    made = Replayed(rule, grid, series)
    if rule.is_alerting:
        made.periods = periods_of(group, rule, series, grid)
    return made


def _given(rule: Rule, around: Surroundings, grid: Grid) -> list[ResultSeries]:
    """What the rule gives over a time: what breaches its threshold, where it has one."""
    if rule.notes.condition is not None:
        return rows_range_of(around.count_rows, rule.notes.condition, grid, rule.notes.condition.count)
    return _values(rule, rule.expr, around, grid)


def measured_over(rule: Rule, around: Surroundings, grid: Grid) -> list[ResultSeries]:
    """What the rule measures over a time, whatever its threshold. Raises PromQLError, RuleError."""
    if rule.notes.condition is not None:
        return rows_range_of(around.count_rows, rule.notes.condition, grid)
    return _values(rule, measured_by(rule).text, around, grid)


def _values(rule: Rule, text: str, around: Surroundings, grid: Grid) -> list[ResultSeries]:
    """An expression in the rule's language over a time."""
    if rule.notes.source == LOGS:
        return range_of(around.open_lines, text, grid)
    return range_query(around.source, text, grid.start_ms, grid.end_ms, grid.step_ms, around.settings).series


def periods_of(group: Group, rule: Rule, series: Sequence[ResultSeries], grid: Grid) -> list[Period]:
    """When the rule was pending and fired, where these series are what breaches its threshold."""
    labels = [_labels(group, rule, one.labels) for one in series]
    by_time: dict[int, list[Found]] = {}
    for named, one in zip(labels, series, strict=True):
        for at, value in zip(one.times.tolist(), one.values.tolist(), strict=True):
            by_time.setdefault(at, []).append(Found(named, {}, value))
    open_periods: dict[str, Period] = {}
    done: list[Period] = []
    alerts: Alerts = {}
    for at in grid.times.tolist():
        found = by_time.get(at, [])
        if found or alerts:
            alerts = stepped(rule, alerts, found, at, group.limit)
            _note(alerts, open_periods, done, at)
    return sorted([*done, *open_periods.values()], key=lambda period: period.pending_at_ms)


def _note(alerts: Alerts, open_periods: dict[str, Period], done: list[Period], at_ms: int) -> None:
    for key, one in alerts.items():
        if one.is_active:
            period = open_periods.setdefault(key, Period(dict(one.labels), one.active_at_ms, worst=one.value))
            period.fired_at_ms = one.fired_at_ms
            period.worst = max(period.worst, one.value, key=abs)
    for key in list(open_periods):
        if key not in alerts or not alerts[key].is_active:
            open_periods[key].ended_at_ms = at_ms
            done.append(open_periods.pop(key))


def _labels(group: Group, rule: Rule, labels: dict[str, str]) -> dict[str, str]:
    bare = {name: text for name, text in labels.items() if name != METRIC_NAME}
    subject = Subject(labels, 0.0)
    own = {}
    for name, text in group.labels_of(rule).items():
        try:
            own[name] = filled(text, subject)
        except TemplateError:
            own[name] = text
    return with_alert_name(rule, {**bare, **own})


class Recorded(WholeSource):
    """A source over another with the series that recording rules of a file would have written."""

    def __init__(self, inner: Source) -> None:
        self._inner = inner
        self._names: set[str] = set()
        self._series: list[Series] = []

    def add(self, group: Group, rule: Rule, series: Sequence[ResultSeries]) -> None:
        self._names.add(rule.record)
        for one in series:
            labels = {**one.labels, METRIC_NAME: rule.record, **group.labels_of(rule)}
            labels = {name: text for name, text in labels.items() if text}
            self._series.append(Series(labels, np.asarray(one.times), np.asarray(one.values)))

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: Hints) -> list[Series]:
        """What the file records itself is not looked up in the store: it may say something else there."""
        ours = [name for name in self._names if _may_be(matchers, name)]
        stored = self._inner.select(matchers, start_ms, end_ms, hints)
        if not ours:
            return stored
        kept = [one for one in stored if one.labels.get(METRIC_NAME) not in self._names]
        for one in self._series:
            if all(matcher.matches(one.labels.get(matcher.name, "")) for matcher in matchers):
                first, behind = np.searchsorted(one.timestamps, [start_ms, end_ms], side="right")
                if behind > first:
                    kept.append(Series(one.labels, one.timestamps[first:behind], one.values[first:behind]))
        return sorted(kept, key=lambda one: sorted(one.labels.items()))


def _may_be(matchers: Sequence[Matcher], name: str) -> bool:
    return all(matcher.matches(name) for matcher in matchers if matcher.name == METRIC_NAME)


def backtest(
    file: RuleFile, around: Surroundings, start_ms: int, end_ms: int, interval_seconds: float
) -> list[Replayed]:
    """Every rule of the file over stored history; recording rules feed those behind them. A failing rule says so."""
    recorded = Recorded(around.source)
    inside = with_changes(around, source=recorded)
    found = []
    for group in file.groups:
        grid = grid_for(start_ms, end_ms, group.interval_seconds or interval_seconds)
        for rule in group.rules:
            try:
                made = replay(group, rule, inside, grid)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one rule, the others are still judged
                made = Replayed(rule, grid, [], error=str(error))
            if not rule.is_alerting and not made.error:
                recorded.add(group, rule, made.series)
            found.append(made)
    return found


@dataclass(frozen=True, slots=True)
class Measured:
    """An expression taken apart: what is measured, and what it is compared with."""

    text: str
    operator: str = ""
    threshold: float | None = None


def measured_by(rule: Rule) -> Measured:
    """The rule's expression taken apart, whatever its language."""
    if rule.notes.condition is not None:
        words = described(rule.notes.condition)
        return Measured(words, ">=", rule.notes.condition.count) if rule.is_alerting else Measured(words)
    if rule.notes.source != LOGS:
        return measured(rule.expr)
    parts = threshold_of(rule.expr)
    return Measured(*parts) if parts else Measured(rule.expr)


def measured(expr: str) -> Measured:
    """`rate(x[5m]) > 3` is `rate(x[5m])` compared with 3; what is no such comparison is measured as it is."""
    node = unwrapped(parse(expr))
    if isinstance(node, Binary) and node.operator in COMPARISONS and not node.returns_bool:
        right, left = _number(node.right), _number(node.left)
        if right is not None:
            return Measured(str(node.left), node.operator, right)
        if left is not None:
            turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
            return Measured(str(node.right), turned.get(node.operator, node.operator), left)
    if isinstance(node, Binary) and node.operator in ("and", "unless"):
        return measured(str(node.left))
    return Measured(str(node))


def _number(node: Expression) -> float | None:
    node = unwrapped(node)
    if isinstance(node, NumberLiteral):
        return node.value
    if isinstance(node, Unary) and isinstance(inner := unwrapped(node.expression), NumberLiteral):
        return -inner.value if node.operator == "-" else inner.value
    return None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a rule fired or did not for one label set at one time."""

    labels: dict[str, str]
    value: float | None
    state: str
    pending_at_ms: int | None
    fired_at_ms: int | None
    reason: str


def explain(group: Group, rule: Rule, around: Surroundings, at_ms: int, interval_seconds: float) -> list[Verdict]:
    """One verdict a label set, worst first; looks back as far as `for` and `keep_firing_for`. Raises PromQLError."""
    reach = rule.for_seconds + rule.keep_firing_for_seconds + 20 * interval_seconds
    grid = grid_for(at_ms - round(reach * 1000), at_ms, interval_seconds)
    grid = Grid(at_ms - (grid.end_ms - grid.start_ms), at_ms, grid.step_ms)
    replayed = replay(group, rule, around, grid)
    parts = measured_by(rule)
    values = measured_over(rule, around, Grid(at_ms, at_ms, 1000))
    alive = {fingerprint_of(one.labels): one for one in replayed.periods if one.ended_at_ms is None}
    verdicts = []
    for one in values:
        labels = _labels(group, rule, one.labels)
        period = alive.pop(fingerprint_of(labels), None)
        verdicts.append(_verdict(rule, parts, labels, float(one.values[-1]), period, at_ms))
    verdicts += [_verdict(rule, parts, period.labels, None, period, at_ms) for period in alive.values()]
    order = {"firing": 0, "pending": 1, "inactive": 2}
    return sorted(verdicts, key=lambda one: order[one.state])


def _verdict(
    rule: Rule, parts: Measured, labels: dict[str, str], value: float | None, period: Period | None, at_ms: int
) -> Verdict:
    if period is None:
        if parts.threshold is None or value is None:
            reason = "the expression gave nothing for it"
        else:
            reason = f"{value:.4g} is not {parts.operator} {parts.threshold:g}"
        return Verdict(labels, value, "inactive", None, None, reason)
    said = "the condition holds"
    if parts.threshold is not None and value is not None:
        said = f"{value:.4g} {parts.operator} {parts.threshold:g}"
    if period.fired_at_ms is not None:
        return Verdict(labels, value, "firing", period.pending_at_ms, period.fired_at_ms, said)
    held = (at_ms - period.pending_at_ms) / 1000
    reason = f"{said}, but for {held:g} s of the {rule.for_seconds:g} s it has to"
    return Verdict(labels, value, "pending", period.pending_at_ms, None, reason)
