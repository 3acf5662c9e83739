"""A query with `@` on everything that has none: whenever it is asked, it answers as it did at that time."""

from __future__ import annotations

from dataclasses import replace

from tocsin.query.promql.expressions import (
    Aggregation,
    Binary,
    Call,
    Expression,
    MatrixSelector,
    Modifiers,
    Parentheses,
    Subquery,
    Unary,
    VectorSelector,
    walk,
)
from tocsin.query.promql.parser import parse

# Functions of the time of evaluation itself.
_UNPINNABLE = frozenset(
    ("day_of_month", "day_of_week", "day_of_year", "days_in_month", "end", "hour", "minute", "month", "predict_linear")
) | frozenset(("range", "start", "step", "time", "timestamp", "year"))


def pinned_query(query: str, time_ms: int) -> str | None:
    """The query pinned to a time, printed; None where it cannot be."""
    expression = parse(query)
    names = {node.function.name for node in walk(expression) if isinstance(node, Call)}
    return None if names & _UNPINNABLE else str(_pinned(expression, time_ms))


def _pinned(node: Expression, time_ms: int) -> Expression:
    match node:
        case VectorSelector():
            return replace(node, modifiers=_at(node.modifiers, time_ms))
        case MatrixSelector():
            return replace(node, selector=replace(node.selector, modifiers=_at(node.selector.modifiers, time_ms)))
        case Subquery():
            return replace(node, modifiers=_at(node.modifiers, time_ms))  # what is inside follows its steps
        case Parentheses() | Unary():
            return replace(node, expression=_pinned(node.expression, time_ms))
        case Binary():
            return replace(node, left=_pinned(node.left, time_ms), right=_pinned(node.right, time_ms))
        case Call():
            if node.function.name == "info":
                return replace(node, arguments=(_pinned(node.arguments[0], time_ms), *node.arguments[1:]))
            return replace(node, arguments=tuple(_pinned(one, time_ms) for one in node.arguments))
        case Aggregation():
            parameter = None if node.parameter is None else _pinned(node.parameter, time_ms)
            return replace(node, expression=_pinned(node.expression, time_ms), parameter=parameter)
        case _:
            return node


def _at(modifiers: Modifiers, time_ms: int) -> Modifiers:
    return modifiers if modifiers.is_pinned else replace(modifiers, at_ms=time_ms)
