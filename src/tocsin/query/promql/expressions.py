"""The nodes of a parsed query: plain frozen values with their type and their place in the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, cast

from tocsin.query.promql.errors import Position
from tocsin.query.promql.matchers import Matcher
from tocsin.query.promql.signatures import Signature, Type


class _Printed:
    """Nodes print as PromQL."""

    __slots__ = ()

    def __str__(self) -> str:
        from tocsin.query.promql.printer import print_expression

        return print_expression(cast("Expression", self))


Cardinality = Literal["one-to-one", "many-to-one", "one-to-many", "many-to-many"]
NOWHERE = Position(0, 0)

COMPARISONS = frozenset(("==", "!=", "<=", "<", ">=", ">"))
SET_OPERATORS = frozenset(("and", "or", "unless"))
AGGREGATORS_WITH_PARAMETER = frozenset(("topk", "bottomk", "count_values", "quantile", "limitk", "limit_ratio"))


@dataclass(frozen=True, slots=True)
class NumberLiteral(_Printed):
    value: float
    is_duration: bool = False
    position: Position = field(default=NOWHERE, compare=False)
    type: Type = field(default="scalar", init=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class StringLiteral(_Printed):
    value: str
    position: Position = field(default=NOWHERE, compare=False)
    type: Type = field(default="string", init=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class DurationExpression:
    """Arithmetic on durations: operator `+ - * / % ^`, `step`, `range`, `min`, `max`; unary without `left`."""

    operator: str
    left: Duration | None = None
    right: Duration | None = None
    wrapped: bool = False
    position: Position = field(default=NOWHERE, compare=False)


Duration = NumberLiteral | DurationExpression  # in seconds


@dataclass(frozen=True, slots=True)
class Modifiers:
    """`offset` and `@` of a selector or subquery."""

    offset: Duration | None = None
    at_ms: int | None = None
    at_edge: Literal["", "start", "end"] = ""

    @property
    def is_pinned(self) -> bool:
        return self.at_ms is not None or self.at_edge != ""


@dataclass(frozen=True, slots=True)
class VectorSelector(_Printed):
    name: str  # as written before the braces; '' without
    matchers: tuple[Matcher, ...]
    modifiers: Modifiers = Modifiers()
    extension: Literal["", "anchored", "smoothed"] = ""
    allows_empty: bool = field(default=False, compare=False)  # the second argument of info()
    position: Position = field(default=NOWHERE, compare=False)
    type: Type = field(default="vector", init=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class MatrixSelector(_Printed):
    selector: VectorSelector
    range: Duration
    position: Position = field(default=NOWHERE, compare=False)
    type: Type = field(default="matrix", init=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Subquery(_Printed):
    expression: Expression
    range: Duration
    step: Duration | None = None
    modifiers: Modifiers = Modifiers()
    position: Position = field(default=NOWHERE, compare=False)
    type: Type = field(default="matrix", init=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Parentheses(_Printed):
    expression: Expression
    position: Position = field(default=NOWHERE, compare=False)

    @property
    def type(self) -> Type:
        return self.expression.type


@dataclass(frozen=True, slots=True)
class Unary(_Printed):
    operator: str
    expression: Expression
    position: Position = field(default=NOWHERE, compare=False)

    @property
    def type(self) -> Type:
        return self.expression.type


@dataclass(frozen=True, slots=True)
class Matching:
    """How the series of two vectors find each other."""

    cardinality: Cardinality = "one-to-one"
    labels: tuple[str, ...] = ()
    on: bool = False
    include: tuple[str, ...] = ()
    fill_left: float | None = None
    fill_right: float | None = None


@dataclass(frozen=True, slots=True)
class Binary(_Printed):
    operator: str
    left: Expression
    right: Expression
    returns_bool: bool = False
    matching: Matching | None = None  # None unless both sides are vectors
    position: Position = field(default=NOWHERE, compare=False)

    @property
    def type(self) -> Type:
        return "scalar" if self.left.type == self.right.type == "scalar" else "vector"


@dataclass(frozen=True, slots=True)
class Call(_Printed):
    function: Signature
    arguments: tuple[Expression, ...]
    position: Position = field(default=NOWHERE, compare=False)

    @property
    def type(self) -> Type:
        return self.function.returns


@dataclass(frozen=True, slots=True)
class Aggregation(_Printed):
    operator: str
    expression: Expression
    parameter: Expression | None = None
    grouping: tuple[str, ...] = ()
    without: bool = False
    position: Position = field(default=NOWHERE, compare=False)
    type: Type = field(default="vector", init=False, repr=False, compare=False)


Expression = (
    NumberLiteral
    | StringLiteral
    | VectorSelector
    | MatrixSelector
    | Subquery
    | Parentheses
    | Unary
    | Binary
    | Call
    | Aggregation
)


def children(expression: Expression) -> tuple[Expression, ...]:
    """The expressions directly below."""
    match expression:
        case MatrixSelector():
            return (expression.selector,)
        case Subquery() | Parentheses() | Unary():
            return (expression.expression,)
        case Binary():
            return (expression.left, expression.right)
        case Call():
            return expression.arguments
        case Aggregation():
            parameter = () if expression.parameter is None else (expression.parameter,)
            return (*parameter, expression.expression)
        case _:
            return ()


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and all below it, parents first."""
    yield expression
    for child in children(expression):
        yield from walk(child)


def selectors(expression: Expression) -> list[VectorSelector]:
    """Every selector of the query: what has to be allowed, and what gets a tenant's matcher."""
    return [node for node in walk(expression) if isinstance(node, VectorSelector)]


def unwrapped(expression: Expression) -> Expression:
    """Without the parentheses round it."""
    while isinstance(expression, Parentheses):
        expression = expression.expression
    return expression
