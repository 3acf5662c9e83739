"""The clauses with label lists: `by`, `without`, `on`, `ignoring`, `group_left`, `group_right`, and `fill`."""

from __future__ import annotations

from dataclasses import replace

from tocsin.query.promql.expressions import Cardinality, Matching
from tocsin.query.promql.lexer import AGGREGATORS, KEYWORDS, PREPROCESSORS, WORD_OPERATORS
from tocsin.query.promql.literals import parse_duration_ms, parse_number, quote, unquote
from tocsin.query.promql.tokens import TokenReader

_LABELS = AGGREGATORS | KEYWORDS | PREPROCESSORS | WORD_OPERATORS | {"identifier", "metric identifier", "string"}


def grouping_clause(reader: TokenReader) -> tuple[tuple[str, ...], bool, bool]:
    """The labels of `by` or `without`, whether it was `without`, and whether there was one."""
    clause = reader.accept("by") or reader.accept("without")
    if clause is None:
        return (), False, False
    return _labels(reader), clause.kind == "without", True


def matching(reader: TokenReader, *, is_set: bool) -> Matching:
    """What stands between an operator and its right side."""
    made = Matching("many-to-many" if is_set else "one-to-one")
    clause = reader.accept("on") or reader.accept("ignoring")
    if clause is not None:
        made = replace(made, labels=_labels(reader), on=clause.kind == "on")
        group = reader.accept("group_left") or reader.accept("group_right")
        if group is not None:
            include = _labels(reader) if reader.token.kind == "(" else ()
            cardinality: Cardinality = "many-to-one" if group.kind == "group_left" else "one-to-many"
            made = replace(made, cardinality=cardinality, include=include)
    while fill := (reader.accept("fill") or reader.accept("fill_left") or reader.accept("fill_right")):
        value = _fill_value(reader)
        if fill.kind != "fill_right":
            made = replace(made, fill_left=value)
        if fill.kind != "fill_left":
            made = replace(made, fill_right=value)
    return made


def _fill_value(reader: TokenReader) -> float:
    reader.expect("(")
    sign = reader.accept("+") or reader.accept("-")
    if reader.token.kind not in ("number", "duration"):
        raise reader.unexpected("fill", "number")
    token = reader.take()
    value = parse_number(token.text) if token.kind == "number" else parse_duration_ms(token.text) / 1000
    reader.expect(")")
    return -value if sign is not None and sign.kind == "-" else value


def _labels(reader: TokenReader) -> tuple[str, ...]:
    if reader.token.kind != "(":
        raise reader.unexpected("grouping opts", '"("')
    reader.take()
    labels: list[str] = []
    while reader.accept(")") is None:
        if reader.token.kind not in _LABELS:
            raise reader.unexpected("grouping opts", "label")
        token = reader.take()
        label = unquote(token.text) if token.kind == "string" else token.text
        if not label:
            raise reader.error(f"invalid label name for grouping: {quote(label)}", token.position)
        labels.append(label)
        if reader.token.kind not in (",", ")"):
            raise reader.unexpected("grouping opts", '"," or ")"')
        reader.accept(",")
    return tuple(labels)
