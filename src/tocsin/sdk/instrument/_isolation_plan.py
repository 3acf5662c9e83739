"""What there is to check each time a statement is run, worked out once and kept with its compiled form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from tocsin.sdk.instrument._isolation_tables import Tables, guess_column
from tocsin.sdk.instrument._pool import IGNORED
from tocsin.sdk.isolation import declared
from tocsin.sdk.isolation_findings import ROWS_CHECKED, SCOPED, UNSCOPED
from tocsin.sdk.sql import Fingerprint, fingerprint
from tocsin.sdk.sql_scope import StatementScope, TableUse, read_scope
from tocsin.sdk.sql_tree import Parameter

_NO_STATEMENTS = ("EXPLAIN", "PRAGMA", "SHOW", "SET ", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
# Texts without a compiled form, as of exec_driver_sql.
_RAW_TEXTS = 1000


class CheckedValue(NamedTuple):
    """Values that are compared with a table's tenant. names: of parameters; ordinals: of raw ones; texts: literals."""

    use: TableUse
    names: tuple[str, ...]
    ordinals: tuple[int, ...]
    texts: tuple[str, ...]
    is_write: bool

    @property
    def only_name(self) -> str:
        """The parameter when there is nothing else to look at, as is usual."""
        return self.names[0] if len(self.names) == 1 and not self.texts else ""


class CheckedColumn(NamedTuple):
    """A column of the result that says whose a row is. place: its number in the row."""

    place: int
    table: str
    column: str


class Plan:
    """result: scoped, rows or unscoped. values, columns: what to check. loose: tables that nothing holds."""

    __slots__ = (
        "_fingerprint", "columns", "getters", "is_declared", "is_empty", "is_simple", "is_understood", "is_write",
        "labels", "loose", "mysql", "only_name", "result", "scope", "statement", "values", "version",
    )  # fmt: skip

    def __init__(self, scope: StatementScope, statement: str, mysql: bool) -> None:
        self.version = declared.version
        self.scope, self.statement, self.mysql = scope, statement, mysql
        self.values: tuple[CheckedValue, ...] = ()
        # Reads, of declared tables, held by the parameter `only_name` or row by row.
        self.is_simple = False
        self.only_name = ""
        self.columns: tuple[CheckedColumn, ...] = ()
        self.getters: tuple[tuple[Callable[[Any], Any], CheckedColumn], ...] = ()
        # Nothing of tenants is in it.
        self.is_empty = scope.is_understood and not scope.uses
        self.is_write = scope.verb != "SELECT"
        self.loose: tuple[str, ...] = ()
        self.result = SCOPED
        self.labels = (("result", SCOPED),)
        self.is_declared = True
        self.is_understood = scope.is_understood
        self._fingerprint: Fingerprint | None = None

    def fingerprint(self) -> Fingerprint:
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.statement, mysql=self.mysql)
        return self._fingerprint


NOTHING = Plan(StatementScope("", (), ()), "", False)


class Plans:
    """Finds the plan of an execution; the tables of this process are read on the way."""

    def __init__(self) -> None:
        self.tables = Tables()
        self._raw: dict[str, Plan] = {}

    def find(self, context: Any) -> Plan:
        """The plan, made when there is none or when declarations have changed since."""
        compiled = context.compiled
        plan = self._raw.get(context.statement) if compiled is None else compiled.__dict__.get("_tocsin_plan")
        if plan is not None and plan.version == declared.version:
            return plan
        plan = self._make(context, compiled)
        if compiled is not None:
            compiled.__dict__["_tocsin_plan"] = plan
        else:
            if len(self._raw) >= _RAW_TEXTS:
                self._raw.clear()
            self._raw[context.statement] = plan
        return plan

    def _make(self, context: Any, compiled: Any) -> Plan:
        statement = getattr(compiled, "string", None) or context.statement
        if context.isddl or is_left_out(context) or statement.lstrip()[:9].upper().startswith(_NO_STATEMENTS):
            return Plan(NOTHING.scope, "", False)
        shown = _shown_columns(context)
        metadatas = _metadatas(compiled)
        self.tables.refresh(metadatas)
        mysql = context.dialect.name in ("mysql", "mariadb")
        scope = self._read(statement, shown, mysql, metadatas)
        plan = Plan(scope, statement, mysql)
        plan.values = tuple(_checked_values(scope, compiled))
        plan.columns = tuple(self._checked_columns(scope, compiled, shown))
        plan.getters = tuple((itemgetter(column.place), column) for column in plan.columns)
        plan.is_declared = all(self.tables.is_declared(use.table) for use in scope.uses)
        by_rows = Counter(each.table for each in plan.columns)
        loose = []
        for use in scope.uses:
            if use.is_held:
                continue
            if by_rows[use.table] > 0 and not use.is_written:
                by_rows[use.table] -= 1
                plan.result = ROWS_CHECKED
            else:
                loose.append(use.table)
        plan.loose = tuple(dict.fromkeys(loose))
        if loose:
            plan.result = UNSCOPED
        names = {checked.only_name for checked in plan.values}
        plan.only_name = next(iter(names), "")
        # Only compiled statements have their parameters by name at hand.
        is_one = len(names) == bool(plan.only_name) and (compiled is not None or not names)
        plan.labels = (("result", plan.result),)
        plan.is_simple = plan.is_understood and plan.is_declared and is_one and not loose and not plan.is_write
        return plan

    def _read(self, statement: str, shown: Sequence[str], mysql: bool, metadatas: Sequence[Any]) -> StatementScope:
        named: list[str] = []

        def column_of(table: str, alias: str) -> str:
            named.append(table)
            known = self.tables.column_of(table, metadatas)
            if known is None:
                unknown.append((table, alias))
            return known or ""

        unknown: list[tuple[str, str]] = []
        scope = read_scope(statement, column_of, mysql=mysql)
        if not unknown:
            return scope
        for table, alias in unknown:
            column = guess_column(statement, alias, len(named) == 1, shown)
            if column:
                self.tables.learn(table, column)
        return read_scope(statement, column_of, mysql=mysql)

    def _checked_columns(self, scope: StatementScope, compiled: Any, shown: Sequence[str]) -> Iterable[CheckedColumn]:
        found = list(self._compiled_columns(compiled, len(shown)))
        if found or not shown:
            return found
        if compiled is not None and getattr(compiled, "_result_columns", None) and compiled._ordered_columns:
            return []
        # By name, each column of that name to the next table that has one.
        waiting = [use for use in scope.uses if not use.is_written or scope.verb != "SELECT"]
        for index, name in enumerate(shown):
            use = next((use for use in waiting if use.column == name.lower()), None)
            if use is not None:
                waiting.remove(use)
                found.append(CheckedColumn(index, use.table, use.column))
        return found

    def _compiled_columns(self, compiled: Any, number: int) -> Iterable[CheckedColumn]:
        entries = getattr(compiled, "_result_columns", None) or ()
        if not entries or not compiled._ordered_columns or len(entries) != number:
            return
        for index, entry in enumerate(entries):
            for column in _base_columns(entry[2]):
                if self.tables.column_of_table(column.table) == column.name.lower():
                    yield CheckedColumn(index, str(column.table.name).lower(), column.name.lower())
                    break


def is_left_out(context: Any) -> bool:
    """Engines that the product has taken out of all watching."""
    engine = getattr(context, "engine", None)
    return IGNORED in context.dialect.__dict__ or (
        engine is not None and engine.get_execution_options().get("tocsin") is False
    )


def _checked_values(scope: StatementScope, compiled: Any) -> Iterable[CheckedValue]:
    for comparison in scope.comparisons:
        names: list[str] = []
        ordinals: list[int] = []
        texts: list[str] = []
        for value in comparison.values:
            if isinstance(value, str):
                texts.append(value)
            elif compiled is not None:
                names.append(_bind_name(compiled, value))
            elif value.name:
                names.append(value.name)
            else:
                ordinals.append(value.ordinal)
        use = scope.uses[comparison.use]
        yield CheckedValue(use, tuple(names), tuple(ordinals), tuple(texts), comparison.is_write)


def _bind_name(compiled: Any, parameter: Parameter) -> str:
    """The name under which the execution has the value of a place in the text."""
    if parameter.name:
        escaped = getattr(compiled, "escaped_bind_names", None) or {}
        return next((name for name, text in escaped.items() if text == parameter.name), parameter.name)
    order: Sequence[str] = compiled.positiontup or ()
    if parameter.is_numbered:
        spread = {*compiled.post_compile_params, *compiled.literal_execute_params}
        order = [name for name in order if compiled.binds.get(name) not in spread]
    return order[parameter.ordinal] if parameter.ordinal < len(order) else ""


def _shown_columns(context: Any) -> tuple[str, ...]:
    description = getattr(context.cursor, "description", None) or []
    return tuple(str(each[0]) for each in description)


def _metadatas(compiled: Any) -> list[Any]:
    """The metadata of the tables a compiled statement reads or writes."""
    found: dict[int, Any] = {}
    for entry in getattr(compiled, "_result_columns", None) or ():
        for column in _base_columns(entry[2]):
            found[id(column.table.metadata)] = column.table.metadata
    statement: Any = getattr(compiled, "statement", None)
    table = getattr(statement, "table", None)
    froms = [table] if table is not None else []
    if not found and hasattr(statement, "get_final_froms"):
        froms += statement.get_final_froms()
    for each in froms:
        for part in getattr(each, "_from_objects", (each,)):
            metadata = getattr(part, "metadata", None)
            if metadata is not None and hasattr(metadata, "tables"):
                found[id(metadata)] = metadata
    return list(found.values())


def _base_columns(objects: Any) -> Iterable[Any]:
    """The columns of tables behind an entry of a result: through labels, aliases and subqueries."""
    for each in objects or ():
        element = getattr(each, "element", None) if type(each).__name__ in ("Label", "_CompileLabel") else each
        for column in getattr(element, "base_columns", None) or ():
            if getattr(getattr(column, "table", None), "metadata", None) is not None:
                yield column
