"""Series and their samples out of the store, as NumPy arrays: what PromQL reads from.

A selector is answered in two steps: the series that match, with an id each, then the samples of these ids. All of it
within a tenant scope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tocsin.model.tenant import Scope
from tocsin.query.matching import series_condition
from tocsin.query.promql.source import Hints, Matcher, Series
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Samples = tuple[Times, Values]


class TooManySeriesError(Exception):
    """A selector matches more series than one query may read."""


@dataclass(frozen=True, slots=True)
class Found:
    """A series that matches."""

    id: int
    name: str
    labels: dict[str, str]
    is_delta: bool


class StoreSource:
    """Fills PromQL's `Source` from the store, within a scope."""

    def __init__(self, store: TelemetryStore, scope: Scope, max_series: int = 50_000) -> None:
        self._store = store
        self._scope = scope
        self._max_series = max_series

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: Hints) -> list[Series]:
        """Series with samples after `start_ms` up to `end_ms`, sorted by labels.

        Raises TooManySeriesError, QueryTimeoutError or EngineError.
        """
        found = self.find(matchers, start_ms, end_ms)
        samples = self._samples(found, start_ms, end_ms)
        selected = [
            Series(series.labels, *samples[series.id]) for series in found if samples.get(series.id) is not None
        ]
        return sorted(selected, key=lambda series: sorted(series.labels.items()))

    def find(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Found]:
        """The series that match. Raises TooManySeriesError."""
        condition, parameters = series_condition(matchers, start_ms, end_ms)
        sql = (
            f"SELECT toString(id), any(name), any(labels), any(is_delta) FROM series WHERE {condition} GROUP BY id "
            f"LIMIT {{limit:UInt64}}"
        )
        rows = self._store.read(self._scope, sql, **parameters, limit=self._max_series + 1).rows
        if len(rows) > self._max_series:
            raise TooManySeriesError(
                f"cannot read more than {self._max_series} series at once; name a metric or add label matchers"
            )
        return [Found(int(id), name, labels, bool(is_delta)) for id, name, labels, is_delta in rows]

    def _samples(self, found: list[Found], start_ms: int, end_ms: int) -> dict[int, Samples]:
        plain = [series for series in found if not series.is_delta]
        return self._read("samples", plain, start_ms, end_ms)

    def _read(self, table: str, found: list[Found], start_ms: int, end_ms: int, final: str = "") -> dict[int, Samples]:
        """Samples by series id, each in the order of time, one for every time."""
        if not found:
            return {}
        sql = (
            f"SELECT series, groupArray(toUnixTimestamp64Milli(time)) AS times, groupArray(value) AS values "
            f"FROM {table} {final} WHERE name IN {{names:Array(String)}} AND series IN {{ids:Array(UInt64)}} "
            f"AND time > fromUnixTimestamp64Milli({{start:Int64}}) AND time <= fromUnixTimestamp64Milli({{end:Int64}}) "
            f"GROUP BY series"
        )
        parameters: dict[str, Value] = {
            "names": sorted({series.name for series in found}),
            "ids": [series.id for series in found],
            "start": start_ms,
            "end": end_ms,
        }
        columns = self._store.read_arrays(self._scope, sql, **parameters)
        if not columns:
            return {}
        return {
            int(id): _in_order(times, values)
            for id, times, values in zip(columns["series"], columns["times"], columns["values"], strict=True)
        }


def _in_order(times: Times, values: Values) -> Samples:
    if len(times) < 2 or (np.diff(times) > 0).all():
        return times, values
    order = np.argsort(times, kind="stable")
    return times[order], values[order]
