"""Whether every expression stands where its type is allowed, in Prometheus' words."""

from __future__ import annotations

from tocsin.query.promql.errors import ParseError, Position
from tocsin.query.promql.expressions import (
    COMPARISONS,
    SET_OPERATORS,
    Aggregation,
    Binary,
    Call,
    Expression,
    Subquery,
    Unary,
    VectorSelector,
    children,
    unwrapped,
)
from tocsin.query.promql.literals import quote
from tocsin.query.promql.matchers import NAME
from tocsin.query.promql.signatures import TYPE_NAMES, Type


def check_types(expression: Expression, text: str) -> None:
    """Raises ParseError at the first expression of a wrong type."""
    _Checker(text).check(expression)


class _Checker:
    def __init__(self, text: str) -> None:
        self.text = text

    def check(self, expression: Expression, *, allows_empty: bool = False) -> None:
        match expression:
            case Aggregation():
                self._aggregation(expression)
            case Binary():
                self._binary(expression)
            case Call():
                self._call(expression)
            case Unary():
                self._unary(expression)
            case Subquery():
                self._subquery(expression)
            case VectorSelector():
                self._selector(expression, allows_empty)
            case _:
                for child in children(expression):
                    self.check(child)

    def _fail(self, reason: str, position: Position) -> ParseError:
        return ParseError(reason, position, self.text)

    def _expect(self, expression: Expression, wanted: Type, context: str) -> None:
        self.check(expression)
        if expression.type != wanted:
            raise self._fail(
                f"expected type {TYPE_NAMES[wanted]} in {context}, got {TYPE_NAMES[expression.type]}",
                expression.position,
            )

    def _aggregation(self, node: Aggregation) -> None:
        self._expect(node.expression, "vector", "aggregation expression")
        if node.parameter is not None:
            wanted: Type = "string" if node.operator == "count_values" else "scalar"
            self._expect(node.parameter, wanted, "aggregation parameter")

    def _binary(self, node: Binary) -> None:
        self.check(node.left)
        self.check(node.right)
        self._operator(node)
        for side in (node.left, node.right):
            if side.type not in ("scalar", "vector"):
                reason = "binary expression must contain only scalar and instant vector types"
                raise self._fail(reason, side.position)
        matching = node.matching
        assert matching is not None
        fills = matching.fill_left is not None or matching.fill_right is not None
        if not node.left.type == node.right.type == "vector":
            if matching.labels:
                raise self._fail("vector matching only allowed between instant vectors", node.position)
            if fills:
                raise self._fail("filling in missing series only allowed between instant vectors", node.position)
            if node.operator in SET_OPERATORS:
                reason = f"set operator {quote(node.operator)} not allowed in binary scalar expression"
                raise self._fail(reason, node.position)
        elif node.operator in SET_OPERATORS:
            if matching.cardinality in ("one-to-many", "many-to-one"):
                raise self._fail(f"no grouping allowed for {quote(node.operator)} operation", node.position)
            if fills:
                raise self._fail("filling in missing series not allowed for set operators", node.position)

    def _operator(self, node: Binary) -> None:
        compares = node.operator in COMPARISONS
        reason = ""
        if node.returns_bool and not compares:
            reason = "bool modifier can only be used on comparison operators"
        elif compares and not node.returns_bool and node.left.type == node.right.type == "scalar":
            reason = "comparisons between scalars must use BOOL modifier"
        elif node.matching is not None and node.matching.on:
            twice = [label for label in node.matching.labels if label in node.matching.include]
            if twice:
                reason = f"label {quote(twice[0])} must not occur in ON and GROUP clause at once"
        if reason:
            start = node.left.position.end
            while self.text[start : start + 1].isspace():
                start += 1
            raise self._fail(reason, Position(start, node.right.position.start))

    def _call(self, node: Call) -> None:
        self._count(node)
        signature = node.function
        if signature.name == "info" and len(node.arguments) > 1:
            self._info_matchers(node.arguments[1])
        for index, argument in enumerate(node.arguments):
            wanted = signature.arguments[min(index, len(signature.arguments) - 1)]
            self.check(argument, allows_empty=signature.name == "info" and index == 1)
            if argument.type != wanted:
                raise self._fail(
                    f"expected type {TYPE_NAMES[wanted]} in call to function {quote(signature.name)}, "
                    f"got {TYPE_NAMES[argument.type]}",
                    argument.position,
                )

    def _count(self, node: Call) -> None:
        wanted, given, name = len(node.function.arguments), len(node.arguments), quote(node.function.name)
        variadic = node.function.variadic
        reason = ""
        if variadic == 0:
            if wanted != given:
                reason = f"expected {wanted} argument(s) in call to {name}, got {given}"
        elif given < wanted - 1:
            reason = f"expected at least {wanted - 1} argument(s) in call to {name}, got {given}"
        elif 0 < variadic < given - wanted + 1:
            reason = f"expected at most {wanted - 1 + variadic} argument(s) in call to {name}, got {given}"
        if reason:
            raise self._fail(reason, node.position)

    def _info_matchers(self, argument: Expression) -> None:
        if argument.type == "vector" and not isinstance(argument, VectorSelector):
            raise self._fail("expected label selectors only", argument.position)
        if isinstance(argument, VectorSelector) and argument.name:
            raise self._fail("expected label selectors only, got vector selector instead", argument.position)

    def _unary(self, node: Unary) -> None:
        self.check(node.expression)
        if node.type not in ("scalar", "vector"):
            raise self._fail(
                "unary expression only allowed on expressions of type scalar or instant vector, "
                f"got {quote(TYPE_NAMES[node.type])}",
                node.position,
            )

    def _subquery(self, node: Subquery) -> None:
        self.check(node.expression)
        if node.expression.type != "vector":
            found = {"vector": "vector", "matrix": "matrix"}.get(node.expression.type, node.expression.type)
            raise self._fail(f"subquery is only allowed on instant vector, got {found} instead", node.position)

    def _selector(self, node: VectorSelector, allows_empty: bool) -> None:
        if node.name:
            for matcher in node.matchers[:-1]:
                if matcher.name == NAME:
                    reason = f"metric name must not be set twice: {quote(node.name)} or {quote(matcher.value)}"
                    raise self._fail(reason, node.position)
        elif not allows_empty and all(matcher.matches("") for matcher in node.matchers):
            raise self._fail("vector selector must contain at least one non-empty matcher", node.position)


def constant_string(expression: Expression) -> str:
    """The value of an argument that the types make a string literal."""
    literal = unwrapped(expression)
    return str(getattr(literal, "value", ""))
