"""The saved views of logs as conditions for the engine: what `model/log_view_match.py` says in Python, in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tocsin.model.log_views import UNITS, LogView, Took


@dataclass(frozen=True, slots=True)
class LogColumns:
    """SQL for the parts of a line, so that files and other tables can be asked too. fields: a Map of text."""

    body: str = "body"
    severity: str = (
        "transform(toString(level), ['trace', 'debug', 'info', 'warn', 'error', 'fatal'], [1, 5, 9, 13, 17, 21], 0)"
    )
    logger: str = "scope_name"
    event_name: str = "event_name"
    fields: str = "attributes"


def view_condition(view: LogView, columns: LogColumns | None = None) -> str:
    """A WHERE condition that holds for the lines of the view. Its constants come from `model/log_views.py` alone."""
    of = columns or LogColumns()
    parts = []
    if view.least_severity:
        parts.append(f"{of.severity} >= {view.least_severity}")
    if view.unlevelled_fields:
        parts.append(f"({of.severity} = 0 AND {_has_any(of, view.unlevelled_fields)})")
    if view.text:
        parts.append(matches_sql(of.body, view.text))
    if view.loggers:
        parts.append(matches_sql(of.logger, view.loggers))
    if view.names:
        # Few lines have such a field: the pattern is tried on those alone.
        held = f"(n, v) -> n IN ({_texts(view.name_fields)}) AND {matches_sql('v', view.names)}"
        parts.append(f"({of.event_name} != '' AND {matches_sql(of.event_name, view.names)})")
        parts.append(f"arrayExists({held}, mapKeys({of.fields}), mapValues({of.fields}))")
    if view.took:
        parts.append(_is_slow(view.took, of))
    return f"({' OR '.join(parts)})"


def _is_slow(took: Took, of: LogColumns) -> str:
    seconds = duration_sql(took, of)
    says = matches_sql(of.body, took.says) if took.says else "0"
    return f"if({seconds} < 0, {says}, {seconds} >= {took.threshold_seconds!r})"


def duration_sql(took: Took, of: LogColumns) -> str:
    """The duration of the line in seconds, -1 where it tells none."""
    about = [_has_any(of, took.beside)] + ([matches_sql(of.logger, took.loggers)] if took.loggers else [])
    is_about = f"({' OR '.join(about)})"
    told = [_told(pattern, of) for pattern in took.texts]
    known = [_first(took.own, of), f"if({is_about}, {_first(took.shared, of)}, -1.)", *told]
    return _first_known(f"[{', '.join(known)}]")


def _first(fields: Mapping[str, float], of: LogColumns) -> str:
    """The seconds of the first of these fields that holds a duration, else -1; looks only at fields that are there."""
    names = f"[{_texts(tuple(fields))}]"
    units = f"[{', '.join(repr(float(unit)) for unit in fields.values())}]"
    there = f"mapFilter((n, v) -> n IN ({_texts(tuple(fields))}), {of.fields})"
    read = f"(indexOf({names}, n), {_value_seconds('v', f'transform(n, {names}, {units}, 0.)')})"
    values = f"arrayMap((n, v) -> {read}, mapKeys({there}), mapValues({there}))"
    return f"arrayElement(arrayPushBack(arraySort(arrayFilter(s -> s.2 >= 0, {values})), (0, -1.)), 1).2"


def _first_known(values: str) -> str:
    """The first element that is not negative, else -1."""
    return f"arrayElement(arrayPushBack(arrayFilter(s -> s >= 0, {values}), -1.), 1)"


def _value_seconds(value: str, unit: str) -> str:
    shape = _text("(?i)^\\s*[0-9]+(\\.[0-9]+)?\\s*[a-zµ]*\\s*$")
    number, written = _text("([0-9]+(?:\\.[0-9]+)?)"), _text("(?i)([a-zµ]*)\\s*$")
    seconds = _unit_seconds(f"extract({value}, {written})", unit)
    return f"if(match({value}, {shape}), toFloat64OrZero(extract({value}, {number})) * {seconds}, -1.)"


def _told(pattern: str, of: LogColumns) -> str:
    groups = f"extractGroups({of.body}, {_pattern(pattern)})"
    return f"if(length({groups}) = 2, toFloat64OrZero({groups}[1]) * {_unit_seconds(f'trim({groups}[2])', '1.')}, -1.)"


def _unit_seconds(written: str, otherwise: str) -> str:
    """Seconds of the unit that is written, else of the field's own."""
    names, seconds = _texts(tuple(UNITS)), ", ".join(repr(float(one)) for one in UNITS.values())
    return f"arrayElement([{otherwise}, {seconds}], indexOf([{names}], lowerUTF8({written})) + 1)"


def _has_any(of: LogColumns, names: Sequence[str]) -> str:
    return f"arrayExists((n, v) -> v != '' AND n IN ({_texts(names)}), mapKeys({of.fields}), mapValues({of.fields}))"


def matches_sql(text: str, pattern: str) -> str:
    return f"match({text}, {_pattern(pattern)})"


def _pattern(pattern: str) -> str:
    return _text(f"(?is){pattern}")


def _texts(names: Sequence[str]) -> str:
    return ", ".join(_text(name) for name in names)


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
