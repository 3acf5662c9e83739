"""An expression as text that parses back to the same expression: on one line, or laid out over several."""

from __future__ import annotations

from tocsin.query.promql.expressions import (
    Aggregation,
    Binary,
    Call,
    Duration,
    Expression,
    Matching,
    MatrixSelector,
    Modifiers,
    NumberLiteral,
    Parentheses,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
)
from tocsin.query.promql.labels_text import name_text
from tocsin.query.promql.literals import format_duration, format_number, quote
from tocsin.query.promql.matchers import NAME, Matcher

LINE_WIDTH = 100
_INDENT = "  "


def print_expression(node: Expression) -> str:
    """On one line; strings are escaped, so that no label value can become syntax."""
    match node:
        case NumberLiteral():
            return _number(node)
        case StringLiteral():
            return quote(node.value)
        case VectorSelector():
            return _selector(node)
        case MatrixSelector():
            bare = VectorSelector(node.selector.name, node.selector.matchers)
            return f"{_selector(bare)}[{_duration(node.range)}]{_suffix(node.selector)}"
        case Subquery():
            return print_expression(node.expression) + _subquery_suffix(node)
        case Parentheses():
            return f"({print_expression(node.expression)})"
        case Unary():
            return node.operator + print_expression(node.expression)
        case Binary():
            return f"{print_expression(node.left)} {_operator(node)} {print_expression(node.right)}"
        case Call():
            return f"{node.function.name}({', '.join(print_expression(one) for one in node.arguments)})"
        case Aggregation():
            arguments = [one for one in (node.parameter, node.expression) if one is not None]
            return f"{_aggregation_head(node)}({', '.join(print_expression(one) for one in arguments)})"


def pretty(node: Expression, level: int = 0) -> str:
    """Over several lines where one would be too long, as Prometheus' format_query lays queries out."""
    text = print_expression(node)
    indent = _INDENT * level
    if len(text) <= LINE_WIDTH:
        return indent + text
    match node:
        case Aggregation():
            arguments = [one for one in (node.parameter, node.expression) if one is not None]
            return _block(f"{indent}{_aggregation_head(node)}", arguments, level)
        case Call():
            return _block(f"{indent}{node.function.name}", list(node.arguments), level)
        case Parentheses():
            return _block(indent, [node.expression], level)
        case Binary():
            left, right = pretty(node.left, level + 1), pretty(node.right, level + 1)
            return f"{left}\n{indent}{_operator(node)}\n{right}"
        case Unary():
            return indent + node.operator + pretty(node.expression, level).lstrip()
        case Subquery():
            return pretty(node.expression, level) + _subquery_suffix(node)
        case _:
            return indent + text


def _block(head: str, arguments: list[Expression], level: int) -> str:
    inner = ",\n".join(pretty(one, level + 1) for one in arguments)
    return f"{head}(\n{inner}\n{_INDENT * level})"


def _number(node: NumberLiteral) -> str:
    if node.is_duration:
        return format_duration(round(node.value * 1000))
    return format_number(node.value)


def _term(duration: Duration) -> str:
    return _number(duration) if isinstance(duration, NumberLiteral) else _duration(duration)


def _duration(duration: Duration) -> str:
    if isinstance(duration, NumberLiteral):
        text = format_duration(round(abs(duration.value) * 1000))
        return f"-{text}" if duration.value < 0 else text
    match duration.operator:
        case "step" | "range":
            text = f"{duration.operator}()"
        case "min" | "max":
            assert duration.left is not None
            assert duration.right is not None
            text = f"{duration.operator}({_term(duration.left)}, {_term(duration.right)})"
        case operator:
            assert duration.right is not None
            right = _term(duration.right)
            text = f"-{right}" if duration.left is None else f"{_term(duration.left)} {operator} {right}"
    return f"({text})" if duration.wrapped else text


def _selector(node: VectorSelector) -> str:
    shown = [matcher for matcher in node.matchers if not _is_written_name(matcher, node.name)]
    text = node.name
    if shown or not node.name:
        text += "{" + ",".join(sorted(_matcher(matcher) for matcher in shown)) + "}"
    return text + _suffix(node)


def _is_written_name(matcher: Matcher, name: str) -> bool:
    return bool(name) and matcher.name == NAME and matcher.operator == "=" and matcher.value == name


def _matcher(matcher: Matcher) -> str:
    return f"{name_text(matcher.name)}{matcher.operator}{quote(matcher.value)}"


def _suffix(node: VectorSelector) -> str:
    return (f" {node.extension}" if node.extension else "") + _modifiers(node.modifiers)


def _modifiers(modifiers: Modifiers) -> str:
    text = ""
    if modifiers.at_ms is not None:
        text = f" @ {modifiers.at_ms / 1000:.3f}"
    elif modifiers.at_edge:
        text = f" @ {modifiers.at_edge}()"
    offset = modifiers.offset
    if offset is None or (isinstance(offset, NumberLiteral) and offset.value == 0):
        return text
    return f"{text} offset {_duration(offset)}"


def _subquery_suffix(node: Subquery) -> str:
    step = "" if node.step is None else _duration(node.step)
    return f"[{_duration(node.range)}:{step}]{_modifiers(node.modifiers)}"


def _labels(labels: tuple[str, ...]) -> str:
    return f"({', '.join(name_text(label) for label in labels)})"


def _aggregation_head(node: Aggregation) -> str:
    if node.without:
        return f"{node.operator} without {_labels(node.grouping)} "
    return f"{node.operator} by {_labels(node.grouping)} " if node.grouping else node.operator


def _operator(node: Binary) -> str:
    text = node.operator + (" bool" if node.returns_bool else "")
    return text + ("" if node.matching is None else _matching(node.matching))


def _matching(matching: Matching) -> str:
    text = ""
    if matching.labels or matching.on or matching.cardinality in ("many-to-one", "one-to-many"):
        text = f" {'on' if matching.on else 'ignoring'} {_labels(matching.labels)}"
        if matching.cardinality in ("many-to-one", "one-to-many"):
            side = "left" if matching.cardinality == "many-to-one" else "right"
            text += f" group_{side} {_labels(matching.include)}"
    left, right = matching.fill_left, matching.fill_right
    if left is not None and left == right:
        return f"{text} fill ({format_number(left)})"
    text += "" if left is None else f" fill_left ({format_number(left)})"
    return text + ("" if right is None else f" fill_right ({format_number(right)})")
