"""The stages of a pipeline: `|= "text"`, `| json`, `| status >= 500`, `| line_format "{{.msg}}"` and the others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar, cast

from tocsin.query.logql.expressions import (
    Choose,
    Decolorize,
    Json,
    LabelFilter,
    LabelFormat,
    LineFilter,
    LineFormat,
    LineMatch,
    LineOperator,
    Logfmt,
    Pattern,
    Regexp,
    Relabel,
    Stage,
    Unit,
    Unpack,
    Unwrap,
)
from tocsin.query.logql.json_path import PathError, json_path
from tocsin.query.logql.lexer import END
from tocsin.query.logql.line_pattern import PatternTextError, capture_pattern, filter_pattern
from tocsin.query.logql.parse_condition import condition
from tocsin.query.logql.parse_selector import LONGEST_PATTERN, OPERATORS, text_matcher
from tocsin.query.logql.patterns import PatternError, compile_search, group_names
from tocsin.query.logql.reader import TokenReader
from tocsin.query.logql.templates import TemplateError, parsed
from tocsin.query.promql.literals import unquote
from tocsin.query.promql.matchers import Matcher

Made = TypeVar("Made")
LINE_OPERATORS = ("|=", "!=", "|~", "!~", "|>", "!>")
MOST_STAGES = 100
CONVERSIONS: dict[str, Unit] = {"duration": "duration", "duration_seconds": "duration", "bytes": "bytes"}


def pipeline(reader: TokenReader) -> tuple[tuple[Stage, ...], Unwrap | None]:
    """The stages that come next, and the unwrap that ends them."""
    found: list[Stage] = []
    while reader.token.kind in LINE_OPERATORS or reader.token.kind == "|":
        if len(found) >= MOST_STAGES:
            raise reader.error(f"the pipeline has more than {MOST_STAGES} stages", reader.token.position, "split it")
        if reader.token.kind != "|":
            found.append(_line_filter(reader))
            continue
        if reader.ahead().text == "unwrap":
            return tuple(found), _unwrap(reader)
        found.append(_stage(reader))
    return tuple(found), None


def _line_filter(reader: TokenReader) -> LineFilter:
    operator = reader.take()
    matches = [_line_match(reader, operator.kind)]
    while reader.accept_word("or"):
        matches.append(_line_match(reader, operator.kind))
    # A comparison here means a field of the line, which has to be read out of it first.
    if reader.token.kind in (">", ">=", "<", "<=", "==", "="):
        name = matches[0].value if matches[0].value.isidentifier() else "field"
        compared = f"{reader.token.text} {reader.ahead().text}" if reader.ahead().kind != END else "> 1.0"
        hint = f"a line filter looks for text; to compare a field of the line write | json | {name} {compared}"
        raise reader.unexpected("", hint)
    position = operator.position.to(reader.last.position)
    return LineFilter(cast("LineOperator", operator.kind), tuple(matches), position)


def _line_match(reader: TokenReader, operator: str) -> LineMatch:
    if reader.token.kind == "identifier" and reader.token.text == "ip" and operator in ("|=", "!="):
        reader.take()
        reader.expect("(")
        found = LineMatch(reader.string(), is_ip=True)
        reader.expect(")")
        return found
    value = reader.string()
    if operator in ("|~", "!~"):
        _check_pattern(reader, value)
    if operator in ("|>", "!>"):
        _refused(reader, PatternTextError, lambda: filter_pattern(value))
    return LineMatch(value)


def _check_pattern(reader: TokenReader, value: str) -> None:
    if len(value) > LONGEST_PATTERN:
        raise reader.error(f"the regular expression has {len(value)} characters", reader.last.position, "shorten it")
    try:
        compile_search(value)
    except PatternError as error:
        raise reader.error(str(error), reader.last.position, "regular expressions are RE2's") from error


def _stage(reader: TokenReader) -> Stage:
    bar = reader.take()
    word = reader.token
    if word.kind in ("(", "string"):
        return LabelFilter(condition(reader), bar.position.to(reader.last.position))
    if word.kind != "identifier":
        raise reader.unexpected("a stage such as json or a label filter such as status >= 500")
    make = _STAGES.get(word.text)
    if make is None or reader.ahead().kind in (*OPERATORS, "==", ">", ">=", "<", "<="):
        if word.text in _ELSEWHERE and reader.ahead().kind not in (*OPERATORS, "==", ">", ">=", "<", "<="):
            raise reader.error(f"{word.text} is not supported", word.position, _ELSEWHERE[word.text])
        return LabelFilter(condition(reader), bar.position.to(reader.last.position))
    reader.take()
    return make(reader)


_ELSEWHERE = {
    "pack": "pack lines where they are collected",
    "distinct": "use sum by (label) (count_over_time({…}[5m])) to see which values there are",
    "where": "write the condition by itself, as | status >= 500",
    "filter": "write the condition by itself, as | status >= 500",
    "sort": "lines come sorted by time; sort() is for vectors",
    "limit": "the number of lines is the parameter limit of the request",
    "head": "the number of lines is the parameter limit of the request",
    "count": "write count_over_time({…}[5m])",
    "stats": "write sum by (label) (count_over_time({…}[5m]))",
}


def _json(reader: TokenReader) -> Json:
    start = reader.last.position
    fields: list[tuple[str, str, tuple[str | int, ...]]] = []
    for name, source in _extractions(reader):
        path = _refused(reader, PathError, partial(json_path, source))
        fields.append((name, source, path))
    return Json(tuple(fields), start.to(reader.last.position))


def _logfmt(reader: TokenReader) -> Logfmt:
    start = reader.last.position
    flags = set()
    while reader.token.kind == "flag":
        flag = reader.take().text
        if flag not in ("--strict", "--keep-empty"):
            raise reader.error(f"unknown flag {flag}", reader.last.position, "logfmt has --strict and --keep-empty")
        flags.add(flag)
    fields = tuple(_extractions(reader))
    return Logfmt(fields, "--strict" in flags, "--keep-empty" in flags, start.to(reader.last.position))


def _extractions(reader: TokenReader) -> list[tuple[str, str]]:
    """`label="expression"` or `label`, with commas between."""
    found: list[tuple[str, str]] = []
    while reader.token.kind == "identifier":
        name = reader.take().text
        found.append((name, reader.string() if reader.accept("=") else name))
        if not reader.accept(","):
            break
    return found


def _pattern(reader: TokenReader) -> Pattern:
    start = reader.last.position
    text = reader.string()
    _refused(reader, PatternTextError, lambda: capture_pattern(text))
    return Pattern(text, start.to(reader.last.position))


def _regexp(reader: TokenReader) -> Regexp:
    start = reader.last.position
    text = reader.string()
    _check_pattern(reader, text)
    if not group_names(text):
        hint = "name what to extract, as (?P<status>\\d+)"
        raise reader.error("the regular expression has no named group", reader.last.position, hint)
    return Regexp(text, start.to(reader.last.position))


def _unpack(reader: TokenReader) -> Unpack:
    return Unpack(reader.last.position)


def _decolorize(reader: TokenReader) -> Decolorize:
    return Decolorize(reader.last.position)


def _line_format(reader: TokenReader) -> LineFormat:
    start = reader.last.position
    text = reader.string()
    _check_template(reader, text)
    return LineFormat(text, start.to(reader.last.position))


def _label_format(reader: TokenReader) -> LabelFormat:
    start = reader.last.position
    parts: list[Relabel] = []
    while True:
        name = reader.expect("identifier").text
        reader.expect("=")
        if any(part.name == name for part in parts):
            raise reader.error(f"label {name} is formatted twice", reader.last.position)
        if reader.token.kind == "string":
            text = reader.string()
            _check_template(reader, text)
            parts.append(Relabel(name, text, is_template=True))
        else:
            parts.append(Relabel(name, reader.expect("identifier").text, is_template=False))
        if not reader.accept(","):
            return LabelFormat(tuple(parts), start.to(reader.last.position))


def _check_template(reader: TokenReader, text: str) -> None:
    _refused(reader, TemplateError, lambda: parsed(text))


def _chooser(keeps: bool) -> Callable[[TokenReader], Choose]:
    def choose(reader: TokenReader) -> Choose:
        start = reader.last.position
        names: list[str] = []
        matchers: list[Matcher] = []
        while True:
            token = reader.token
            if token.kind not in ("identifier", "string"):
                raise reader.unexpected("a label")
            reader.take()
            name = unquote(token.text) if token.kind == "string" else token.text
            if reader.token.kind in OPERATORS or reader.token.kind == "==":
                matchers.append(text_matcher(reader, name))
            else:
                names.append(name)
            if not reader.accept(","):
                return Choose(keeps, tuple(names), tuple(matchers), start.to(reader.last.position))

    return choose


_STAGES: dict[str, Callable[[TokenReader], Stage]] = {
    "json": _json,
    "logfmt": _logfmt,
    "pattern": _pattern,
    "regexp": _regexp,
    "unpack": _unpack,
    "line_format": _line_format,
    "label_format": _label_format,
    "drop": _chooser(keeps=False),
    "keep": _chooser(keeps=True),
    "decolorize": _decolorize,
}


def _unwrap(reader: TokenReader) -> Unwrap:
    start = reader.take().position
    reader.take()
    name = reader.expect("identifier").text
    unit: Unit = "number"
    conversion = ""
    if reader.token.kind == "(":
        if name not in CONVERSIONS:
            raise reader.error(
                f"unknown conversion {name}", reader.last.position, "use duration(label) or bytes(label)"
            )
        reader.take()
        unit, conversion = CONVERSIONS[name], name
        name = reader.expect("identifier").text
        reader.expect(")")
    filters: list[LabelFilter] = []
    while bar := reader.accept("|"):
        word = reader.token.text
        if word in _STAGES or word == "unwrap":
            raise reader.unexpected("a label filter", f"put | {word} before | unwrap")
        filters.append(LabelFilter(condition(reader), bar.position.to(reader.last.position)))
    return Unwrap(name, unit, tuple(filters), conversion, start.to(reader.last.position))


def _refused(reader: TokenReader, kind: type[Exception], make: Callable[[], Made]) -> Made:
    try:
        return make()
    except kind as error:
        raise reader.error(str(error), reader.last.position) from error
