"""How much of a pipeline the engine takes over, and the rest for Python."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.query.log_labels import LogLabels, Parameters
from tocsin.query.log_line_filters import line_filter_sql
from tocsin.query.logql.expressions import (
    Both,
    Choose,
    Condition,
    Decolorize,
    Either,
    LabelFilter,
    LabelFormat,
    LineFilter,
    LineFormat,
    LogQuery,
    Stage,
    TextCondition,
    Unpack,
)
from tocsin.query.logql.line import ERROR, ERROR_DETAILS

_CHANGES_TEXT = (LineFormat, Decolorize, Unpack)
_CHANGES_LABELS = (LabelFormat, Choose)


@dataclass(frozen=True, slots=True)
class Pushdown:
    """condition: SQL over `logs` for every line that may pass. rest: the stages that it does not stand for."""

    condition: str
    rest: tuple[Stage, ...]

    @property
    def is_exact(self) -> bool:
        return not self.rest


def pushed_down(query: LogQuery, labels: LogLabels, parameters: Parameters, *, indexed: bool = True) -> Pushdown:
    """Selector, line filters of the line as it was stored, and conditions on labels before anything changes these."""
    conditions = [labels.matcher_sql(matcher, parameters) for matcher in query.matchers]
    rest: list[Stage] = []
    is_text_stored, are_labels_stored = True, True
    for stage in query.stages:
        sql = ""
        if isinstance(stage, LineFilter) and is_text_stored and not any(match.is_ip for match in stage.matches):
            sql = line_filter_sql(stage, parameters, indexed=indexed)
        elif isinstance(stage, LabelFilter) and are_labels_stored:
            sql = _condition(stage.condition, labels, parameters)
        if sql:
            conditions.append(sql)
            continue
        is_text_stored = is_text_stored and not isinstance(stage, _CHANGES_TEXT)
        # A parser adds labels, and a condition that Python decides may note an error.
        are_labels_stored = are_labels_stored and isinstance(stage, LineFilter)
        rest.append(stage)
    return Pushdown(" AND ".join(f"({one})" for one in conditions if one != "1") or "1", tuple(rest))


def _condition(condition: Condition, labels: LogLabels, parameters: Parameters) -> str:
    """'' for what only Python decides: numbers, whose errors are kept, and addresses."""
    match condition:
        case TextCondition(matcher):
            if matcher.name in (ERROR, ERROR_DETAILS):
                return "1" if matcher.matches("") else "0"
            return labels.condition_sql(matcher, parameters)
        case Both(left, right) | Either(left, right):
            first, second = _condition(left, labels, parameters), _condition(right, labels, parameters)
            word = "AND" if isinstance(condition, Both) else "OR"
            return f"(({first}) {word} ({second}))" if first and second else ""
        case _:
            return ""
