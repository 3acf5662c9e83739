"""Rows on their way from the driver: whose they are is looked at before anybody else has them.

All ways to load rows (ORM, Core, text, streams, asyncio) end in a result's fetch strategy, and raw rows are plain
tuples there: a set of one column's values costs a twentieth of a microsecond a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from tocsin.sdk.guard import guarded_hook
from tocsin.sdk.instrument._isolation_plan import CheckedColumn

# (column, raw values that are not the tenant's, rows, value processor of the result)
Judge = Callable[[CheckedColumn, set[Any], Sequence[Any]], None]


class RowWatch:
    """Looks at the tenant columns of rows. accepted: values that are fine; judge: who takes the others."""

    __slots__ = ("_accepted", "_columns", "_count", "_judge")

    def __init__(
        self, columns: Sequence[CheckedColumn], accepted: frozenset[Any], judge: Judge, count: Callable[[int], None]
    ) -> None:
        self._columns = [(itemgetter(column.place), column) for column in columns]
        self._accepted, self._judge, self._count = accepted, judge, count

    def _look(self, rows: Sequence[Any]) -> None:
        accepted = self._accepted
        for value_of, column in self._columns:
            seen = set(map(value_of, rows))
            if not seen <= accepted:
                self._judge(column, seen - accepted, rows)
        self._count(len(rows))

    look = guarded_hook(_look)


class WatchedStrategy:
    """A result's fetch strategy with ours around it; everything else is the inner one's."""

    def __init__(self, inner: Any, watch: RowWatch) -> None:
        self._inner, self._watch = inner, watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def fetchone(self, result: Any, dbapi_cursor: Any, hard_close: bool = False) -> Any:
        row = self._inner.fetchone(result, dbapi_cursor, hard_close)
        if row is not None:
            self._watch.look((row,))
        return row

    def fetchmany(self, result: Any, dbapi_cursor: Any, size: int | None = None) -> Any:
        rows = self._inner.fetchmany(result, dbapi_cursor, size)
        if rows:
            self._watch.look(rows)
        return rows

    def fetchall(self, result: Any, dbapi_cursor: Any) -> Any:
        rows = self._inner.fetchall(result, dbapi_cursor)
        if rows:
            self._watch.look(rows)
        return rows

    def yield_per(self, result: Any, dbapi_cursor: Any, num: int) -> None:
        self._inner.yield_per(result, dbapi_cursor, num)
        if result.cursor_strategy is not self:
            self._inner, result.cursor_strategy = result.cursor_strategy, self
