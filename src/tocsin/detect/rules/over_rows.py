"""Rules over events and traces: `tocsin: {events: …}` and `tocsin: {traces: …}` count what happened of late.

Both are one condition over a table of either; the same counts are made of the store and of what tests write down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tocsin.detect.rules.alerting import RuleError, Series
from tocsin.detect.rules.rule import Condition
from tocsin.model.rows import COLUMNS, EVENTS, TRACES, Counted, Rows, label_of
from tocsin.model.tenant import Scope
from tocsin.query.promql.engine import ResultSeries
from tocsin.query.promql.literals import format_duration
from tocsin.query.promql.source import Grid
from tocsin.query.row_counts import TooManyCountsError, row_counts
from tocsin.storage.telemetry.store import TelemetryStore

CountRows = Callable[[Rows, int, int, int], list[Counted]]
"""Counts rows after a start up to an end, in parts of a time; all in milliseconds."""


def no_rows(rows: Rows, start_ms: int, end_ms: int, part_ms: int) -> list[Counted]:
    raise RuleError(f"there are no {rows.table} to look at here")


def rows_of(store: TelemetryStore, scope: Scope) -> CountRows:
    """The events and spans that somebody of this scope may read."""

    def count(rows: Rows, start_ms: int, end_ms: int, part_ms: int) -> list[Counted]:
        try:
            return row_counts(store, scope, rows, start_ms, end_ms, part_ms)
        except TooManyCountsError as error:
            raise RuleError(str(error)) from error

    return count


def vector_of(count: CountRows, condition: Condition, at_ms: int) -> list[Series]:
    """The counts at one time, where there are as many as the rule asks for."""
    grid = Grid(at_ms, at_ms, 1)
    return [(one.labels, float(one.values[-1])) for one in range_of(count, condition, grid, condition.count)]


def range_of(count: CountRows, condition: Condition, grid: Grid, least: float = 1) -> list[ResultSeries]:
    """The counts at every time of the grid, where they are at least so high."""
    within_ms = round(condition.within_seconds * 1000)
    # Windows of neighbouring times overlap: each row is counted once, in parts of which windows are whole numbers.
    part_ms = within_ms if len(grid) == 1 else math.gcd(grid.step_ms, within_ms)
    start_ms = grid.start_ms - within_ms
    times = grid.times
    behind = (times - start_ms) // part_ms
    found = []
    for labels, counts in count(condition.rows, start_ms, int(times[-1]), part_ms):
        parts = np.zeros(int(behind[-1]) + 1)
        for place, total in counts:
            parts[place + 1] = total
        sums = np.cumsum(parts)
        values = sums[behind] - sums[behind - within_ms // part_ms]
        is_there = values >= max(least, 1)
        if is_there.any():
            found.append(ResultSeries(labels, times[is_there], values[is_there]))
    return found


def described(condition: Condition) -> str:
    """What is counted, in words."""
    rows = condition.rows
    said = [" or ".join(rows.names)] if rows.names else []
    said += [f"{key} is {value or 'not there'}" for key, value in rows.where.items()]
    if rows.least_seconds:
        said.append(f"{_duration(rows.least_seconds)} or longer")
    if rows.is_error is not None:
        said.append("failed" if rows.is_error else "not failed")
    of = f": {', '.join(said)};" if said else ""
    by = f" by {', '.join(rows.by)}" if rows.by else ""
    return f"{'spans' if rows.table == TRACES else 'events'}{of}{by} within {_duration(condition.within_seconds)}"


def _duration(seconds: float) -> str:
    return format_duration(round(seconds * 1000))


@dataclass(frozen=True, slots=True)
class Row:
    """An event or a span written down. texts: columns and attributes. at_ms: when it happened, or ended."""

    table: str
    at_ms: int
    texts: Mapping[str, str]
    seconds: float = 0.0
    is_error: bool = False

    def text(self, key: str) -> str:
        return self.texts.get(COLUMNS[self.table].get(key, key), "")

    def fits(self, rows: Rows) -> bool:
        return (
            self.table == rows.table
            and (not rows.names or self.text("name") in rows.names)
            and all(self.text(key) == value for key, value in rows.where.items())
            and (self.table == EVENTS or self.seconds >= rows.least_seconds)
            and rows.is_error in (None, self.is_error)
        )


@dataclass(slots=True)
class MemoryRows:
    """Events and spans written down, for unit tests of rules."""

    found: list[Row] = field(default_factory=list)

    def count(self, rows: Rows, start_ms: int, end_ms: int, part_ms: int) -> list[Counted]:
        counts: dict[tuple[str, ...], dict[int, float]] = {}
        for row in self.found:
            if start_ms < row.at_ms <= end_ms and row.fits(rows):
                parts = counts.setdefault(tuple(row.text(key) for key in rows.by), {})
                part = (row.at_ms - start_ms - 1) // part_ms
                parts[part] = parts.get(part, 0.0) + 1
        return [
            ({label_of(key): text for key, text in zip(rows.by, texts, strict=True) if text}, list(parts.items()))
            for texts, parts in counts.items()
        ]
