"""Which tables of tenants a statement reads and writes, and what holds it to one tenant.

A pure function of the text: no database is asked. Where it cannot be sure that a condition holds a table, it says that
nothing does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tocsin.sdk.sql_conditions import (
    NOTHING,
    Comparison,
    Facts,
    Names,
    Use,
    column_name,
    plain_name,
    read_condition,
    split_list,
    subqueries,
    value_of,
)
from tocsin.sdk.sql_tree import Clause, Item, Paren, StatementError, Token, clauses, nest, queries

# (table, its alias or itself) -> the column that names its tenant, '' for none.
ColumnOf = Callable[[str, str], str]

_WRITES = frozenset({"INSERT", "REPLACE", "UPDATE", "DELETE", "MERGE"})
_BEFORE_JOIN = frozenset({"LEFT", "RIGHT", "INNER", "FULL", "OUTER", "CROSS", "NATURAL", "STRAIGHT_JOIN"})
_NOT_ALIASES = frozenset(
    {"AS", "SET", "WITH", "TABLESAMPLE", "DEFAULT", "OVERRIDING", "FORCE", "USE", "IGNORE", "PARTITION"}
)


class TableUse(NamedTuple):
    """A tenants' table at one place of a statement. is_held: a condition keeps it to values or to a held table."""

    table: str
    column: str
    is_held: bool
    is_written: bool


class StatementScope(NamedTuple):
    """verb: INSERT, UPDATE, DELETE or SELECT. comparisons: by index into uses. is_understood: False is a gap."""

    verb: str
    uses: tuple[TableUse, ...]
    comparisons: tuple[Comparison, ...]
    is_understood: bool = True


def read_scope(statement: str, column_of: ColumnOf, *, mysql: bool = False) -> StatementScope:
    """What holds the statement to a tenant."""
    try:
        items = nest(statement, mysql=mysql)
    except StatementError:
        return StatementScope("", (), (), is_understood=False)
    reader = _Reader(column_of)
    reader.read(items, None)
    return reader.result()


class _Place(NamedTuple):
    table: str
    column: str
    is_written: bool
    derived: frozenset[Use] = frozenset()


class _Query:
    """One query on its way: its tables by alias, the tables made of queries (CTE) by name, and the one around it."""

    def __init__(self, outer: _Query | None) -> None:
        self.outer = outer
        self.aliases: dict[str, Use] = {}
        self.made: dict[str, frozenset[Use]] = dict(outer.made) if outer is not None else {}

    def find(self, alias: str) -> Use | None:
        if alias in self.aliases:
            return self.aliases[alias]
        return self.outer.find(alias) if self.outer is not None else None


class _Reader:
    def __init__(self, column_of: ColumnOf) -> None:
        self._column_of = column_of
        self._places: list[_Place] = []
        self._comparisons: list[Comparison] = []
        self._held: set[Use] = set()
        self._ties: set[tuple[Use, Use]] = set()
        self._verb = ""
        # The places that one FROM or JOIN has added.
        self._joined: dict[int, frozenset[Use]] = {}
        self._read: dict[int, tuple[Facts, frozenset[Use]]] = {}

    def result(self) -> StatementScope:
        self._spread()
        places = self._places
        kept = [use for use, place in enumerate(places) if place.column]
        index = {use: number for number, use in enumerate(kept)}
        uses = tuple(
            TableUse(places[use].table, places[use].column, use in self._held, places[use].is_written) for use in kept
        )
        comparisons = [c._replace(use=index[c.use]) for c in self._comparisons if c.use in index]
        is_understood = self._verb != "MERGE"
        return StatementScope(self._verb, uses, tuple(dict.fromkeys(comparisons)), is_understood)

    def read(self, items: Sequence[Item], outer: _Query | None) -> tuple[Facts, frozenset[Use]]:
        """The facts for whoever demands EXISTS of it, and all places it has added."""
        first = len(self._places)
        facts = NOTHING
        for part in queries(items):
            while len(part) == 1 and isinstance(part[0], Paren):
                part = list(part[0].items)
            facts = self._read_query(part, outer)
        return facts, frozenset(range(first, len(self._places)))

    def _read_query(self, items: Sequence[Item], outer: _Query | None) -> Facts:
        query = _Query(outer)
        parts = clauses(items)
        verb = next((part.keyword for part in parts if part.keyword in _WRITES or part.keyword == "SELECT"), "")
        if outer is None and not self._verb:
            self._verb = "INSERT" if verb == "REPLACE" else verb
        for part in parts:
            if part.keyword == "WITH":
                self._read_made(part.items, query)
        self._read_tables(parts, query, verb)
        facts = NOTHING
        for index, part in enumerate(parts):
            if part.keyword in ("WHERE", "ON", "HAVING", "QUALIFY"):
                found = read_condition(part.items, self._names(query))
                if part.keyword == "ON":
                    found = self._of_join(parts, index, found)
                facts = Facts(facts.held | found.held, facts.ties | found.ties)
            elif part.keyword in ("FROM", "JOIN", "USING", "UPDATE", "WITH"):
                continue
            else:
                for paren in subqueries(part.items):
                    self._read_once(paren, query)
        own = frozenset(query.aliases.values())
        self._held |= facts.held & own
        # Of a tie to the outside only the way in is sure: the way out is for EXISTS alone.
        self._ties |= {(a, b) for a, b in facts.ties if b in own}
        self._read_writes(parts, query, verb)
        return facts

    def _of_join(self, parts: Sequence[Clause], index: int, facts: Facts) -> Facts:
        """What an ON surely demands: of an outer join only what it says of the side that may be missing."""
        start = max((i for i in range(index) if parts[i].keyword == "JOIN"), default=0)
        kinds = []
        while start > 0 and parts[start - 1].keyword in _BEFORE_JOIN:
            start -= 1
            kinds.append(parts[start].keyword)
        joined = self._joined.get(id(parts[index - 1].items), frozenset())
        if "FULL" in kinds:
            return NOTHING
        if "LEFT" in kinds:
            return Facts(facts.held & joined, frozenset((a, b) for a, b in facts.ties if b in joined))
        if "RIGHT" in kinds:
            return Facts(facts.held - joined, frozenset((a, b) for a, b in facts.ties if b not in joined))
        return facts

    def _names(self, query: _Query) -> Names:
        def tenant_use(qualifier: str, column: str) -> Use | None:
            if qualifier:
                use = query.find(qualifier)
                return use if use is not None and self._places[use].column == column else None
            return self._unqualified(query, column)

        def any_use(qualifier: str) -> Use | None:
            if qualifier:
                return query.find(qualifier)
            own = set(query.aliases.values())
            return next(iter(own)) if len(own) == 1 else None

        def subquery(paren: Paren) -> tuple[Facts, bool]:
            facts, places = self._read_once(paren, query)
            return facts, self._all_held(places)

        return Names(tenant_use, any_use, subquery, self._comparisons.append)

    def _unqualified(self, query: _Query | None, column: str) -> Use | None:
        while query is not None:
            for use in query.aliases.values():
                if self._places[use].column == column:
                    return use
            query = query.outer
        return None

    def _read_once(self, paren: Paren, query: _Query) -> tuple[Facts, frozenset[Use]]:
        found = self._read.get(id(paren.items))
        if found is None:
            found = self._read[id(paren.items)] = self.read(paren.items, query)
        return found

    def _all_held(self, places: frozenset[Use]) -> bool:
        """Whether a query reads something of tenants, and all of it held."""
        self._spread()
        of_tenants = [use for use in places if self._places[use].column]
        return bool(of_tenants) and all(use in self._held for use in of_tenants)

    def _spread(self) -> None:
        """From table to table along the ties; only through those of tenants, because others are shared."""
        for use, place in enumerate(self._places):
            if place.derived and self._all_of(place.derived):
                self._held.add(use)
        grows = True
        while grows:
            reached = {b for a, b in self._ties if a in self._held and self._may_pass(b)}
            grows = not reached <= self._held
            self._held |= reached

    def _all_of(self, places: frozenset[Use]) -> bool:
        of_tenants = [use for use in places if self._places[use].column]
        return bool(of_tenants) and all(use in self._held for use in of_tenants)

    def _may_pass(self, use: Use) -> bool:
        return bool(self._places[use].column)

    # -- tables

    def _read_made(self, items: Sequence[Item], query: _Query) -> None:
        """WITH name (columns) AS (query), …"""
        for part in split_list(items):
            words = [item for item in part if not (isinstance(item, Token) and item.word == "RECURSIVE")]
            body = next((item for item in reversed(words) if isinstance(item, Paren)), None)
            if not words or not isinstance(words[0], Token) or body is None:
                continue
            name = plain_name(words[0].text)
            query.made[name] = frozenset()  # it may name itself
            query.made[name] = self._read_once(body, query)[1]

    def _read_tables(self, parts: Sequence[Clause], query: _Query, verb: str) -> None:
        for index, part in enumerate(parts):
            is_target = (
                (part.keyword == "INTO" and verb in ("INSERT", "REPLACE", "MERGE"))
                or part.keyword == "UPDATE"
                or (part.keyword == "FROM" and index > 0 and parts[index - 1].keyword == "DELETE")
            )
            if part.keyword in ("FROM", "JOIN", "UPDATE") or is_target or self._is_using(part, verb):
                first = len(self._places)
                for reference in split_list(part.items):
                    self._read_reference(reference, query, is_target)
                self._joined[id(part.items)] = frozenset(range(first, len(self._places)))

    def _is_using(self, part: Clause, verb: str) -> bool:
        """DELETE … USING names tables; JOIN … USING names columns."""
        return part.keyword == "USING" and verb in ("DELETE", "MERGE")

    def _read_reference(self, items: Sequence[Item], query: _Query, is_target: bool) -> None:
        words = list(items)
        while words and isinstance(words[0], Token) and words[0].word in ("ONLY", "LATERAL", "IGNORE", "LOW_PRIORITY"):
            words.pop(0)
        if not words:
            return
        first = words[0]
        if isinstance(first, Paren):
            if first.is_query:
                places = self._read_once(first, query)[1]
                self._add(query, _Place("", "", False, places), self._alias(words[1:]) or "")
            else:
                self._read_nested_joins(first, query)
            return
        name, length = _qualified_name(words)
        rest = words[length:]
        if not name or (rest and isinstance(rest[0], Paren) and not is_target):
            return  # a function that gives rows
        alias = self._alias(rest)
        if name in query.made:
            self._add(query, _Place("", "", False, query.made[name]), alias or name)
            return
        column = self._column_of(name, alias or name)
        self._add(query, _Place(name, column, is_target), alias or name)

    def _read_nested_joins(self, paren: Paren, query: _Query) -> None:
        """FROM a JOIN (b JOIN c ON …) ON …"""
        parts = clauses(paren.items)
        parts[0] = Clause("FROM", parts[0].items)
        self._read_tables(parts, query, "SELECT")
        for index, part in enumerate(parts):
            if part.keyword == "ON":
                found = self._of_join(parts, index, read_condition(part.items, self._names(query)))
                self._held |= found.held
                self._ties |= found.ties

    def _add(self, query: _Query, place: _Place, alias: str) -> None:
        query.aliases[alias or f"({len(self._places)})"] = len(self._places)
        self._places.append(place)

    def _alias(self, items: Sequence[Item]) -> str:
        words = [item for item in items if isinstance(item, Token) and item.word != "AS"]
        if words and words[0].kind in ("word", "quoted") and words[0].word not in _NOT_ALIASES:
            return plain_name(words[0].text)
        return ""

    # -- writes

    def _read_writes(self, parts: Sequence[Clause], query: _Query, verb: str) -> None:
        target = next((use for use in query.aliases.values() if self._places[use].is_written), None)
        if target is None or not self._places[target].column:
            return
        column = self._places[target].column
        for part in parts:
            if part.keyword == "SET":
                self._read_assignments(part, target, column)
            elif part.keyword == "INTO":
                self._read_insert(part, parts, target, column)

    def _read_assignments(self, part: Clause, target: Use, column: str) -> None:
        for assignment in split_list(part.items):
            place = next((i for i, item in enumerate(assignment) if isinstance(item, Token) and item.text == "="), 0)
            name = column_name(assignment[:place])
            value = value_of(assignment[place + 1 :])
            if name is not None and name[1] == column and value is not None:
                self._comparisons.append(Comparison(target, (value,), is_write=True))

    def _read_insert(self, part: Clause, parts: Sequence[Clause], target: Use, column: str) -> None:
        names = next((item for item in part.items if isinstance(item, Paren)), None)
        if names is None:
            return
        columns = [(column_name(each) or ("", ""))[1] for each in split_list(names.items)]
        if column not in columns:
            return
        position = columns.index(column)
        values = []
        for clause in parts:
            if clause.keyword != "VALUES":
                continue
            for row in split_list(clause.items):
                if row and isinstance(row[0], Paren):
                    cells = split_list(row[0].items)
                    value = value_of(cells[position]) if position < len(cells) else None
                    if value is not None:
                        values.append(value)
        if values:
            self._held.add(target)
            self._comparisons.append(Comparison(target, tuple(values), is_write=True))


def _qualified_name(items: Sequence[Item]) -> tuple[str, int]:
    """The last part of `a.b.c`, and how many items it took."""
    name, length, expects_name = "", 0, True
    for item in items:
        if not isinstance(item, Token):
            break
        if expects_name and item.kind in ("word", "quoted"):
            name, expects_name = plain_name(item.text), False
        elif not expects_name and item.text == ".":
            expects_name = True
        else:
            break
        length += 1
    return name, length
