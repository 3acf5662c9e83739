"""Stream selectors: `{service_name="shop", level=~"warn|error"}`."""

from __future__ import annotations

from typing import cast

from tocsin.query.logql.reader import TokenReader
from tocsin.query.promql.literals import unquote
from tocsin.query.promql.matchers import Matcher, MatchOperator, PatternError

OPERATORS = frozenset(("=", "!=", "=~", "!~"))
LONGEST_PATTERN = 4096


def selector(reader: TokenReader) -> tuple[Matcher, ...]:
    opening = reader.expect("{", 'a log query begins with a selector such as {service_name="shop"}')
    found: list[Matcher] = []
    while reader.token.kind != "}":
        found.append(_matcher(reader))
        if reader.token.kind not in (",", "}"):
            raise reader.unexpected('"," or "}"')
        reader.accept(",")
    closing = reader.take()
    # An empty selector asks for everything, which Loki refuses and a store with an index by time need not.
    del opening, closing
    return tuple(found)


def _matcher(reader: TokenReader) -> Matcher:
    if reader.token.kind not in ("identifier", "string"):
        raise reader.unexpected('a label or "}"')
    label = reader.take()
    name = unquote(label.text) if label.kind == "string" else label.text
    if reader.token.kind not in OPERATORS:
        hint = f'write {name}="value"; numbers are compared behind the selector, as {{…}} | {name} > 1'
        raise reader.unexpected("=, !=, =~ or !~", hint)
    return text_matcher(reader, name)


def text_matcher(reader: TokenReader, name: str) -> Matcher:
    """The rest of a matcher whose name was taken."""
    operator = reader.take().kind
    value = reader.string()
    return matcher(reader, name, cast("MatchOperator", "=" if operator == "==" else operator), value)


def matcher(reader: TokenReader, name: str, operator: MatchOperator, value: str) -> Matcher:
    if operator in ("=~", "!~") and len(value) > LONGEST_PATTERN:
        raise reader.error(f"the regular expression has {len(value)} characters", reader.last.position, "shorten it")
    try:
        return Matcher(name, operator, value)
    except PatternError as error:
        raise reader.error(str(error), reader.last.position, "regular expressions are RE2's") from error
