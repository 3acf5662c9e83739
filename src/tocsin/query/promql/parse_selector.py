"""Series selectors: a metric name, matchers in braces, or both."""

from __future__ import annotations

from typing import cast

from tocsin.query.promql.expressions import VectorSelector
from tocsin.query.promql.lexer import Token
from tocsin.query.promql.literals import unquote
from tocsin.query.promql.matchers import NAME, Matcher, MatchOperator, PatternError
from tocsin.query.promql.tokens import TokenReader

_OPERATORS = frozenset(("=", "!=", "=~", "!~"))


def vector_selector(reader: TokenReader, name: str, name_token: Token | None = None) -> VectorSelector:
    """A selector whose name, if any, was just taken."""
    if name_token is None and reader.token.kind in ("identifier", "metric identifier"):
        name_token = reader.take()
        name = name_token.text
    start = name_token.position if name_token is not None else reader.token.position
    matchers: list[Matcher] = []
    if reader.token.kind == "{":
        reader.take()
        matchers = _matchers(reader)
        start = start.to(reader.last.position)
    elif name_token is None:
        raise reader.unexpected()
    if name:
        matchers.append(Matcher(NAME, "=", name))
    return VectorSelector(name, tuple(matchers), position=start)


def _matchers(reader: TokenReader) -> list[Matcher]:
    matchers: list[Matcher] = []
    while reader.accept("}") is None:
        matchers.append(_matcher(reader))
        if reader.token.kind not in (",", "}"):
            raise reader.unexpected("label matching", '"," or "}"')
        reader.accept(",")
    return matchers


def _matcher(reader: TokenReader) -> Matcher:
    if reader.token.kind not in ("identifier", "string"):
        raise reader.unexpected("label matching", 'identifier or "}"')
    label = reader.take()
    name = unquote(label.text) if label.kind == "string" else label.text
    if reader.token.kind not in _OPERATORS:
        if label.kind == "string":
            return Matcher(NAME, "=", name)
        raise reader.unexpected("label matching", "label matching operator")
    operator = cast("MatchOperator", reader.take().kind)
    if reader.token.kind != "string":
        raise reader.unexpected("label matching", "string")
    value = reader.take()
    try:
        return Matcher(name, operator, unquote(value.text))
    except PatternError as error:
        raise reader.error(str(error), label.position.to(value.position)) from error
