"""What a rule measures, whatever it is over, as a chart with its threshold and when it would have fired."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.detect.rules.alerting import RuleError
from tocsin.detect.rules.evaluation import Surroundings
from tocsin.detect.rules.replay import Period, measured_by, measured_over
from tocsin.detect.rules.rule import Rule
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
    id: str, rule: Rule, around: Surroundings, window: Window, periods: Sequence[Period]
) -> MetricChart | None:
    """None for what has no value over time, and where it cannot be told."""
    parts = measured_by(rule)
    done = _evaluated(rule, parts.text, around, evaluate.grid_of(window, evaluate.step_ms(window)))
    if not done.is_over_time:
        return None
    limits = [(parts.threshold, "bad")] if parts.threshold is not None else []
    unit = "" if rule.over else guessed(parts.text)
    return metric_chart(id, parts.text, [(done, "")], window, unit, markers=_markers(periods), limits=limits)


def _evaluated(rule: Rule, text: str, around: Surroundings, grid: Grid) -> Evaluated:
    if not rule.over:
        return evaluate.over(around.source, text, grid, around.settings)
    try:
        found = measured_over(rule, around, grid)
    except RuleError as error:
        return Evaluated(text, grid, None, (Note(str(error), "error"),))
    return Evaluated(text, grid, Result("matrix", found, [], [], Statistics(series=len(found))), ())


def _markers(periods: Sequence[Period]) -> list[Marker]:
    return [
        Marker(period.pending_at_ms / 1000, "pending")
        if period.fired_at_ms is None
        else Marker(period.fired_at_ms / 1000, "fires")
        for period in periods[-MOST_MARKERS:]
    ]
