"""An expression as LogQL in its canonical form."""

from __future__ import annotations

from tocsin.query.logql.expressions import (
    AddressCondition,
    Binary,
    Both,
    Choose,
    Condition,
    Decolorize,
    Either,
    Expression,
    Grouping,
    Json,
    LabelFilter,
    LabelFormat,
    LabelReplace,
    LineFilter,
    LineFormat,
    Logfmt,
    LogQuery,
    Number,
    NumberCondition,
    Pattern,
    RangeAggregation,
    Regexp,
    Stage,
    TextCondition,
    Unpack,
    Unwrap,
    Vector,
    VectorAggregation,
)
from tocsin.query.promql.expressions import Matching
from tocsin.query.promql.literals import format_duration, format_number, quote


def printed(node: Expression) -> str:
    match node:
        case LogQuery():
            return _log_query(node)
        case Number(value):
            return format_number(value)
        case Vector(value):
            return f"vector({format_number(value)})"
        case RangeAggregation():
            return _range(node)
        case VectorAggregation():
            inner = printed(node.expression)
            if node.parameter is not None:
                inner = f"{format_number(node.parameter)}, {inner}"
            return f"{node.operator}{_spaced(_grouping(node.grouping))}({inner})"
        case LabelReplace():
            texts = ", ".join(quote(text) for text in (node.target, node.replacement, node.source, node.pattern))
            return f"label_replace({printed(node.expression)}, {texts})"
        case Binary():
            return _binary(node)


def _log_query(node: LogQuery) -> str:
    selector = "{" + ", ".join(map(str, node.matchers)) + "}"
    return " ".join([selector, *map(_stage, node.stages)])


def _range(node: RangeAggregation) -> str:
    inner = _log_query(node.query) + (f" {_unwrap(node.unwrap)}" if node.unwrap is not None else "")
    inner += f" [{format_duration(node.range_ms)}]"
    inner += f" offset {format_duration(node.offset_ms)}" if node.offset_ms else ""
    if node.parameter is not None:
        inner = f"{format_number(node.parameter)}, {inner}"
    return f"{node.operator}({inner})" + (f" {_grouping(node.grouping)}" if node.grouping is not None else "")


def _grouping(grouping: Grouping) -> str:
    if not grouping.labels and not grouping.without:
        return ""
    return f"{'without' if grouping.without else 'by'} ({', '.join(grouping.labels)})"


def _spaced(text: str) -> str:
    return f" {text} " if text else ""


def _binary(node: Binary) -> str:
    sides = [f"({printed(side)})" if isinstance(side, Binary) else printed(side) for side in (node.left, node.right)]
    words = [node.operator, *(["bool"] if node.returns_bool else []), *_matching(node.matching)]
    return f"{sides[0]} {' '.join(words)} {sides[1]}"


def _matching(matching: Matching | None) -> list[str]:
    if matching is None:
        return []
    found = []
    if matching.labels or matching.on:
        found.append(f"{'on' if matching.on else 'ignoring'} ({', '.join(matching.labels)})")
    side = {"many-to-one": "group_left", "one-to-many": "group_right"}.get(matching.cardinality)
    if side:
        found.append(f"{side} ({', '.join(matching.include)})")
    return found


def _stage(stage: Stage) -> str:
    match stage:
        case LineFilter():
            texts = [f"ip({quote(one.value)})" if one.is_ip else quote(one.value) for one in stage.matches]
            return f"{stage.operator} {' or '.join(texts)}"
        case LabelFilter(condition):
            return f"| {_condition(condition)}"
        case Json():
            return _parser("json", [f"{name}={quote(source)}" for name, source, _ in stage.fields])
        case Logfmt():
            flags = [*(["--strict"] if stage.strict else []), *(["--keep-empty"] if stage.keep_empty else [])]
            return " ".join(
                ["| logfmt", *flags, *([", ".join(f"{n}={quote(k)}" for n, k in stage.fields)] if stage.fields else [])]
            )
        case Pattern(text):
            return f"| pattern {quote(text)}"
        case Regexp(text):
            return f"| regexp {quote(text)}"
        case Unpack():
            return "| unpack"
        case LineFormat(template):
            return f"| line_format {quote(template)}"
        case LabelFormat(parts):
            texts = [f"{part.name}={quote(part.source) if part.is_template else part.source}" for part in parts]
            return f"| label_format {', '.join(texts)}"
        case Choose():
            return f"| {'keep' if stage.keeps else 'drop'} {', '.join([*stage.names, *map(str, stage.matchers)])}"
        case Decolorize():
            return "| decolorize"


def _parser(name: str, fields: list[str]) -> str:
    return f"| {name} {', '.join(fields)}" if fields else f"| {name}"


def _condition(condition: Condition, *, is_within: bool = False) -> str:
    match condition:
        case TextCondition(matcher):
            return str(matcher)
        case NumberCondition():
            return f"{condition.name} {condition.operator} {condition.text}"
        case AddressCondition():
            return f"{condition.name} {'=' if condition.is_within else '!='} ip({quote(condition.addresses)})"
        case Both(left, right):
            return f"{_condition(left, is_within=True)} and {_condition(right, is_within=True)}"
        case Either(left, right):
            text = f"{_condition(left)} or {_condition(right)}"
            return f"({text})" if is_within else text


def _unwrap(unwrap: Unwrap) -> str:
    label = f"{unwrap.conversion}({unwrap.label})" if unwrap.conversion else unwrap.label
    return " ".join([f"| unwrap {label}", *map(_stage, unwrap.filters)])
