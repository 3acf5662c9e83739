"""Whether one line is in a saved view, said in Python; `query/log_view_sql.py` says the same to the engine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from tocsin.model.log_views import UNITS, LogView, Took

_VALUE = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zµ]*)\s*$", re.IGNORECASE)


def is_in(
    view: LogView,
    message: str,
    severity: int = 0,
    logger: str = "",
    event_name: str = "",
    fields: Mapping[str, Any] | None = None,
) -> bool:
    """Whether a line is in the view. severity: OTLP's number, 0 where the line has none. fields: flat, by full name."""
    has = fields or {}
    if view.least_severity and severity >= view.least_severity:
        return True
    if severity == 0 and any(has.get(name) not in (None, "") for name in view.unlevelled_fields):
        return True
    if view.text and _compiled(view.text).search(message):
        return True
    if view.loggers and _compiled(view.loggers).search(logger):
        return True
    if view.names:
        search = _compiled(view.names).search
        if any(search(str(value)) for value in _named(view, event_name, has)):
            return True
    return view.took is not None and is_slow(view.took, message, logger, has)


def is_slow(took: Took, message: str, logger: str, fields: Mapping[str, Any]) -> bool:
    seconds = seconds_taken(took, message, logger, fields)
    if seconds is None:
        return bool(took.says and _compiled(took.says).search(message))
    return seconds >= took.threshold_seconds


def seconds_taken(took: Took, message: str, logger: str, fields: Mapping[str, Any]) -> float | None:
    """The duration a line tells, as `Took` reads it; None when it tells none."""
    found = _first(took.own, fields)
    if found is not None:
        return found
    is_about = any(fields.get(name) not in (None, "") for name in took.beside)
    is_about = is_about or bool(took.says and _compiled(took.says).search(message))
    if is_about or (took.loggers and _compiled(took.loggers).search(logger)):
        found = _first(took.shared, fields)
        if found is not None:
            return found
    for pattern in took.texts:
        if told := _compiled(pattern).search(message):
            return float(told[1]) * UNITS.get(told[2].strip().lower(), 1.0)
    return None


def _first(names: Mapping[str, float], fields: Mapping[str, Any]) -> float | None:
    for name, unit in names.items():
        if (value := fields.get(name)) is not None and (found := _VALUE.match(str(value))):
            return float(found[1]) * UNITS.get(found[2].lower(), unit)
    return None


def _named(view: LogView, event_name: str, fields: Mapping[str, Any]) -> Iterable[Any]:
    yield event_name
    for name in view.name_fields:
        if (value := fields.get(name)) is not None:
            yield value


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)
