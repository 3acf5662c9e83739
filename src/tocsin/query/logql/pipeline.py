"""A pipeline as one function: it takes a line, changes it and says whether it stays."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence

from tocsin.query.logql.addresses import address_set
from tocsin.query.logql.expressions import (
    AddressCondition,
    Both,
    Choose,
    Condition,
    Decolorize,
    Either,
    Json,
    LabelFilter,
    LabelFormat,
    LineFilter,
    LineFormat,
    LineMatch,
    Logfmt,
    NumberCondition,
    Pattern,
    Regexp,
    Stage,
    TextCondition,
    Unpack,
    Unwrap,
    fields_of,
)
from tocsin.query.logql.extract import Apply, parser
from tocsin.query.logql.line import ERROR, ERROR_DETAILS, Line
from tocsin.query.logql.line_pattern import filter_pattern
from tocsin.query.logql.literals import duration_seconds, number, size_bytes
from tocsin.query.logql.patterns import compile_search
from tocsin.query.logql.templates import TemplateError, filled, parsed

READERS = {"number": number, "duration": duration_seconds, "bytes": size_bytes}
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_COLOR = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
KEPT_ALWAYS = (ERROR, ERROR_DETAILS)


def compiled(stages: Sequence[Stage]) -> Apply:
    """All stages, one after the other, until one drops the line."""
    steps = [step(stage) for stage in stages]

    def apply(line: Line) -> bool:
        return all(one(line) for one in steps)

    return apply


def step(stage: Stage) -> Apply:
    match stage:
        case LineFilter():
            return _line_filter(stage)
        case LabelFilter(condition):
            return condition_of(condition)
        case Json() | Logfmt() | Pattern() | Regexp() | Unpack():
            return parser(stage)
        case LineFormat():
            return _line_format(stage)
        case LabelFormat():
            return _label_format(stage)
        case Choose():
            return _choose(stage)
        case Decolorize():
            return _decolorize


def _line_filter(stage: LineFilter) -> Apply:
    tests = [_line_test(stage.operator, match) for match in stage.matches]
    wanted = stage.operator in ("|=", "|~", "|>")

    def apply(line: Line) -> bool:
        return any(test(line.text) for test in tests) == wanted

    return apply


def _line_test(kind: str, match: LineMatch) -> Callable[[str], bool]:
    if match.is_ip:
        return address_set(match.value).is_in
    if kind in ("|=", "!="):
        return lambda text: match.value in text
    if kind in ("|>", "!>"):
        return filter_pattern(match.value).matches
    search = compile_search(match.value).search
    return lambda text: search(text) is not None


def condition_of(condition: Condition) -> Apply:
    match condition:
        case Both(left, right):
            first, second = condition_of(left), condition_of(right)
            return lambda line: first(line) and second(line)
        case Either(left, right):
            first, second = condition_of(left), condition_of(right)
            return lambda line: first(line) or second(line)
        case TextCondition(matcher):
            return lambda line: matcher.matches(line.get(matcher.name) or "")
        case AddressCondition():
            return _address(condition)
        case NumberCondition():
            return _number(condition)


def _address(condition: AddressCondition) -> Apply:
    addresses = address_set(condition.addresses)

    def apply(line: Line) -> bool:
        if line.has_failed:
            return True
        value = line.get(condition.name)
        return value is not None and addresses.holds(value.strip()) == condition.is_within

    return apply


def _number(condition: NumberCondition) -> Apply:
    """A label that is not there never holds. One that is no number is noted and stays: only a condition on `__error__`
    takes such lines away, as in Loki."""
    read, holds = READERS[condition.unit], _COMPARE[condition.operator]

    def apply(line: Line) -> bool:
        if line.has_failed:
            return True
        value = line.get(condition.name)
        if value is None:
            return False
        try:
            found = read(value)
        except (ValueError, OverflowError) as error:
            line.fail("LabelFilterErr", f"label {condition.name}: {error}")
            return True
        return holds(found, condition.value)

    return apply


def _line_format(stage: LineFormat) -> Apply:
    template = parsed(stage.template)

    def apply(line: Line) -> bool:
        try:
            line.text = filled(template, line.labels(), line.text, line.time_ns)
        except TemplateError as error:
            line.fail("TemplateFormatErr", str(error)[:200])
        return True

    return apply


def _label_format(stage: LabelFormat) -> Apply:
    templates = {part.name: parsed(part.source) for part in stage.parts if part.is_template}

    def apply(line: Line) -> bool:
        for part in stage.parts:
            if part.is_template:
                try:
                    line.put(part.name, filled(templates[part.name], line.labels(), line.text, line.time_ns))
                except TemplateError as error:
                    line.fail("TemplateFormatErr", str(error)[:200])
                continue
            value = line.get(part.source)
            if value is not None:
                line.remove(part.source)
                line.put(part.name, value)
        return True

    return apply


def _choose(stage: Choose) -> Apply:
    def named(line: Line) -> set[str]:
        there = line.names()
        found = there.intersection(stage.names)
        for matcher in stage.matchers:
            if matcher.name in there and matcher.matches(line.get(matcher.name) or ""):
                found.add(matcher.name)
        return found

    def drop(line: Line) -> bool:
        for name in named(line):
            line.remove(name)
        return True

    def keep(line: Line) -> bool:
        for name in line.names() - named(line) - set(KEPT_ALWAYS):
            line.remove(name)
        return True

    return keep if stage.keeps else drop


def _decolorize(line: Line) -> bool:
    if "\x1b" in line.text:
        line.text = _COLOR.sub("", line.text)
    return True


def unwrapper(unwrap: Unwrap) -> Callable[[Line], float | None]:
    """The sample of a line; None when it has none. A value that is no number is noted on the line."""
    read = READERS[unwrap.unit]
    filters = compiled(unwrap.filters)

    def sample(line: Line) -> float | None:
        text = line.get(unwrap.label)
        if not text:
            return None
        value = 0.0
        try:
            value = read(text.strip())
        except (ValueError, OverflowError) as error:
            line.fail("SampleExtractionErr", f"label {unwrap.label}: {error}")
        line.remove(unwrap.label)
        return value if filters(line) and not math.isnan(value) else None

    return sample


def names_read(stages: Sequence[Stage]) -> frozenset[str] | None:
    """The labels that stages look at; None when it may be any."""
    found: set[str] = set()
    for stage in stages:
        if isinstance(stage, LineFormat | LabelFormat | Choose):
            return None
        if isinstance(stage, LabelFilter):
            found.update(fields_of(stage.condition))
    return frozenset(found)
