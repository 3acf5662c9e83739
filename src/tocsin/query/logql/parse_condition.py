"""Label filters: `status >= 500 and (duration > 1s or path =~ "/api/.+")`."""

from __future__ import annotations

from typing import cast

from tocsin.query.logql.addresses import AddressError, address_set
from tocsin.query.logql.expressions import (
    AddressCondition,
    Both,
    Comparison,
    Condition,
    Either,
    NumberCondition,
    TextCondition,
    Unit,
)
from tocsin.query.logql.literals import duration_seconds, number, size_bytes
from tocsin.query.logql.parse_selector import text_matcher
from tocsin.query.logql.reader import TokenReader
from tocsin.query.promql.literals import unquote

_COMPARISONS = {"=": "==", "==": "==", "!=": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}


def condition(reader: TokenReader) -> Condition:
    """What comes next, up to the end of the stage."""
    with reader.deeper():
        left = _conjunction(reader)
        while reader.accept_word("or"):
            right = _conjunction(reader)
            left = reader.measured(Either(left, right), left, right)
        return left


def _conjunction(reader: TokenReader) -> Condition:
    left = _unit(reader)
    while reader.accept_word("and") or reader.accept(",") or _begins_unit(reader):
        right = _unit(reader)
        left = reader.measured(Both(left, right), left, right)
    return left


def _begins_unit(reader: TokenReader) -> bool:
    """A blank between two conditions is an `and`."""
    is_name = reader.token.kind == "identifier" and reader.token.text not in ("or", "and", "offset", "by", "without")
    return reader.token.kind == "(" or (is_name and reader.ahead().kind in (*_COMPARISONS, "=~", "!~"))


def _unit(reader: TokenReader) -> Condition:
    if reader.accept("("):
        inner = condition(reader)
        reader.expect(")")
        return inner
    if reader.token.kind not in ("identifier", "string"):
        raise reader.unexpected("a label")
    label = reader.take()
    name = unquote(label.text) if label.kind == "string" else label.text
    operator = reader.token
    if operator.kind not in _COMPARISONS and operator.kind not in ("=~", "!~"):
        hint = f'write | {name} = "text" or | {name} > 1'
        raise reader.unexpected("a comparison", hint)
    value = reader.ahead()
    if value.kind == "identifier" and value.text == "ip" and operator.kind in ("=", "==", "!="):
        return _address(reader, name)
    if value.kind == "string":
        if operator.kind in (">", ">=", "<", "<="):
            bare = unquote(value.text)
            raise reader.error(
                f"{operator.kind} compares numbers", value.position, f"write | {name} {operator.kind} {bare or 1}"
            )
        return TextCondition(text_matcher(reader, name))
    if operator.kind in ("=~", "!~"):
        reader.take()
        raise reader.unexpected("a string", f"write | {name} {operator.kind} `…`")
    return _number(reader, name)


def _number(reader: TokenReader, name: str) -> NumberCondition:
    operator = cast("Comparison", _COMPARISONS[reader.take().kind])
    sign = reader.accept("-") or reader.accept("+")
    token = reader.token
    if token.kind not in ("number", "duration", "bytes"):
        raise reader.unexpected('a number, a duration, a size or a "string"', f'texts are quoted: | {name} = "text"')
    reader.take()
    read = {"number": number, "duration": duration_seconds, "bytes": size_bytes}[token.kind]
    try:
        value = read(token.text)
    except (ValueError, OverflowError) as error:
        raise reader.error(str(error), token.position) from error
    negative = sign is not None and sign.kind == "-"
    text = ("-" if negative else "") + token.text
    return NumberCondition(name, operator, -value if negative else value, cast("Unit", token.kind), text)


def _address(reader: TokenReader, name: str) -> AddressCondition:
    is_within = reader.take().kind != "!="
    reader.take()
    reader.expect("(")
    text = reader.string()
    try:
        address_set(text)
    except AddressError as error:
        raise reader.error(str(error), reader.last.position) from error
    reader.expect(")")
    return AddressCondition(name, is_within, text)
