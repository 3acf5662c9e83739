"""One evaluation of a group of rules at one time: what is written, what fires, and what went wrong with which rule."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tocsin.detect.rules.alerting import (
    Found,
    LimitExceeded,
    RuleError,
    RuleState,
    Series,
    ended,
    series_of,
    stepped,
    with_alert_name,
)
from tocsin.detect.rules.over_logs import LOGS, OpenLines, no_lines, vector_of
from tocsin.detect.rules.over_rows import CountRows, no_rows
from tocsin.detect.rules.over_rows import vector_of as rows_vector_of
from tocsin.detect.rules.rule import Group, Rule
from tocsin.detect.rules.template import Subject, TemplateError, filled
from tocsin.model.labels import METRIC_NAME
from tocsin.query.promql.engine import Point, instant
from tocsin.query.promql.errors import PromQLError
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import STALE, Source
from tocsin.query.series import TooManySeriesError
from tocsin.query.templates.functions import Sample
from tocsin.storage.telemetry.engine import EngineError


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where rules are evaluated: the series they see, and what their templates may name."""

    source: Source
    settings: QuerySettings = field(default_factory=QuerySettings)
    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""
    count_rows: CountRows = no_rows
    open_lines: OpenLines = no_lines


@dataclass(slots=True)
class Written:
    """A sample that a rule wrote."""

    labels: dict[str, str]
    value: float
    time_ms: int


def evaluate_group(
    group: Group, states: Sequence[RuleState], around: Surroundings, at_ms: int, note: Callable[[list[Written]], None]
) -> None:
    """Evaluates the rules in order and changes their states. `note` takes what each wrote before the next is asked.

    A rule that fails keeps its alerts and does not stop the others.
    """
    query_ms = at_ms - round((group.query_offset_seconds or 0.0) * 1000)
    for state in states:
        if state.is_on:
            note(evaluate_rule(group, state, around, at_ms, query_ms))
            if not state.is_on:  # switched off meanwhile
                note(switched_off(state, at_ms))


def evaluate_rule(group: Group, state: RuleState, around: Surroundings, at_ms: int, query_ms: int) -> list[Written]:
    """What the rule writes, stale markers among it."""
    started = time.perf_counter()
    state.words_error = ""
    try:
        made = (
            _alerting(group, state, around, at_ms, query_ms)
            if state.rule.is_alerting
            else _recording(group, state, around, query_ms)
        )
        state.error = ""
    except (PromQLError, RuleError, TooManySeriesError, EngineError) as error:
        state.error = str(error)
        made = None
        if isinstance(error, LimitExceeded):
            state.alerts = ended(state.alerts, at_ms)
            made = []
    state.evaluated_at_ms = at_ms
    state.seconds = time.perf_counter() - started
    return [] if made is None else _with_stale(state, made, query_ms)


def switched_off(state: RuleState, at_ms: int) -> list[Written]:
    """Ends what the rule says: alerts are resolved, series get their marker."""
    state.alerts = ended(state.alerts, at_ms)
    return _with_stale(state, [], at_ms)


def _with_stale(state: RuleState, made: list[Series], at_ms: int) -> list[Written]:
    keys = {tuple(sorted(labels.items())): value for labels, value in made}
    gone = [key for key in state.written if key not in keys]
    state.written = dict.fromkeys(keys)
    state.samples = len(keys)
    return [Written(dict(key), value, at_ms) for key, value in keys.items()] + [
        Written(dict(key), STALE, at_ms) for key in gone
    ]


def vector(rule: Rule, around: Surroundings, at_ms: int) -> list[Series]:
    """What the rule's expression gives; of a number one sample without labels."""
    if rule.notes.condition is not None:
        return rows_vector_of(around.count_rows, rule.notes.condition, at_ms)
    if rule.notes.source == LOGS:
        return vector_of(around.open_lines, rule.expr, at_ms)
    result = instant(around.source, rule.expr, at_ms, around.settings)
    if isinstance(result.data, Point):
        return [({}, float(result.data.value))] if isinstance(result.data.value, float) else []
    found: list[Series] = []
    for series in result.series:
        value = series.points[-1].value
        if not isinstance(value, float):
            raise RuleError(
                f"'{rule.name}' gives native histograms, which rules do not keep; use histogram_quantile or rate"
            )
        found.append((series.labels, value))
    return found


def _recording(group: Group, state: RuleState, around: Surroundings, at_ms: int) -> list[Series]:
    made: dict[tuple[tuple[str, str], ...], Series] = {}
    for labels, value in vector(state.rule, around, at_ms):
        named = {**labels, METRIC_NAME: state.rule.record, **state.labels}
        named = {name: text for name, text in named.items() if text}
        key = tuple(sorted(named.items()))
        if key in made:
            raise RuleError("vector contains metrics with the same labelset after applying rule labels")
        made[key] = (named, value)
    if group.limit and len(made) > group.limit:
        raise LimitExceeded(f"exceeded limit of {group.limit} with {len(made)} series")
    return list(made.values())


def _alerting(group: Group, state: RuleState, around: Surroundings, at_ms: int, query_ms: int) -> list[Series]:
    found = [_found(state, around, labels, value, query_ms) for labels, value in vector(state.rule, around, query_ms)]
    state.alerts = stepped(state.rule, state.alerts, found, at_ms, group.limit)
    return series_of(state.alerts)


def _found(state: RuleState, around: Surroundings, labels: Mapping[str, str], value: float, at_ms: int) -> Found:
    """A sample with the rule's labels and words."""
    bare = {name: text for name, text in labels.items() if name != METRIC_NAME}
    subject = Subject(
        labels, value, around.external_labels, around.external_url, lambda text: asked(around, text, at_ms)
    )
    own = {name: _words(state, text, subject) for name, text in state.labels.items()}
    words = {name: _words(state, text, subject) for name, text in state.rule.annotations.items()}
    return Found(with_alert_name(state.rule, {**bare, **own}), words, value)


def asked(around: Surroundings, text: str, at_ms: int) -> list[Sample]:
    """What a template's `query` gets."""
    try:
        result = instant(around.source, text, at_ms, around.settings)
    except (PromQLError, TooManySeriesError) as error:
        raise TemplateError(f"error executing query '{text[:80]}': {error}") from error
    if isinstance(result.data, Point):
        return [{"Labels": {}, "Value": result.data.value}]
    return [{"Labels": dict(one.labels), "Value": one.points[-1].value} for one in result.series]


def _words(state: RuleState, text: str, subject: Subject) -> str:
    try:
        return filled(text, subject)
    except TemplateError as error:
        state.template_errors += 1
        state.words_error = str(error)
        return f"<error expanding template: {error}>"
