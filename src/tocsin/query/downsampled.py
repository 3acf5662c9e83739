"""Ranges of days from the downsampled tables, for questions whose steps are coarser than the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tocsin.model.tenant import PLATFORM, Scope
from tocsin.query.promql.source import Hints
from tocsin.storage.telemetry.store import TelemetryStore

Samples = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]

# Shorter ranges are read sample by sample: a row's last sample is up to a grain away from the step that asks.
SHORTEST_MS = 2 * 86_400_000
GRAINS_MS = {"1h": 3_600_000, "5m": 300_000}
COUNTER_FUNCTIONS = ("rate", "increase")
# What stands for a row of the table under each function. The mean of means is no mean, so avg_over_time reads samples.
COLUMNS = {"": "last", "last_over_time": "last", "min_over_time": "min", "max_over_time": "max", "sum_over_time": "sum"}
AGGREGATIONS = ("sum", "avg", "min", "max", "count", "topk", "bottomk", "quantile", "stddev", "stdvar", "group")
LEAST_PER_RANGE = 4  # rows in a range selector, so that its edges do not matter


@dataclass(frozen=True, slots=True)
class Choice:
    """A table, the column to read, and up to when it is filled. `is_counter` reads a counter that never resets."""

    table: str
    column: str
    until_ms: int
    is_counter: bool


def choose(store: TelemetryStore, hints: Hints, start_ms: int, end_ms: int) -> Choice | None:
    """The coarsest table that answers this question; None when the samples themselves must be read."""
    if end_ms - start_ms < SHORTEST_MS:
        return None
    function = "" if hints.function in AGGREGATIONS and not hints.range_ms else hints.function
    is_counter = function in COUNTER_FUNCTIONS
    if not is_counter and function not in COLUMNS:
        return None
    reach_ms = hints.range_ms // LEAST_PER_RANGE if hints.range_ms else hints.step_ms
    grain = next((name for name, size in GRAINS_MS.items() if size <= min(reach_ms, hints.step_ms)), None)
    if grain is None or (not hints.range_ms and grain == "1h"):
        # A plain selector looks back five minutes: no row of an hour is that near.
        grain = "5m" if grain else None
    if grain is None:
        return None
    until_ms = done_until_ms(store, grain)
    if until_ms <= start_ms:
        return None
    return Choice(f"samples_{grain}", "last" if is_counter else COLUMNS[function], min(until_ms, end_ms), is_counter)


def done_until_ms(store: TelemetryStore, grain: str) -> int:
    """Up to when a table is filled, in milliseconds; 0 when it is not."""
    sql = "SELECT toInt64(toUnixTimestamp(max(until))) FROM downsampled WHERE grain = {grain:String}"
    return int(store.read(PLATFORM, sql, grain=grain).rows[0][0]) * 1000


def read(
    store: TelemetryStore, scope: Scope, choice: Choice, names: Mapping[int, str], start_ms: int, end_ms: int
) -> dict[int, Samples]:
    """One value a row by series id, at the time of the row's last sample."""
    sql = (
        f"SELECT series, groupArray(toUnixTimestamp64Milli(last_time)) AS times, "
        f"groupArray({choice.column}) AS values, groupArray(first) AS firsts, groupArray(last) AS lasts, "
        f"groupArray(increase) AS increases "
        f"FROM {choice.table} FINAL WHERE name IN {{names:Array(String)}} AND series IN {{ids:Array(UInt64)}} "
        f"AND last_time > fromUnixTimestamp64Milli({{start:Int64}}) "
        f"AND last_time <= fromUnixTimestamp64Milli({{end:Int64}}) "
        f"AND time >= fromUnixTimestamp64Milli({{start:Int64}}) - INTERVAL 1 HOUR GROUP BY series"
    )
    columns = store.read_arrays(
        scope, sql, names=sorted(set(names.values())), ids=list(names), start=start_ms, end=end_ms
    )
    if not columns:
        return {}
    found = {}
    for index, id in enumerate(columns["series"]):
        order = np.argsort(columns["times"][index], kind="stable")
        values = columns["values"][index][order]
        if choice.is_counter:
            parts = (columns[name][index][order] for name in ("firsts", "lasts", "increases"))
            values = never_reset(*parts)
        found[int(id)] = (columns["times"][index][order], values)
    return found


def never_reset(
    firsts: npt.NDArray[np.float64], lasts: npt.NDArray[np.float64], increases: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """A counter's value at the end of every row if it had never been reset: increases within rows and between.

    The last one is the counter's own, so that samples may follow.
    """
    between = np.where(firsts[1:] >= lasts[:-1], firsts[1:] - lasts[:-1], firsts[1:])
    risen = np.concatenate([[0.0], np.cumsum(between + increases[1:])])
    values: npt.NDArray[np.float64] = lasts[-1] - (risen[-1] - risen)
    return values


def continued(coarse: dict[int, Samples], fresh: dict[int, Samples]) -> dict[int, Samples]:
    """Rows, and the samples after them."""
    joined = dict(fresh)
    for id, (times, values) in coarse.items():
        if id not in fresh:
            joined[id] = (times, values)
            continue
        later_times, later = fresh[id]
        joined[id] = (np.concatenate([times, later_times]), np.concatenate([values, later]))
    return joined
