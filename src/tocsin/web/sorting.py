"""The order of a table's rows, chosen by a link in the header of a column: `sort=p95` falling, `sort=p95.up` rising."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import HTTPException

Row = TypeVar("Row")
RISING = ".up"


@dataclass(frozen=True, slots=True)
class Sorting:
    """The chosen column ('' for the table's own order) and its direction."""

    column: str = ""
    is_rising: bool = False

    def said_by(self, column: str, rises_first: bool) -> str:
        """The parameter of the link in a column's header: its first direction, then the other one."""
        rises = not self.is_rising if self.column == column else rises_first
        return column + (RISING if rises else "")

    def word(self, column: str) -> str:
        """What `aria-sort` says of a column."""
        if self.column != column:
            return "none"
        return "ascending" if self.is_rising else "descending"


def read_sorting(said: str, columns: Mapping[str, Callable[[Any], Any]]) -> Sorting:
    """The order of the URL's parameter. Raises HTTPException 400 for a column that is not there."""
    column = said.removesuffix(RISING)
    if column and column not in columns:
        raise HTTPException(400, f"cannot sort by '{column[:40]}': pick one of {', '.join(columns)}")
    return Sorting(column, said.endswith(RISING)) if column else Sorting()


def in_order(rows: Sequence[Row], sorting: Sorting, columns: Mapping[str, Callable[[Row], Any]]) -> Sequence[Row]:
    """The rows in the chosen order, those without a value last; equal ones keep the table's own order."""
    if not sorting.column:
        return rows
    value = columns[sorting.column]
    known = [row for row in rows if value(row) is not None]
    unknown = [row for row in rows if value(row) is None]
    return [*sorted(known, key=value, reverse=not sorting.is_rising), *unknown]


RED_COLUMNS: dict[str, Callable[[Any], Any]] = {
    "rate": lambda row: row.red.request_rate,
    "errors": lambda row: row.red.error_ratio,
    "p50": lambda row: row.red.p50_seconds,
    "p95": lambda row: row.red.p95_seconds,
    "time": lambda row: row.red.total_seconds,
}
"""Columns of every table whose rows have `red`."""
ENDPOINT_COLUMNS: dict[str, Callable[[Any], Any]] = RED_COLUMNS | {
    "name": lambda row: (row.route, row.method),
    "service": lambda row: row.service.lower(),
}
