"""Which tables belong to tenants, by declaration, by `__tocsin_tenant__` of a model, or by the name of a column."""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Iterable
from typing import Any

from tocsin.sdk.isolation import Declaration, declared

_CLASS_ATTRIBUTE = "__tocsin_tenant__"


class Tables:
    """What the metadata and models of this process say; read again when there are more of them."""

    def __init__(self) -> None:
        # Of each metadata, because two of one process may have different tables of the same name.
        self._known: weakref.WeakKeyDictionary[Any, dict[str, str]] = weakref.WeakKeyDictionary()
        self._seen: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._columns: dict[str, str] = {}
        # Tables whose model names its column, and tables that a declaration names.
        self._explicit: set[str] = set()
        self._attributes: dict[Any, str] = {}
        self._version = -1
        self._mappers = -1

    def refresh(self, metadatas: Iterable[Any] = ()) -> None:
        """Looks at metadata not seen before, or grown since; called for each new statement."""
        declaration = declared.now
        if declared.version != self._version:
            self._seen.clear()
            self._known.clear()
            self._columns.clear()
            self._explicit.clear()
            self._attributes.clear()
            self._version, self._mappers = declared.version, -1
            self._columns.update(declaration.models)
            self._explicit.update(declaration.models)
        for metadata in [*metadatas, *self._read_models(declaration)]:
            if self._seen.get(metadata) != len(metadata.tables):
                self._seen[metadata] = len(metadata.tables)
                known = self._known[metadata] = {}
                for table in metadata.tables.values():
                    self._add(table, declaration, known)

    def column_of(self, table: str, metadatas: Iterable[Any] = ()) -> str | None:
        """The tenant column of a table, '' when it has none, None when the table is unknown.

        metadatas: those of the statement, which say it before all others of the process.
        """
        if table in declared.now.exempt:
            return ""
        if table not in self._explicit:
            for metadata in metadatas:
                found = self._known.get(metadata, {}).get(table)
                if found is not None:
                    return found
        return self._columns.get(table)

    def is_declared(self, table: str) -> bool:
        return declared.now.is_explicit or table in self._explicit

    def learn(self, table: str, column: str) -> None:
        """A table that no metadata has, whose column a statement has shown."""
        self._columns.setdefault(table, column)

    def attribute_of(self, mapper: Any) -> str:
        """The attribute of a mapped class that holds its tenant, '' for none."""
        found = self._attributes.get(mapper)
        if found is None:
            found = self._attributes[mapper] = next(
                (
                    key
                    for key, column in mapper.columns.items()
                    if column.name.lower() == self.column_of_table(getattr(column, "table", None))
                ),
                "",
            )
        return found

    def column_of_table(self, table: Any) -> str | None:
        metadata = getattr(table, "metadata", None)
        return self.column_of(_name(table), [metadata] if metadata is not None else ())

    def _add(self, table: Any, declaration: Declaration, known: dict[str, str]) -> None:
        name = _name(table)
        if name in self._explicit:
            return
        own = {column.name.lower() for column in table.columns}
        column = next((column for column in declaration.columns if column in own), "")
        known[name] = known.get(name) or column
        self._columns[name] = self._columns.get(name) or column

    def _read_models(self, declaration: Declaration) -> list[Any]:
        module = sys.modules.get("sqlalchemy.orm.mapper")
        registries = module._all_registries() if module is not None else ()
        mappers = [mapper for registry in registries for mapper in registry.mappers]
        if len(mappers) == self._mappers:
            return []
        self._mappers = len(mappers)
        metadatas = {id(registry.metadata): registry.metadata for registry in registries}
        for mapper in mappers:
            said = getattr(mapper.class_, _CLASS_ATTRIBUTE, None)
            table = mapper.local_table
            if said is not None and hasattr(table, "name"):
                name = _name(table)
                if name in declaration.models:
                    continue
                self._explicit.add(name)
                self._columns[name] = _column_name(mapper, said)
        return list(metadatas.values())


def _column_name(mapper: Any, said: Any) -> str:
    """The column behind `__tocsin_tenant__ = "attribute or column"`; '' for False."""
    if not said:
        return ""
    found = getattr(mapper.attrs.get(said, None), "columns", None) if mapper.configured else None
    return str(found[0].name if found else said).lower()


def _name(table: Any) -> str:
    return str(getattr(table, "name", "")).lower()


def guess_column(statement: str, alias: str, is_only_one: bool, shown: Iterable[str]) -> str:
    """The tenant column that a text shows of a table nobody knows: `alias.org_id`, or, of a single table, alone."""
    columns = declared.now.columns
    for column in columns:
        if re.search(rf'\b{re.escape(alias)}["`]?\s*\.\s*["`]?{re.escape(column)}\b', statement, re.IGNORECASE):
            return column
    if not is_only_one:
        return ""
    names = {name.lower() for name in shown}
    return next(
        (c for c in columns if c in names or re.search(rf"(?<![.\w]){re.escape(c)}\b", statement, re.IGNORECASE)), ""
    )
