"""Query text in, a typed expression out.

A Pratt parser of bounded depth. What it refuses, and the words it refuses it with, are Prometheus' own; the first
error found is the one told.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from tocsin.query.promql import parse_duration, parse_matching
from tocsin.query.promql.errors import ParseError
from tocsin.query.promql.expressions import (
    AGGREGATORS_WITH_PARAMETER,
    Aggregation,
    Binary,
    Call,
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
from tocsin.query.promql.lexer import AGGREGATORS, END, PREPROCESSORS, Token
from tocsin.query.promql.literals import parse_duration_ms, parse_number, quote, unquote
from tocsin.query.promql.matchers import Matcher
from tocsin.query.promql.parse_selector import vector_selector
from tocsin.query.promql.signatures import FUNCTIONS
from tocsin.query.promql.tokens import MAX_DEPTH, TokenReader
from tocsin.query.promql.typecheck import check_types

BINDING = {
    "or": 1,
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(("==", "!=", "<=", "<", ">=", ">", "</", ">/"), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%", "atan2"), 5),
    "^": 6,
}
_POWER = 6
_NAMES = (
    AGGREGATORS | PREPROCESSORS | frozenset(("and", "or", "unless", "by", "offset", "without", "anchored", "smoothed"))
)


def parse(text: str, max_depth: int = MAX_DEPTH) -> Expression:
    """The expression of a query, its types checked. Raises ParseError."""
    return _remembered(text, max_depth) if len(text) <= _LONGEST_REMEMBERED else _parse(text, max_depth)


def _parse(text: str, max_depth: int) -> Expression:
    reader = TokenReader(text, max_depth)
    if reader.token.kind == END:
        raise reader.error("no expression found in input", reader.token.position)
    expression = _Parser(reader).expression(0)
    if reader.token.kind != END:
        raise reader.unexpected()
    check_types(expression, text)
    return expression


# Rules and panels ask the same again and again, and reading it takes longer than computing over a few series.
_LONGEST_REMEMBERED = 2000
_remembered = lru_cache(256)(_parse)


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """The matchers of a series selector, as `match[]` takes them. Raises ParseError."""
    reader = TokenReader(text, MAX_DEPTH)
    selector = vector_selector(reader, "")
    if reader.token.kind != END:
        raise reader.unexpected()
    check_types(selector, text)
    return selector.matchers


class _Parser:
    def __init__(self, reader: TokenReader) -> None:
        self.reader = reader

    def expression(self, least: int) -> Expression:
        """An expression whose operators bind at least as strongly as `least`."""
        with self.reader.deeper():
            left = self._postfix(self._prefix())
            while (power := BINDING.get(self.reader.token.kind, 0)) > 0 and power >= least:
                left = self._binary(left, power)
            return left

    def _binary(self, left: Expression, power: int) -> Expression:
        operator = self.reader.take()
        returns_bool = self.reader.accept("bool") is not None
        matching = parse_matching.matching(self.reader, is_set=operator.kind in ("and", "or", "unless"))
        right = self.expression(power if operator.kind == "^" else power + 1)
        made = Binary(operator.kind, left, right, returns_bool, matching, left.position.to(right.position))
        return self.reader.measured(made, left, right)

    def _prefix(self) -> Expression:
        token = self.reader.token
        match token.kind:
            case "number":
                self.reader.take()
                return NumberLiteral(parse_number(token.text), False, token.position)
            case "duration":
                return self._duration(self.reader.take())
            case "string":
                self.reader.take()
                return StringLiteral(unquote(token.text), token.position)
            case "+" | "-":
                return self._unary()
            case "(":
                return self._parentheses()
            case "{":
                return vector_selector(self.reader, "")
            case "identifier" | "metric identifier":
                return self._named()
        if token.kind in _NAMES:
            return self._named()
        raise self.reader.unexpected()

    def _duration(self, token: Token) -> Expression:
        try:
            return NumberLiteral(parse_duration_ms(token.text) / 1000, True, token.position)
        except ValueError as error:
            raise self.reader.error(str(error), token.position) from error

    def _unary(self) -> Expression:
        operator = self.reader.take()
        operand = self.expression(_POWER)
        position = operator.position.to(operand.position)
        if isinstance(operand, NumberLiteral):
            value = -operand.value if operator.kind == "-" else operand.value
            return replace(operand, value=value, position=position)
        return self.reader.measured(Unary(operator.kind, operand, position), operand)

    def _parentheses(self) -> Expression:
        opening = self.reader.take()
        inner = self.expression(0)
        closing = self.reader.expect(")")
        return self.reader.measured(Parentheses(inner, opening.position.to(closing.position)), inner)

    def _named(self) -> Expression:
        name = self.reader.take()
        following = self.reader.token.kind
        if name.kind in AGGREGATORS and following in ("(", "by", "without"):
            return self._aggregation(name)
        if following == "(" and (name.kind == "identifier" or name.kind in PREPROCESSORS):
            return self._call(name)
        if name.kind in AGGREGATORS and following in (
            "identifier",
            "metric identifier",
            "number",
            "string",
            "duration",
        ):
            raise self.reader.unexpected("aggregation")
        return vector_selector(self.reader, name.text, name)

    def _call(self, name: Token) -> Expression:
        signature = FUNCTIONS.get(name.text.lower() if name.kind in PREPROCESSORS else name.text)
        if signature is None:
            raise self.reader.error(f"unknown function with name {quote(name.text)}", name.position)
        arguments, closing = self._arguments()
        return self.reader.measured(Call(signature, arguments, name.position.to(closing.position)), *arguments)

    def _arguments(self) -> tuple[tuple[Expression, ...], Token]:
        self.reader.expect("(")
        arguments: list[Expression] = []
        if self.reader.token.kind != ")":
            arguments.append(self.expression(0))
            while comma := self.reader.accept(","):
                if self.reader.token.kind == ")":
                    raise self.reader.error("trailing commas not allowed in function call args", comma.position)
                arguments.append(self.expression(0))
        return tuple(arguments), self.reader.expect(")")

    def _aggregation(self, operator: Token) -> Expression:
        grouping, without, is_grouped = parse_matching.grouping_clause(self.reader)
        if self.reader.token.kind != "(":
            raise self.reader.unexpected("aggregation")
        arguments, closing = self._arguments()
        if not is_grouped:
            grouping, without, is_grouped = parse_matching.grouping_clause(self.reader)
        position = operator.position.to(self.reader.last.position if is_grouped else closing.position)
        if not arguments:
            raise self.reader.error("no arguments for aggregate expression provided", position)
        wanted = 2 if operator.kind in AGGREGATORS_WITH_PARAMETER else 1
        if len(arguments) != wanted:
            raise self.reader.error(
                f"wrong number of arguments for aggregate expression provided, expected {wanted}, got {len(arguments)}",
                position,
            )
        parameter = arguments[0] if wanted == 2 else None
        made = Aggregation(operator.kind, arguments[-1], parameter, grouping, without, position)
        return self.reader.measured(made, *arguments)

    def _postfix(self, left: Expression) -> Expression:
        while True:
            match self.reader.token.kind:
                case "[":
                    left = self._range(left)
                case "offset":
                    left = self._offset(left)
                case "@":
                    left = self._at(left)
                case "anchored" | "smoothed":
                    left = self._extended(left)
                case _:
                    return left

    def _range(self, left: Expression) -> Expression:
        opening = self.reader.take()
        range_ = parse_duration.in_brackets(self.reader)
        if self.reader.accept(":"):
            step = None if self.reader.token.kind == "]" else parse_duration.step_in_brackets(self.reader)
            if self.reader.token.kind != "]":
                raise self.reader.unexpected("subquery selector", '"]"')
            closing = self.reader.take()
            made = Subquery(left, range_, step, position=left.position.to(closing.position))
            return self.reader.measured(made, left)
        if self.reader.token.kind != "]":
            raise self.reader.unexpected("subquery or range", '":" or "]"')
        closing = self.reader.take()
        reason = ""
        if not isinstance(left, VectorSelector):
            reason = "ranges only allowed for vector selectors"
        elif left.modifiers.offset is not None:
            reason = "no offset modifiers allowed before range"
        elif left.modifiers.is_pinned:
            reason = "no @ modifiers allowed before range"
        if reason or not isinstance(left, VectorSelector):
            raise self.reader.error(reason, opening.position.to(closing.position))
        return self.reader.measured(MatrixSelector(left, range_, left.position.to(closing.position)), left)

    def _offset(self, left: Expression) -> Expression:
        self.reader.take()
        offset = parse_duration.behind_offset(self.reader)
        modifiers = self._modifiers(
            left,
            "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        )
        if modifiers.offset is not None:
            raise self.reader.error("offset may not be set multiple times", left.position)
        return self._with_modifiers(left, replace(modifiers, offset=offset))

    def _at(self, left: Expression) -> Expression:
        self.reader.take()
        pinned = parse_duration.behind_at(self.reader, left.position)
        modifiers = self._modifiers(
            left, "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery"
        )
        if modifiers.is_pinned:
            raise self.reader.error("@ <timestamp> may not be set multiple times", left.position)
        at_ms, edge = pinned
        return self._with_modifiers(left, replace(modifiers, at_ms=at_ms, at_edge=edge))

    def _modifiers(self, left: Expression, reason: str) -> Modifiers:
        if isinstance(left, VectorSelector | Subquery):
            return left.modifiers
        if isinstance(left, MatrixSelector):
            return left.selector.modifiers
        raise self.reader.error(reason, left.position)

    def _with_modifiers(self, left: Expression, modifiers: Modifiers) -> Expression:
        position = left.position.to(self.reader.last.position)
        if isinstance(left, MatrixSelector):
            selector = replace(left.selector, modifiers=modifiers)
            return self.reader.measured(replace(left, selector=selector, position=position), left)
        assert isinstance(left, VectorSelector | Subquery)
        return self.reader.measured(replace(left, modifiers=modifiers, position=position), left)

    def _extended(self, left: Expression) -> Expression:
        token = self.reader.take()
        if isinstance(left, Subquery):
            raise self.reader.error(f"{token.kind} modifier is not supported for subqueries", left.position)
        selector = left.selector if isinstance(left, MatrixSelector) else left
        if not isinstance(selector, VectorSelector):
            raise self.reader.error(f"{token.kind} modifier not implemented", left.position)
        if selector.extension not in ("", token.kind):
            raise self.reader.error("anchored and smoothed modifiers cannot be used together", left.position)
        selector = replace(selector, extension="anchored" if token.kind == "anchored" else "smoothed")
        return replace(left, selector=selector) if isinstance(left, MatrixSelector) else selector


__all__ = ["ParseError", "parse", "parse_selector"]
