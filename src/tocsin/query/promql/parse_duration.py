"""Durations inside brackets and behind `offset`, times behind `@`: literals or arithmetic on them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

from tocsin.query.promql.errors import Position
from tocsin.query.promql.expressions import Duration, DurationExpression, NumberLiteral
from tocsin.query.promql.lexer import Token
from tocsin.query.promql.literals import parse_duration_ms, parse_number
from tocsin.query.promql.tokens import TokenReader

_BINDING = {"+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "^": 6}
_LONGEST_SECONDS = 2**63 / 1e9
_WANTED = "number, duration, step(), or range()"
_START = frozenset(("number", "duration", "+", "-", "(", "step", "range", "min", "max"))


def in_brackets(reader: TokenReader) -> Duration:
    """The range of a selector or subquery."""
    if reader.token.kind not in _START:
        raise reader.unexpected("subquery or range selector", _WANTED)
    return _positive(reader, _expression(reader, 0))


def step_in_brackets(reader: TokenReader) -> Duration:
    """The step of a subquery, where there is one."""
    if reader.token.kind not in _START:
        raise reader.unexpected("subquery selector", 'number, duration, step(), range(), or "]"')
    return _positive(reader, _expression(reader, 0))


def behind_offset(reader: TokenReader) -> Duration:
    """One term: what follows it belongs to the expression around, as `metric offset 5m + 2`."""
    if reader.token.kind not in _START:
        raise reader.unexpected("offset", "number, duration, step(), or range()")
    if reader.token.kind in ("+", "-"):
        sign = reader.take()
        if reader.token.kind not in _START:
            raise reader.unexpected("offset", "number, duration, step(), or range()")
        return _signed(reader, sign, _term(reader))
    return _term(reader)


def behind_at(reader: TokenReader, position: Position) -> tuple[int | None, Literal["", "start", "end"]]:
    """Milliseconds since 1970, or an edge of the query."""
    edge = reader.accept("start") or reader.accept("end")
    if edge is not None:
        reader.expect("(")
        reader.expect(")")
        return None, "start" if edge.kind == "start" else "end"
    sign = reader.accept("+") or reader.accept("-")
    if reader.token.kind not in ("number", "duration"):
        raise reader.unexpected("@", "timestamp")
    seconds = _literal(reader).value
    seconds = -seconds if sign is not None and sign.kind == "-" else seconds
    if not math.isfinite(seconds) or abs(seconds) >= 2**63:
        raise reader.error(f"timestamp out of bounds for @ modifier: {_fixed(seconds)}", position)
    return math.floor(seconds * 1000 + 0.5) if seconds >= 0 else -math.floor(-seconds * 1000 + 0.5), ""


def _fixed(value: float) -> str:
    if math.isfinite(value):
        return f"{value:f}"
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _positive(reader: TokenReader, duration: Duration) -> Duration:
    if isinstance(duration, NumberLiteral) and not duration.value > 0:
        raise reader.error("duration must be greater than 0", duration.position)
    return duration


def _expression(reader: TokenReader, least: int) -> Duration:
    with reader.deeper():
        if reader.token.kind in ("+", "-"):
            sign = reader.take()
            left = _signed(reader, sign, _expression(reader, 6))
        else:
            left = _term(reader)
        while (power := _BINDING.get(reader.token.kind, 0)) > 0 and power >= least:
            operator = reader.take()
            right = _expression(reader, power if operator.kind == "^" else power + 1)
            if operator.kind in "/%" and isinstance(right, NumberLiteral) and right.value == 0:
                reason = "division by zero" if operator.kind == "/" else "modulo by zero"
                raise reader.error(reason, operator.position)
            position = left.position.to(right.position)
            left = reader.measured(DurationExpression(operator.kind, left, right, position=position), left, right)
        return left


def _term(reader: TokenReader) -> Duration:
    token = reader.token
    if token.kind in ("number", "duration"):
        return _literal(reader)
    if token.kind in ("step", "range"):
        reader.take()
        reader.expect("(")
        closing = reader.expect(")")
        return DurationExpression(token.kind, position=token.position.to(closing.position))
    if token.kind in ("min", "max"):
        reader.take()
        reader.expect("(")
        left = _expression(reader, 0)
        reader.expect(",")
        right = _expression(reader, 0)
        position = token.position.to(reader.expect(")").position)
        return reader.measured(DurationExpression(token.kind, left, right, position=position), left, right)
    if token.kind != "(":
        raise reader.unexpected()
    reader.take()
    inner = _expression(reader, 0)
    position = token.position.to(reader.expect(")").position)
    if isinstance(inner, NumberLiteral):
        return replace(inner, position=position)
    return reader.measured(replace(inner, wrapped=True, position=position), inner)


def _literal(reader: TokenReader) -> NumberLiteral:
    token = reader.take()
    if token.kind == "number":
        value, is_duration = parse_number(token.text), False
    else:
        try:
            value, is_duration = parse_duration_ms(token.text) / 1000, True
        except ValueError as error:
            raise reader.error(str(error), token.position) from error
    if abs(value) > _LONGEST_SECONDS and math.isfinite(value):
        raise reader.error("duration out of range", token.position)
    return NumberLiteral(value, is_duration, token.position)


def _signed(reader: TokenReader, sign: Token, duration: Duration) -> Duration:
    position = sign.position.to(duration.position)
    if isinstance(duration, NumberLiteral):
        value = -duration.value if sign.kind == "-" else duration.value
        return replace(duration, value=value, position=position)
    if sign.kind == "+":
        return duration
    return reader.measured(DurationExpression("-", None, duration, position=position), duration)
