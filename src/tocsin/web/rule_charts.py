"""What a rule measures, whatever it is over, as a chart with its threshold and when it would have fired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tocsin.detect.rules.alerting import RuleError
from tocsin.detect.rules.evaluation import Surroundings
from tocsin.detect.rules.replay import Period, measured_by, measured_over
from tocsin.detect.rules.rule import Rule
from tocsin.model.labels import METRIC_NAME
from tocsin.model.window import Window
from tocsin.query import evaluate
from tocsin.query.evaluate import Evaluated, Note
from tocsin.query.promql.engine import Result
from tocsin.query.promql.query import Statistics
from tocsin.query.promql.source import Grid
from tocsin.web.charts import Marker
from tocsin.web.metric_charts import MetricChart, metric_chart
from tocsin.web.units import guessed

MOST_MARKERS = 60


def rule_chart(
    id: str,
    rule: Rule,
    around: Surroundings,
    window: Window,
    periods: Sequence[Period],
    *,
    only: Mapping[str, str] | None = None,
    title: str = "",
) -> MetricChart | None:
    """None for what has no value over time, and where it cannot be told.

    only: the series that have no other labels than these. title: instead of what is measured.
    """
    parts = measured_by(rule)
    done = _evaluated(rule, parts.text, around, evaluate.grid_of(window, evaluate.step_ms(window)))
    if not done.is_over_time:
        return None
    if only is not None:
        done = _narrowed(done, only)
    limits = [(parts.threshold, "bad")] if parts.threshold is not None else []
    unit = "" if rule.over else guessed(parts.text)
    return metric_chart(id, title or parts.text, [(done, "")], window, unit, markers=_markers(periods), limits=limits)


def _evaluated(rule: Rule, text: str, around: Surroundings, grid: Grid) -> Evaluated:
    if not rule.over:
        return evaluate.over(around.source, text, grid, around.settings)
    try:
        found = measured_over(rule, around, grid)
    except RuleError as error:
        return Evaluated(text, grid, None, (Note(str(error), "error"),))
    return Evaluated(text, grid, Result("matrix", found, [], [], Statistics(series=len(found))), ())


def _narrowed(done: Evaluated, only: Mapping[str, str]) -> Evaluated:
    """Without the series of others; the metric's name is nobody's label."""
    if done.result is None or not isinstance(done.result.data, list):
        return done
    mine = [
        one
        for one in done.result.data
        if all(only.get(name) == value for name, value in one.labels.items() if name != METRIC_NAME)
    ]
    return replace(done, result=replace(done.result, data=mine))


def _markers(periods: Sequence[Period]) -> list[Marker]:
    return [
        Marker(period.pending_at_ms / 1000, "pending")
        if period.fired_at_ms is None
        else Marker(period.fired_at_ms / 1000, "fires")
        for period in periods[-MOST_MARKERS:]
    ]
