"""Blocks of samples as the engine streams them, put together series by series.

The engine reads in the order of its key, but several parts and threads at once, so that a series arrives in runs. Runs
are copied into place; only what is out of order even then is sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tocsin.query.promql.errors import LimitError
from tocsin.storage.telemetry.engine import Column

Samples = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]

SHORT_MS = 2**32
"""Ranges below this have times of 32 bits after their start, which halves what is copied."""


@dataclass(slots=True)
class _Runs:
    """Samples of one series one after the other: of which series, its first time, in which block and where."""

    series: list[npt.NDArray[Any]] = field(default_factory=list)
    first_times: list[npt.NDArray[Any]] = field(default_factory=list)
    times: list[npt.NDArray[Any]] = field(default_factory=list)
    values: list[npt.NDArray[np.float64]] = field(default_factory=list)
    bounds: list[npt.NDArray[np.intp]] = field(default_factory=list)

    def add(self, series: npt.NDArray[Any], times: npt.NDArray[Any], values: npt.NDArray[np.float64]) -> None:
        starts = np.concatenate([[0], np.flatnonzero(series[1:] != series[:-1]) + 1])
        self.series.append(series[starts])
        self.first_times.append(times[starts])
        # Copied, so that the block with its column of ids can go.
        self.times.append(times.copy())
        self.values.append(values.copy())
        self.bounds.append(np.append(starts, len(series)))

    def places(self) -> list[tuple[int, int, int]]:
        """Block, start and end of each run."""
        return [
            (block, start, end)
            for block, bounds in enumerate(self.bounds)
            for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        ]


def time_column(start_ms: int, end_ms: int) -> str:
    """SQL for the time of a sample as `gathered` takes it: milliseconds after `{start:Int64}`."""
    kind = "toUInt32" if end_ms - start_ms < SHORT_MS else "toInt64"
    return f"{kind}(toUnixTimestamp64Milli(time) - {{start:Int64}})"


def gathered(
    blocks: Iterable[dict[str, Column]], start_ms: int, max_samples: int, check: Callable[[], None] = lambda: None
) -> dict[int, Samples]:
    """Samples by series id in the order of time, out of blocks with the columns series, after and value.

    A time may be there more than once. Raises LimitError beyond `max_samples` without reading on, and whatever `check`
    raises between two blocks.
    """
    runs, count = _Runs(), 0
    for block in blocks:
        check()
        values = np.asarray(block["value"])
        count += len(values)
        if count > max_samples:
            raise LimitError("query processing would load too many samples into memory in query execution")
        if len(values):
            runs.add(np.asarray(block["series"]), np.asarray(block["after"]), values)
    return dict(_split(runs, start_ms)) if count else {}


def _split(runs: _Runs, start_ms: int) -> Iterator[tuple[int, Samples]]:
    series = np.concatenate(runs.series)
    order = np.lexsort((np.concatenate(runs.first_times), series))
    places = runs.places()
    lengths = np.array([end - start for _, start, end in places])[order]
    values = np.concatenate([runs.values[block][start:end] for block, start, end in _picked(places, order)])
    runs.values.clear()
    after = np.concatenate([runs.times[block][start:end] for block, start, end in _picked(places, order)])
    runs.times.clear()
    times = after.astype(np.int64)
    del after
    times += start_ms
    series = series[order]
    firsts = np.concatenate([[0], np.flatnonzero(series[1:] != series[:-1]) + 1])
    edges = np.append(np.concatenate([[0], np.cumsum(lengths)])[firsts], len(times)).tolist()
    falls = np.setdiff1d(np.flatnonzero(times[1:] < times[:-1]) + 1, edges)
    unordered = set((np.searchsorted(edges, falls, side="right") - 1).tolist())
    for place, id in enumerate(series[firsts].tolist()):
        own = slice(edges[place], edges[place + 1])
        yield id, in_order(times[own], values[own]) if place in unordered else (times[own], values[own])


def _picked(places: list[tuple[int, int, int]], order: npt.NDArray[np.intp]) -> Iterator[tuple[int, int, int]]:
    return (places[at] for at in order.tolist())


def in_order(times: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> Samples:
    """Sorted by time; of equal times the order stays."""
    order = np.argsort(times, kind="stable")
    return times[order], values[order]


def has_doubles(times: npt.NDArray[np.int64]) -> bool:
    """Whether a time is there twice."""
    return len(times) > 1 and bool((times[1:] == times[:-1]).any())
