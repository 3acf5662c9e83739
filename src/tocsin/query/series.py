"""Series and their samples out of the store, as NumPy arrays: what PromQL reads from.

A selector is answered in two steps: the series that match, with an id each, then the samples of these ids. All of it
within a tenant scope. The request metrics of the catalogue come from the rollups (`catalog`), long ranges from the
downsampled tables (`downsampled`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from tocsin.model.labels import METRIC_NAME
from tocsin.model.tenant import Scope
from tocsin.query import catalog, downsampled, native_histograms
from tocsin.query.matching import WITHIN_DAYS, days, series_condition
from tocsin.query.promql.histogram import NativeHistogram
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import Hints, Matcher, Series
from tocsin.query.sample_columns import Samples, gathered, has_doubles, time_column
from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

_NAMES = {
    Signal.SERIES: f"SELECT name FROM series WHERE day {WITHIN_DAYS} GROUP BY name",
    Signal.NATIVE_HISTOGRAMS: f"SELECT name FROM native_histograms WHERE toDate(time) {WITHIN_DAYS} GROUP BY name",
}
Key = tuple[tuple[str, str], ...]
PORTION_SAMPLES = 1_500_000
"""What a query holds of its samples at a time; a smaller portion costs more in questions to the engine."""
MOST_OF_A_PART_MS = 12 * 3_600_000
"""A part holds a day at most. When this much of it is asked for, its columns are read together: to look at the times
first, and read the values of those that match, would cost a third more."""
USUAL_INTERVAL_MS = 15_000
"""Between two samples of a series, as long as nothing has been read of it."""
ACTIVE_REQUESTS, ACTIVE_REQUESTS_STORED = "http_requests_active", "http_server_active_requests"


class TooManySeriesError(Exception):
    """A selector matches more series than one query may read."""


@dataclass(frozen=True, slots=True)
class Found:
    """A series that matches."""

    id: int
    name: str
    labels: dict[str, str]
    is_delta: bool
    may_be_native: bool = True


@dataclass(slots=True)
class _Parts:
    """What is stored of one label set, under however many ids."""

    labels: dict[str, str]
    samples: list[Samples] = field(default_factory=list)
    histograms: dict[int, NativeHistogram] = field(default_factory=dict)


class StoreSource:
    """Fills PromQL's `Source` from the store, within a scope."""

    def __init__(
        self,
        store: TelemetryStore,
        scope: Scope,
        max_series: int = 50_000,
        max_samples: int = QuerySettings().max_samples,
    ) -> None:
        self._store = store
        self._scope = scope
        self._max_series = max_series
        self._max_samples = max_samples

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: Hints) -> list[Series]:
        """Series with samples after `start_ms` up to `end_ms`, sorted by labels.

        Raises TooManySeriesError, LimitError, QueryTimeoutError or EngineError.
        """
        found = [series for portion in self.portions(matchers, start_ms, end_ms, hints) for series in portion]
        return sorted(found, key=lambda series: _key(series.labels))

    def portions(
        self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: Hints
    ) -> Iterator[Sequence[Series]]:
        """The same, of PORTION_SAMPLES or so at a time. The next portion is read while one is used."""
        selected = {
            _key(series.labels): series
            for series in catalog.select(self._store, self._scope, matchers, start_ms, end_ms, hints)
        }
        stored, renamed = _renamed(matchers)
        found = self.find(stored, start_ms, end_ms)
        samples_each = (end_ms - start_ms) / USUAL_INTERVAL_MS
        if selected or len(found) * samples_each <= PORTION_SAMPLES:
            selected |= self._series(found, renamed, start_ms, end_ms, hints)
            yield [selected[key] for key in sorted(selected)]
        else:
            yield from _read_ahead(self._portions(found, samples_each, renamed, start_ms, end_ms, hints))

    def _portions(
        self, found: list[Found], samples_each: float, renamed: str, start_ms: int, end_ms: int, hints: Hints
    ) -> Generator[Sequence[Series]]:
        """As near to the order of the table as series of the same labels, which stay together, allow."""
        together: dict[Key, list[Found]] = {}
        for series in sorted(found, key=lambda series: (series.name, series.id)):
            together.setdefault(_key(series.labels), []).append(series)
        groups = list(together.values())
        while groups:
            count = max(1, round(PORTION_SAMPLES / max(samples_each, 1)))
            taken, groups = groups[:count], groups[count:]
            read = self._series([series for group in taken for series in group], renamed, start_ms, end_ms, hints)
            samples_each = sum(len(series.timestamps) for series in read.values()) / len(taken)
            yield [read[key] for key in sorted(read)]

    def _series(self, found: list[Found], renamed: str, start_ms: int, end_ms: int, hints: Hints) -> dict[Key, Series]:
        """Those that have samples, by their labels."""
        read = {}
        for parts in self._parts(found, start_ms, end_ms, hints):
            labels = {**parts.labels, METRIC_NAME: renamed} if renamed else parts.labels
            series = _joined(labels, parts)
            if len(series.timestamps):
                read[_key(labels)] = series
        return read

    def find(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Found]:
        """The stored series that match. Raises TooManySeriesError."""
        name = next((m.value for m in matchers if m.name == METRIC_NAME and m.operator == "="), "")
        if name and name not in self._names(Signal.SERIES, start_ms, end_ms):
            return []
        condition, parameters = series_condition(matchers, start_ms, end_ms)
        sql = (
            f"SELECT toString(id), any(name), any(labels), any(is_delta) FROM series "
            f"WHERE {condition} GROUP BY id LIMIT {{limit:UInt64}}"
        )
        rows = self._store.read_kept(Signal.SERIES, self._scope, sql, **parameters, limit=self._max_series + 1).rows
        if len(rows) > self._max_series:
            raise TooManySeriesError(
                f"cannot read more than {self._max_series} series at once; name a metric or add label matchers"
            )
        natives = self._names(Signal.NATIVE_HISTOGRAMS, start_ms, end_ms) if rows else set()
        return [
            Found(int(id), name, {key: value for key, value in labels.items() if value}, is_delta, name in natives)
            for id, name, labels, is_delta in rows
        ]

    def _names(self, signal: Signal, start_ms: int, end_ms: int) -> set[str]:
        """The metrics of these days: what rules and panels ask of metrics that nobody sends then costs nothing."""
        rows = self._store.read_kept(signal, self._scope, _NAMES[signal], **days(start_ms, end_ms)).rows
        return {name for (name,) in rows}

    def _parts(self, found: list[Found], start_ms: int, end_ms: int, hints: Hints) -> Iterable[_Parts]:
        plain = [series for series in found if not series.is_delta]
        delta = [series for series in found if series.is_delta]
        samples = self._plain_samples(plain, start_ms, end_ms, hints) | self._delta_samples(
            delta, start_ms, end_ms, hints
        )
        natives = [series for series in found if series.may_be_native]
        histograms = native_histograms.read(self._store, self._scope, _ids(natives), start_ms, end_ms)
        by_labels: dict[Key, _Parts] = {}
        for series in found:
            parts = by_labels.setdefault(_key(series.labels), _Parts(series.labels))
            if series.id in samples:
                parts.samples.append(samples[series.id])
            parts.histograms |= histograms.get(series.id, {})
        return by_labels.values()

    def _plain_samples(self, found: list[Found], start_ms: int, end_ms: int, hints: Hints) -> dict[int, Samples]:
        if not found:
            return {}
        choice = downsampled.choose(self._store, hints, start_ms, end_ms)
        if choice is None:
            return self._read("samples", found, start_ms, end_ms, hints)
        coarse = downsampled.read(self._store, self._scope, choice, _ids(found), start_ms, choice.until_ms)
        fresh = self._read("samples", found, choice.until_ms, end_ms, hints)
        return downsampled.continued(coarse, fresh)

    def _delta_samples(self, found: list[Found], start_ms: int, end_ms: int, hints: Hints) -> dict[int, Samples]:
        """Increases made cumulative: what came before the range is the base, and each adds to it."""
        if not found:
            return {}
        increases = self._read("deltas", found, start_ms, end_ms, hints, value="sum(value)", by=", time")
        bases = self._bases([series for series in found if series.id in increases], start_ms)
        return {id: (times, bases.get(id, 0.0) + np.cumsum(values)) for id, (times, values) in increases.items()}

    def _bases(self, found: list[Found], at_ms: int) -> dict[int, float]:
        hour_ms = at_ms // 3_600_000 * 3_600_000
        named = "name IN {names:Array(String)} AND series IN {ids:Array(UInt64)}"
        sql = (
            f"SELECT series, sum(total) AS base FROM ("
            f"SELECT series, sum(value) AS total FROM deltas_1h WHERE {named} "
            f"AND time < fromUnixTimestamp64Milli({{hour:Int64}}) GROUP BY series UNION ALL "
            f"SELECT series, sum(value) AS total FROM deltas WHERE {named} "
            f"AND time >= fromUnixTimestamp64Milli({{hour:Int64}}) AND time <= fromUnixTimestamp64Milli({{at:Int64}}) "
            f"GROUP BY series) GROUP BY series"
        )
        columns = self._store.read_arrays(self._scope, sql, **_named(found), hour=hour_ms, at=at_ms)
        return dict(zip(map(int, columns["series"]), map(float, columns["base"]), strict=True)) if columns else {}

    def _read(
        self,
        table: str,
        found: list[Found],
        start_ms: int,
        end_ms: int,
        hints: Hints,
        *,
        value: str = "value",
        by: str = "",
        final: str = "",
    ) -> dict[int, Samples]:
        """Samples by series id, each in the order of time, one for every time."""
        if not found:
            return {}
        within = (
            "name IN {names:Array(String)} AND series IN {ids:Array(UInt64)} AND "
            "time > fromUnixTimestamp64Milli({start:Int64}) AND time <= fromUnixTimestamp64Milli({end:Int64})"
        )
        sql = f"SELECT series, {time_column(start_ms, end_ms)} AS after, {value} AS value FROM {table} {final} "
        sql += f"WHERE {within}" + (f" GROUP BY series{by}" if by else "")
        settings: dict[str, Value] = {"optimize_move_to_prewhere": int(end_ms - start_ms < MOST_OF_A_PART_MS)}
        blocks = self._store.stream_arrays(self._scope, sql, settings, **_named(found), start=start_ms, end=end_ms)
        with closing(blocks):
            read = gathered(blocks, start_ms, self._max_samples, hints.check)
        if by or final:
            return read
        doubled = [series for series in found if series.id in read and has_doubles(read[series.id][0])]
        if doubled:
            # Written more than once and not merged yet: the engine knows which was last.
            read |= self._read(table, doubled, start_ms, end_ms, hints, final="FINAL")
        return read


def _key(labels: dict[str, str]) -> Key:
    return tuple(sorted(labels.items()))


def _read_ahead(portions: Generator[Sequence[Series]]) -> Iterator[Sequence[Series]]:
    """The next is read by a thread of its own: engine and NumPy then take a core each. What the query has set for its
    own, such as NumPy's silence about infinities, holds there, too."""
    read_next = partial(copy_context().run, next, portions, None)
    with closing(portions), ThreadPoolExecutor(1) as beside:
        coming = beside.submit(read_next)
        while (portion := coming.result()) is not None:
            coming = beside.submit(read_next)
            yield portion


def _ids(found: Iterable[Found]) -> dict[int, str]:
    return {series.id: series.name for series in found}


def _named(found: Iterable[Found]) -> dict[str, Value]:
    ids = _ids(found)
    return {"names": sorted(set(ids.values())), "ids": list(ids)}


def _renamed(matchers: Sequence[Matcher]) -> tuple[Sequence[Matcher], str]:
    """The catalogue's name for requests being served stands for what OpenTelemetry calls it."""
    if any(m.name == METRIC_NAME and m.operator == "=" and m.value == ACTIVE_REQUESTS for m in matchers):
        stored = [
            replace(m, value=ACTIVE_REQUESTS_STORED) if m.name == METRIC_NAME and m.operator == "=" else m
            for m in matchers
        ]
        return stored, ACTIVE_REQUESTS
    return matchers, ""


def _joined(labels: dict[str, str], parts: _Parts) -> Series:
    """All samples of one label set in the order of time; a histogram has the value NaN beside it."""
    samples = parts.samples
    if not parts.histograms and len(samples) == 1:
        return Series(labels, *samples[0])
    histogram_times = np.array(sorted(parts.histograms), np.int64)
    times = np.concatenate([*(times for times, _ in samples), histogram_times])
    values = np.concatenate([*(values for _, values in samples), np.full(len(histogram_times), np.nan)])
    times, first = np.unique(times, return_index=True)
    values = values[first]
    if not parts.histograms:
        return Series(labels, times, values)
    histograms = [parts.histograms.get(time) for time in times.tolist()]
    for index, histogram in enumerate(histograms):
        if histogram is not None and native_histograms.is_stale(histogram):
            values[index], histograms[index] = histogram.sum, None
    return Series(labels, times, values, histograms)
