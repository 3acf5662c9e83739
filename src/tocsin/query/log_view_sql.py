"""The saved views of logs as conditions for the engine: what `model/log_view_match.py` says in Python, in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tocsin.model.log_views import UNITS, LogView, Took


@dataclass(frozen=True, slots=True)
class LogColumns:
    """SQL for the parts of a line, so that files and other tables can be asked too.

    body: what the line says, of JSON the message alone. fields: a Map of text. is_telling: a column that is 0 where
    none of the views' patterns is in the body; '' where nobody has looked.
    """

    body: str = "message"
    severity: str = (
        "transform(toString(level), ['trace', 'debug', 'info', 'warn', 'error', 'fatal'], [1, 5, 9, 13, 17, 21], 0)"
    )
    logger: str = "scope_name"
    event_name: str = "event_name"
    fields: str = "attributes"
    is_telling: str = ""


def view_condition(view: LogView, columns: LogColumns | None = None) -> str:
    """A WHERE condition that holds for the lines of the view. Its constants come from `model/log_views.py` alone."""
    of = columns or LogColumns()
    parts = []
    if view.least_severity:
        parts.append(f"{of.severity} >= {view.least_severity}")
    if view.unlevelled_fields:
        parts.append(f"({of.severity} = 0 AND {_has_any(of, view.unlevelled_fields)})")
    if view.text:
        parts.append(_says(of, view.text))
    if view.loggers:
        parts.append(_matches(of.logger, view.loggers))
    if view.names:
        # Few lines have such a field: the pattern is tried on those alone.
        held = f"(n, v) -> n IN ({_texts(view.name_fields)}) AND {_matches('v', view.names)}"
        parts.append(f"({of.event_name} != '' AND {_matches(of.event_name, view.names)})")
        parts.append(f"arrayExists({held}, mapKeys({of.fields}), mapValues({of.fields}))")
    if view.took:
        parts.append(_is_slow(view.took, of))
    return f"({' OR '.join(parts)})"


def duration_sql(took: Took, of: LogColumns) -> str:
    """The duration of any line in seconds, -1 where it tells none; for who wants it of most lines."""
    own, shared = _first(took.own, of), _first(took.shared, of)
    known = f"multiIf({own} >= 0, {own}, {_is_about(took, of)}, {shared}, -1.)"
    return f"if({of.is_telling or _has_hint(took, of)} AND {known} < 0, {_told_any(took, of)}, {known})"


def says_sql(took: Took, of: LogColumns) -> str:
    """Whether a line without a duration calls itself slow."""
    return _says(of, took.says) if took.says else "0"


def telling(views: Sequence[LogView], of: LogColumns) -> str:
    """For `LogColumns.is_telling`: one look for all patterns costs about as much as one for any of them."""
    patterns = [view.text for view in views if view.text]
    for took in (view.took for view in views if view.took):
        patterns += [*took.texts, *([took.says] if took.says else [])]
    return _matches(of.body, "|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else "0"


def _may_tell(took: Took, of: LogColumns) -> str:
    """Most lines name no duration at all: a look for the words that could tell one comes first."""
    return f"({_has_hint(took, of)} OR hasAny(mapKeys({of.fields}), [{_texts((*took.own, *took.shared))}]))"


def _has_hint(took: Took, of: LogColumns) -> str:
    return f"multiSearchAnyCaseInsensitive({of.body}, [{_texts(took.hints)}])"


def _is_slow(took: Took, of: LogColumns) -> str:
    seconds, says = _seconds_taken(took, of), says_sql(took, of)
    return f"({_may_tell(took, of)} AND if({seconds} < 0, {says}, {seconds} >= {took.threshold_seconds!r}))"


def _seconds_taken(took: Took, of: LogColumns) -> str:
    """The duration of the line in seconds, -1 where it tells none."""
    own, shared = _first(took.own, of), _first(took.shared, of)
    return f"multiIf({own} >= 0, {own}, {shared} >= 0 AND {_is_about(took, of)}, {shared}, {_told_any(took, of)})"


def _is_about(took: Took, of: LogColumns) -> str:
    """Whether a shared field of a line is about what is looked for."""
    about = [_has_any(of, took.beside)] + ([_matches(of.logger, took.loggers)] if took.loggers else [])
    about += [_says(of, took.says)] if took.says else []
    return f"({' OR '.join(about)})"


def _first(fields: Mapping[str, float], of: LogColumns) -> str:
    """The duration in the first of the fields that tells one; only those that the line has are looked at."""
    names = f"[{_texts(tuple(fields))}]"
    units = f"[{', '.join(repr(float(unit)) for unit in fields.values())}]"
    there = f"mapFilter((k, v) -> k IN ({_texts(tuple(fields))}), {of.fields})"
    pair = f"(indexOf({names}, k) AS place, {_value_seconds('v', f'{units}[place]')})"
    told = f"arraySort(arrayFilter(p -> p.2 >= 0, arrayMap((k, v) -> {pair}, mapKeys({there}), mapValues({there}))))"
    return f"arrayElement(arrayPushBack({told}, (0, -1.)), 1).2"


def _value_seconds(value: str, unit: str) -> str:
    shape = _text("(?i)^\\s*[0-9]+(\\.[0-9]+)?\\s*[a-zµ]*\\s*$")
    number, written = _text("([0-9]+(?:\\.[0-9]+)?)"), _text("(?i)([a-zµ]*)\\s*$")
    seconds = _unit_seconds(f"extract({value}, {written})", unit)
    with_unit = f"if(match({value}, {shape}), toFloat64OrZero(extract({value}, {number})) * {seconds}, -1.)"
    # Most values are bare numbers, and taking them apart costs ten times as much as this look at them.
    return f"if(match({value}, '^[0-9]+([.][0-9]+)?$'), toFloat64OrZero({value}) * {unit}, {with_unit})"


def _told_any(took: Took, of: LogColumns) -> str:
    told = "-1."
    for pattern in reversed(took.texts):
        told = _told(pattern, of, told)
    return told


def _told(pattern: str, of: LogColumns, otherwise: str) -> str:
    groups = f"extractGroups({of.body}, {_pattern(pattern)})"
    seconds = f"toFloat64OrZero({groups}[1]) * {_unit_seconds(f'trim({groups}[2])', '1.')}"
    return f"if(length({groups}) = 2, {seconds}, {otherwise})"


def _unit_seconds(written: str, otherwise: str) -> str:
    """Seconds of the unit that is written, else of the field's own."""
    names, seconds = _texts(tuple(UNITS)), ", ".join(repr(float(one)) for one in UNITS.values())
    return f"arrayElement([{otherwise}, {seconds}], indexOf([{names}], lowerUTF8({written})) + 1)"


def _has_any(of: LogColumns, names: Sequence[str]) -> str:
    return f"arrayExists((n, v) -> v != '' AND n IN ({_texts(names)}), mapKeys({of.fields}), mapValues({of.fields}))"


def _says(of: LogColumns, pattern: str) -> str:
    matches = _matches(of.body, pattern)
    return f"({of.is_telling} AND {matches})" if of.is_telling else matches


def _matches(text: str, pattern: str) -> str:
    return f"match({text}, {_pattern(pattern)})"


def _pattern(pattern: str) -> str:
    return _text(f"(?is){pattern}")


def _texts(names: Sequence[str]) -> str:
    return ", ".join(_text(name) for name in names)


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
