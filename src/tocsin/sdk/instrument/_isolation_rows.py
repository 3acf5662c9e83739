"""Rows on their way from the driver: whose they are is looked at before anybody else has them.

All ways to load rows (ORM, Core, text, streams, asyncio) end in a result's fetch strategy, and raw rows are plain
tuples there: a set of one column's values costs a twentieth of a microsecond a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.guard import guarded_observer
from tocsin.sdk.increases import MOST_NOTED, Increases
from tocsin.sdk.instrument._isolation_plan import CheckedColumn, Plan
from tocsin.sdk.isolation_findings import ROWS

# (self, column, raw values that are not the tenant's, rows)
Judge = Callable[[Any, CheckedColumn, set[Any], Sequence[Any]], None]


class WatchedRows:
    """A fetch strategy around that of a result. increases: where rows are counted, None where they are not.

    It holds the result's metadata and not the result, which holds it.
    """

    __slots__ = ("_increases", "_inner", "_judge", "accepted", "metadata", "plan", "tenant", "work")

    def __init__(
        self, result: Any, plan: Plan, work: Any, tenant: str, accepted: frozenset[Any], judge: Judge,
        increases: Increases | None,
    ) -> None:  # fmt: skip
        self._inner, self.metadata, self.plan = result.cursor_strategy, result._metadata, plan
        self.work, self.tenant, self.accepted, self._judge = work, tenant, accepted, judge
        self._increases = increases

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @guarded_observer
    def _look(self, rows: Sequence[Any]) -> None:
        began_ns = perf_counter_ns() if self.work is not None and self.work.is_metered else 0
        for value_of, column in self.plan.getters:
            if len(rows) == 1:
                if value_of(rows[0]) in self.accepted:
                    continue
                seen = {value_of(rows[0])}
            else:
                seen = set(map(value_of, rows))
            if not seen <= self.accepted:
                self._judge(self, column, seen - self.accepted, rows)
        increases = self._increases
        if increases is not None:
            increases.noted.append((ROWS, (), self.tenant, len(rows)))
            if len(increases.noted) > MOST_NOTED:
                increases.count_noted()
        if began_ns:
            self.work.note_hook("isolation", perf_counter_ns() - began_ns)

    def fetchone(self, result: Any, dbapi_cursor: Any, hard_close: bool = False) -> Any:
        row = self._inner.fetchone(result, dbapi_cursor, hard_close)
        if row is not None:
            self._look((row,))
        return row

    def fetchmany(self, result: Any, dbapi_cursor: Any, size: int | None = None) -> Any:
        rows = self._inner.fetchmany(result, dbapi_cursor, size)
        if rows:
            self._look(rows)
        return rows

    def fetchall(self, result: Any, dbapi_cursor: Any) -> Any:
        # The result closes itself on the way, through whatever strategy it has then: it needs ours no more.
        result.cursor_strategy = self._inner
        rows = self._inner.fetchall(result, dbapi_cursor)
        if rows:
            self._look(rows)
        return rows

    def yield_per(self, result: Any, dbapi_cursor: Any, num: int) -> None:
        self._inner.yield_per(result, dbapi_cursor, num)
        if result.cursor_strategy is not self:
            self._inner, result.cursor_strategy = result.cursor_strategy, self

    def soft_close(self, result: Any, dbapi_cursor: Any) -> None:
        self._inner.soft_close(result, dbapi_cursor)

    def hard_close(self, result: Any, dbapi_cursor: Any) -> None:
        self._inner.hard_close(result, dbapi_cursor)
