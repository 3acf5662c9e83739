"""Label matchers as conditions on the series table."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.model.labels import ENVIRONMENT, METRIC_NAME
from tocsin.query.promql.source import Matcher
from tocsin.storage.telemetry.engine import Value

DAY_MS = 86_400_000
WITHIN_DAYS = "BETWEEN toDate({first_day:Int32}) AND toDate({last_day:Int32})"


def days(start_ms: int, end_ms: int) -> dict[str, Value]:
    """The values WITHIN_DAYS refers to."""
    return {"first_day": max(0, start_ms // DAY_MS), "last_day": max(0, end_ms // DAY_MS)}


def series_condition(matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> tuple[str, dict[str, Value]]:
    """A WHERE condition over `series` and the values it refers to, for series with samples in the time given.

    A matcher of ENVIRONMENT is about where a series was sent from, whatever its labels say; those that come from no
    environment, such as a machine's, belong to every one. Regular expressions are the engine's RE2, anchored, with `.`
    for any character as in Prometheus.
    """
    conditions = [f"day {WITHIN_DAYS}"]
    parameters = days(start_ms, end_ms)
    for index, matcher in enumerate(matchers):
        label, wanted = f"{{label{index}:String}}", f"{{wanted{index}:String}}"
        if matcher.name == ENVIRONMENT:
            conditions.append(f"environment IN ({wanted}, '')")
            parameters[f"wanted{index}"] = matcher.value
            continue
        column = "name" if matcher.name == METRIC_NAME else f"labels[{label}]"
        conditions.append(_condition(column, matcher.operator, wanted))
        if matcher.operator in ("=~", "!~"):
            parameters[f"wanted{index}"] = f"^(?s:{matcher.value})$"
        else:
            parameters[f"wanted{index}"] = matcher.value
        if column != "name":
            parameters[f"label{index}"] = matcher.name
    return " AND ".join(conditions), parameters


def _condition(column: str, operator: str, wanted: str) -> str:
    if operator in ("=", "!="):
        return f"{column} {operator} {wanted}"
    return f"{'NOT ' if operator == '!~' else ''}match({column}, {wanted})"
