"""What the rule of an alert measured round the alert's time, of the alert's own series, as a chart."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from tocsin.detect.rules.replay import Period
from tocsin.detect.rules.rule import Rule
from tocsin.model.alert_state import KnownAlert
from tocsin.model.window import Window
from tocsin.notify.chart import named_in
from tocsin.query.evaluate import parsed
from tocsin.web.metric_charts import MetricChart
from tocsin.web.rule_charts import rule_chart
from tocsin.web.ruling import engine_of, surroundings_for
from tocsin.web.view import View

QUERY_SECONDS = 10.0
BESIDE_NS = 30 * 60 * 10**9


def alert_chart(view: View, known: KnownAlert) -> MetricChart | None:
    """None where nothing says what the alert measures, or it has no values that are the reader's."""
    rule = _rule_of(view, known)
    if rule is None:
        return None
    around = surroundings_for(view.request, view.principal)
    seconds = min(QUERY_SECONDS, around.settings.timeout_seconds)
    around = replace(around, settings=replace(around.settings, timeout_seconds=seconds))
    window, labels = _window(view, known), known.alert.labels
    fired = Period({}, _ms(known.alert.starts_at), _ms(known.alert.starts_at))
    title = "" if view.scope.is_platform else known.alert.name  # who sees a tenant sees no rules over all
    drawn = rule_chart("alert", rule, around, window, [fired], only=labels, title=title)
    return None if drawn is None or drawn.is_empty else drawn


def _rule_of(view: View, known: KnownAlert) -> Rule | None:
    """The rule that made the alert; for one of another Prometheus the expression that its address names."""
    engine, source = engine_of(view.request), known.alert.generator_url
    found = engine.find_at(source) if engine is not None else None
    if found is not None:
        return found.rule
    text = named_in(source)
    return Rule(alert=known.alert.name, expr=text) if text and parsed(text) is not None else None


def _window(view: View, known: KnownAlert) -> Window:
    """The chosen time, or where the alert is not in it the time of the alert."""
    start_ns = _ms(known.alert.starts_at) * 10**6
    ends_at = known.alert.ends_at
    end_ns = _ms(ends_at) * 10**6 if ends_at is not None else view.now_ns
    if start_ns < view.window.end_ns and end_ns > view.window.start_ns:
        return view.window
    return Window(start_ns - BESIDE_NS, min(max(end_ns, start_ns) + BESIDE_NS, view.now_ns))


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
