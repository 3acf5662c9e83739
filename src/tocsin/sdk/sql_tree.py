"""A SQL statement as nested tokens and the clauses of its queries: enough to see what it reads and by which conditions.

No grammar of any dialect: words split clauses only at the level of their query, parentheses nest, everything else
passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tocsin.sdk.sql import tokens

MOST_CHARACTERS = 40_000
_DEEPEST = 60


class StatementError(Exception):
    """The statement is too long, too deep or not balanced."""


class Parameter(NamedTuple):
    """A place for a value. name: '' for positional ones; ordinal: 0 for the first in the text, or as numbered."""

    name: str
    ordinal: int
    is_numbered: bool = False


class Token(NamedTuple):
    """kind: word, quoted, literal, parameter or other. word: in capitals, '' unless a bare word."""

    kind: str
    text: str
    word: str = ""
    parameter: Parameter | None = None


class Paren(NamedTuple):
    """What stands between two parentheses."""

    items: Sequence[Token | Paren]

    @property
    def is_query(self) -> bool:
        """Whether a query stands in them, itself perhaps in parentheses."""
        first = self.items[0] if self.items else None
        if isinstance(first, Paren):
            return first.is_query
        return first is not None and first.word in ("SELECT", "WITH")


Item = Token | Paren


class Clause(NamedTuple):
    """One clause of a query: its keyword and what follows up to the next."""

    keyword: str
    items: list[Item]


_CLAUSES = frozenset({
    "WITH", "SELECT", "FROM", "JOIN", "ON", "USING", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "FETCH",
    "FOR", "WINDOW", "QUALIFY", "RETURNING", "INTO", "UPDATE", "SET", "VALUES", "DELETE", "INSERT", "REPLACE", "MERGE",
})  # fmt: skip
_BEFORE_JOIN = frozenset({"LEFT", "RIGHT", "INNER", "FULL", "OUTER", "CROSS", "NATURAL", "STRAIGHT_JOIN"})
_SET_OPERATIONS = frozenset({"UNION", "EXCEPT", "INTERSECT", "MINUS"})
# After these nothing more is read or compared.
_TRAILING = frozenset({"FOR", "CONFLICT", "DUPLICATE", "LIMIT", "OFFSET", "FETCH"})


def nest(statement: str, *, mysql: bool = False) -> list[Item]:
    """The statement's tokens without space and comments, parentheses nested. Raises StatementError."""
    if len(statement) > MOST_CHARACTERS:
        raise StatementError("too long")
    stack: list[list[Item]] = [[]]
    ordinal = 0
    for kind, text in tokens(statement, mysql=mysql):
        if kind in ("space", "comment"):
            continue
        if text == "(" and kind == "other":
            stack.append([])
            if len(stack) > _DEEPEST:
                raise StatementError("too deep")
        elif text == ")" and kind == "other":
            if len(stack) == 1:
                raise StatementError("not balanced")
            inner = stack.pop()
            stack[-1].append(Paren(inner))
        elif kind == "parameter":
            stack[-1].append(Token(kind, text, "", _parameter(text, ordinal)))
            ordinal += 1
        else:
            stack[-1].append(Token(kind, text, text.upper() if kind == "word" else ""))
    if len(stack) > 1:
        raise StatementError("not balanced")
    return stack[0]


def queries(items: Sequence[Item]) -> Iterator[list[Item]]:
    """The parts of a UNION and its kin, or the one query there is."""
    part: list[Item] = []
    for item in items:
        if isinstance(item, Token) and item.word in _SET_OPERATIONS:
            yield part
            part = []
        elif part or not (isinstance(item, Token) and item.word in ("ALL", "DISTINCT")):
            part.append(item)
    yield part


def clauses(items: Sequence[Item]) -> list[Clause]:
    """A query's clauses in order; what stands before the first has the keyword ''."""
    found = [Clause("", [])]
    before = ""
    for index, item in enumerate(items):
        word = item.word if isinstance(item, Token) else ""
        if word and before != "." and _begins(word, before, found[-1].keyword, items, index):
            found.append(Clause(word, []))
        else:
            found[-1].items.append(item)
        before = word or (item.text if isinstance(item, Token) else "()")
    return found


def _begins(word: str, before: str, current: str, items: Sequence[Item], index: int) -> bool:
    following = items[index + 1] if index + 1 < len(items) else None
    if current in _TRAILING:
        return word in ("RETURNING", "LIMIT", "OFFSET", "FETCH", "FOR") and current != "FOR"
    if word in _BEFORE_JOIN:
        return not isinstance(following, Paren)  # LEFT(x, 2) is a function
    if word == "FROM":
        return before != "DISTINCT"  # IS DISTINCT FROM
    if word in ("CONFLICT", "DUPLICATE"):
        return before == "ON"
    if word == "REPLACE":
        return not isinstance(following, Paren) and current in ("", "INSERT")
    return word in _CLAUSES


def _parameter(text: str, ordinal: int) -> Parameter:
    if text.startswith("__["):
        # SQLAlchemy's place for a list that is spread out when the statement is run.
        return Parameter(text[len("__[POSTCOMPILE_") :].rstrip("]").partition("~~")[0], ordinal)
    if text.startswith("%("):
        return Parameter(text[2:-2], ordinal)
    if text.startswith("$"):
        return Parameter("", int(text[1:]) - 1, is_numbered=True)
    if text.startswith(":"):
        return Parameter(text[1:], ordinal)
    return Parameter("", ordinal)
