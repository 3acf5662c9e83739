"""What a WHERE or ON surely demands: which tables it holds to a value, and which it ties together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tocsin.sdk.sql_tree import Item, Parameter, Paren, Token

# A table's place in a statement, by number; a value: a parameter or a literal's text.
Use = int
Value = Parameter | str


class Comparison(NamedTuple):
    """A tenant column that is compared with, or set to, values. rows: of INSERT, one value a row."""

    use: Use
    values: tuple[Value, ...]
    is_write: bool = False


class Facts(NamedTuple):
    """held: tables that a value holds; ties: (a, b): when a is held, b is."""

    held: frozenset[Use]
    ties: frozenset[tuple[Use, Use]]


class Names(NamedTuple):
    """How a query answers what its conditions name.

    tenant_use: the table whose tenant column a name is, None for other columns; any_use: the table that a qualified
    column belongs to; subquery: facts for the outside when EXISTS demands it, and whether all that it reads is held.
    """

    tenant_use: Callable[[str, str], Use | None]
    any_use: Callable[[str], Use | None]
    subquery: Callable[[Paren], tuple[Facts, bool]]
    note: Callable[[Comparison], None]


NOTHING = Facts(frozenset(), frozenset())


def read_condition(items: Sequence[Item], names: Names) -> Facts:
    """What holds whenever the condition is true."""
    alternatives = [_read_conjunction(part, names) for part in _split(items, "OR")]
    if len(alternatives) == 1:
        return alternatives[0]
    held = frozenset.intersection(*(facts.held for facts in alternatives))
    return Facts(held, frozenset.intersection(*(facts.ties for facts in alternatives)))


def column_name(items: Sequence[Item]) -> tuple[str, str] | None:
    """(qualifier, column) when that is all there is, with or without a cast; None otherwise."""
    plain = _without_cast(items)
    if not plain or any(isinstance(item, Paren) for item in plain):
        return None
    words = [item for item in plain if isinstance(item, Token)]
    names, dots = words[::2], words[1::2]
    is_path = all(name.kind in ("word", "quoted") for name in names) and all(dot.text == "." for dot in dots)
    if not is_path or len(words) % 2 == 0:
        return None
    return (plain_name(names[-2].text) if len(names) > 1 else "", plain_name(names[-1].text))


def value_of(items: Sequence[Item]) -> Value | None:
    """The parameter or literal when that is all there is."""
    plain = _without_cast(items)
    if len(plain) == 1 and isinstance(plain[0], Paren):
        return value_of(plain[0].items)
    if len(plain) != 1 or not isinstance(plain[0], Token):
        return None
    token = plain[0]
    if token.kind == "literal":
        return token.text.strip("'\"") if not token.text[:1].isalpha() else token.text[1:].strip("'")
    return token.parameter


def split_list(items: Sequence[Item]) -> list[list[Item]]:
    """What commas separate."""
    parts: list[list[Item]] = [[]]
    for item in items:
        if isinstance(item, Token) and item.text == ",":
            parts.append([])
        else:
            parts[-1].append(item)
    return parts


def plain_name(text: str) -> str:
    """A name as it is compared: without quotes, in small letters."""
    return text.strip('"`[]').lower()


def subqueries(items: Sequence[Item]) -> list[Paren]:
    """The outermost queries in parentheses, wherever they stand."""
    found: list[Paren] = []
    for item in items:
        if isinstance(item, Paren):
            found += [item] if item.is_query else subqueries(item.items)
    return found


def _read_conjunction(items: Sequence[Item], names: Names) -> Facts:
    parts = [_read_term(part, names) for part in _split(items, "AND")]
    return Facts(frozenset().union(*(f.held for f in parts)), frozenset().union(*(f.ties for f in parts)))


def _read_term(items: Sequence[Item], names: Names) -> Facts:
    if not items:
        return NOTHING
    first = items[0]
    word = first.word if isinstance(first, Token) else ""
    if word == "NOT":
        # What must not be equal names nobody whose rows are wanted; the queries in it are looked at all the same.
        _read_term(items[1:], names._replace(note=_forget))
        return NOTHING
    if len(items) == 1 and isinstance(first, Paren) and not first.is_query:
        return read_condition(first.items, names)
    if word == "EXISTS" and len(items) == 2 and isinstance(items[1], Paren):
        return names.subquery(items[1])[0]
    for paren in subqueries(items):
        names.subquery(paren)
    return _read_comparison(items, names)


def _forget(_comparison: Comparison) -> None:
    pass


def _read_comparison(items: Sequence[Item], names: Names) -> Facts:
    left, operator, right = _split_comparison(items)
    if operator == "NULL":
        use = _tenant_use(left, names)
        # Rows without a tenant are everybody's.
        return Facts(frozenset({use}), frozenset()) if use is not None else NOTHING
    if operator not in ("=", "IN"):
        return NOTHING
    use = _tenant_use(left, names)
    if use is None and operator == "=" and _tenant_use(right, names) is not None:
        left, right = right, left
        use = _tenant_use(left, names)
    ties = _tie(left, right, names) if operator == "=" else frozenset[tuple[Use, Use]]()
    if operator == "IN" and len(right) == 1 and isinstance(right[0], Paren) and right[0].is_query:
        # Names of the left side are needed here even when it is no tenant column.
        name = column_name(left)
        use = names.any_use(name[0]) if name is not None and use is None else use
        is_held = names.subquery(right[0])[1]
        return Facts(frozenset({use}), ties) if is_held and use is not None else NOTHING
    if use is None:
        return Facts(frozenset(), ties)
    values = _values(right)
    if values is not None:
        names.note(Comparison(use, values))
        return Facts(frozenset({use}), ties)
    return Facts(frozenset({use}) if _is_session_value(right) else frozenset(), ties)


def _tie(left: Sequence[Item], right: Sequence[Item], names: Names) -> frozenset[tuple[Use, Use]]:
    one, other = column_name(left), column_name(right)
    if one is None or other is None:
        return frozenset()
    a, b = names.any_use(one[0]), names.any_use(other[0])
    return frozenset({(a, b), (b, a)}) if a is not None and b is not None and a != b else frozenset()


def _tenant_use(items: Sequence[Item], names: Names) -> Use | None:
    name = column_name(items)
    return names.tenant_use(*name) if name is not None else None


def _values(items: Sequence[Item]) -> tuple[Value, ...] | None:
    """The values at the right of = or IN; None when one of them is no plain value."""
    if items and isinstance(items[0], Token) and items[0].word == "ANY" and len(items) == 2:
        items = items[1:]
    if len(items) == 1 and isinstance(items[0], Paren):
        found = [value_of(part) for part in split_list(items[0].items)]
    else:
        found = [value_of(items)]
    return tuple(value for value in found if value is not None) if found and None not in found else None


def _is_session_value(items: Sequence[Item]) -> bool:
    """A setting of the database session, as row level security uses it."""
    return any(isinstance(item, Token) and item.word == "CURRENT_SETTING" for item in items)


def _split_comparison(items: Sequence[Item]) -> tuple[list[Item], str, list[Item]]:
    """Left side, `=`, `IN`, `NULL` (IS NULL) or '', right side."""
    words = [item.word or item.text if isinstance(item, Token) else "()" for item in items]
    given = list(items)
    for index, word in enumerate(words):
        if word in ("<", ">", "!", "NOT", "LIKE", "ILIKE", "BETWEEN"):
            return given, "", []
        if word == "=" or word == "IN":
            return given[:index], word, given[index + 1 :]
        if word == "IS":
            rest = words[index + 1 :]
            if rest == ["NULL"]:
                return given[:index], "NULL", []
            if rest[:3] == ["NOT", "DISTINCT", "FROM"]:
                return given[:index], "=", given[index + 4 :]
            return given, "", []
    return given, "", []


def _without_cast(items: Sequence[Item]) -> list[Item]:
    """`x` of `x::uuid`, `x::character varying(40)`, `CAST(x AS uuid)`."""
    plain = list(items)
    for index, item in enumerate(plain):
        if isinstance(item, Token) and item.text == "::":
            plain = plain[:index]
            break
    if len(plain) == 2 and isinstance(plain[0], Token) and plain[0].word == "CAST" and isinstance(plain[1], Paren):
        inner = list(plain[1].items)
        for index, item in enumerate(inner):
            if isinstance(item, Token) and item.word == "AS":
                return inner[:index]
    return plain


def _split(items: Sequence[Item], word: str) -> list[list[Item]]:
    """At AND or OR, but for the AND of BETWEEN and those within CASE … END."""
    parts: list[list[Item]] = [[]]
    cases = betweens = 0
    for item in items:
        found = item.word if isinstance(item, Token) else ""
        cases += (found == "CASE") - (found == "END")
        betweens += found == "BETWEEN"
        if found == "AND" and betweens:
            betweens -= 1
        elif found == word and not cases:
            parts.append([])
            continue
        parts[-1].append(item)
    return parts
