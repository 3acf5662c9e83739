"""A parsed query as the tree of Prometheus' parse_query."""

from __future__ import annotations

from typing import Any

from tocsin.query.promql.expressions import (
    Aggregation,
    Binary,
    Call,
    Duration,
    Expression,
    MatrixSelector,
    Modifiers,
    NumberLiteral,
    Parentheses,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
)
from tocsin.query.promql.literals import format_number
from tocsin.query.promql.matchers import NAME


def tree_of(expression: Expression) -> dict[str, Any]:
    match expression:
        case NumberLiteral():
            return {"type": "numberLiteral", "val": format_number(expression.value)}
        case StringLiteral():
            return {"type": "stringLiteral", "val": expression.value}
        case Parentheses():
            return {"type": "parenExpr", "expr": tree_of(expression.expression)}
        case Unary():
            return {"type": "unaryExpr", "op": expression.operator, "expr": tree_of(expression.expression)}
        case VectorSelector():
            return {"type": "vectorSelector"} | _selector(expression)
        case MatrixSelector():
            return {"type": "matrixSelector", "range": _ms(expression.range)} | _selector(expression.selector)
        case Subquery():
            return _subquery(expression)
        case Call():
            return _call(expression)
        case Aggregation():
            return _aggregation(expression)
        case Binary():
            return _binary(expression)


def _selector(selector: VectorSelector) -> dict[str, Any]:
    matchers = [{"name": one.name, "value": one.value, "type": one.operator} for one in selector.matchers]
    name = selector.name or next(
        (one.value for one in selector.matchers if one.name == NAME and one.operator == "="), ""
    )
    said = {"name": name, "matchers": matchers} | _modifiers(selector.modifiers)
    return said | ({selector.extension: True} if selector.extension else {})


def _modifiers(modifiers: Modifiers) -> dict[str, Any]:
    return {
        "offset": _ms(modifiers.offset),
        "timestamp": modifiers.at_ms,
        "startOrEnd": modifiers.at_edge or None,
    }


def _subquery(subquery: Subquery) -> dict[str, Any]:
    return {
        "type": "subquery",
        "expr": tree_of(subquery.expression),
        "range": _ms(subquery.range),
        "step": _ms(subquery.step),
    } | _modifiers(subquery.modifiers)


def _call(call: Call) -> dict[str, Any]:
    function = call.function
    return {
        "type": "call",
        "func": {
            "name": function.name,
            "argTypes": list(function.arguments),
            "variadic": function.variadic,
            "returnType": function.returns,
        },
        "args": [tree_of(argument) for argument in call.arguments],
    }


def _aggregation(aggregation: Aggregation) -> dict[str, Any]:
    return {
        "type": "aggregation",
        "op": aggregation.operator,
        "expr": tree_of(aggregation.expression),
        "param": None if aggregation.parameter is None else tree_of(aggregation.parameter),
        "grouping": list(aggregation.grouping),
        "without": aggregation.without,
    }


def _binary(binary: Binary) -> dict[str, Any]:
    matching = binary.matching
    said = matching and {
        "card": matching.cardinality,
        "labels": list(matching.labels),
        "on": matching.on,
        "include": list(matching.include),
        "fillValues": {"lhs": matching.fill_left, "rhs": matching.fill_right},
    }
    return {
        "type": "binaryExpr",
        "op": binary.operator,
        "lhs": tree_of(binary.left),
        "rhs": tree_of(binary.right),
        "matching": said,
        "bool": binary.returns_bool,
    }


def _ms(duration: Duration | None) -> int:
    """Milliseconds; 0 for a duration that is computed, as in Prometheus."""
    return round(duration.value * 1000) if isinstance(duration, NumberLiteral) else 0
