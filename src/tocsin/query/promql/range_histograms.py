"""Functions of a range vector where samples are native histograms: window by window."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from tocsin.query.promql.calls import FunctionCall, name_of
from tocsin.query.promql.histogram import IncompatibleHistogramsError, NativeHistogram
from tocsin.query.promql.histogram_columns import columns
from tocsin.query.promql.histogram_sums import combined, warn_of_schemas
from tocsin.query.promql.literals import quote
from tocsin.query.promql.matrix import Matrix
from tocsin.query.promql.rates import extrapolation
from tocsin.query.promql.windows import Windows

Samples = list[NativeHistogram]


def _cells(windows: Windows) -> Iterator[tuple[int, int, int, int]]:
    """Row, step, first and behind of every window with histograms."""
    held = windows.histograms
    if held is None:
        return
    for row, step in zip(*np.nonzero(held.behind > held.first), strict=True):
        yield int(row), int(step), int(held.first[row, step]), int(held.behind[row, step])


def _prepare(made: Matrix) -> None:
    if made.histograms is None:
        made.histograms = np.full(made.present.shape, None, dtype=object)


def _put(made: Matrix, row: int, step: int, histogram: NativeHistogram | None) -> None:
    assert made.histograms is not None
    made.histograms[row, step] = histogram
    made.present[row, step] = histogram is not None


def _warn_of_mix(call: FunctionCall, windows: Windows, row: int) -> None:
    name = quote(name_of(windows.labels[row]))
    call.query.warn(f"encountered a mix of histograms and floats for metric name {name}", call.position(0))


def rates(call: FunctionCall, windows: Windows, made: Matrix, *, is_counter: bool, is_rate: bool) -> None:
    """rate, increase and delta; a window with both kinds has no result."""
    held = windows.histograms
    assert held is not None
    _prepare(made)
    done = _rates_of_counters(windows, made, is_rate=is_rate) if is_counter else set()
    for row, step, first, behind in _cells(windows):
        if row in done:
            continue
        if windows.counts[row, step]:
            _warn_of_mix(call, windows, row)
            made.present[row, step] = False
            continue
        if behind - first < 2:
            continue
        samples = held.samples[first:behind]
        change = _change(call, samples, name_of(windows.labels[row]), is_counter=is_counter)
        if change is not None:
            times = held.times[first], held.times[behind - 1]
            factor = _factor(windows, step, times, samples, change, is_counter=is_counter)
            change = change.scaled(factor / (windows.range_ms / 1000) if is_rate else factor)
        _put(made, row, step, change)


def _rates_of_counters(windows: Windows, made: Matrix, *, is_rate: bool) -> set[int]:
    """Computes the series whose samples are counters of one layout, all windows at once; gives their rows."""
    held = windows.histograms
    assert held is not None
    done: set[int] = set()
    for row in range(len(windows.labels) if len(windows.ends) else 0):
        low, high = int(held.first[row].min()), int(held.behind[row].max())
        if high - low < 2 or windows.counts[row].any():
            continue
        found = columns(held.samples[low:high])
        if found is None:
            continue
        done.add(row)
        steps = np.flatnonzero(held.behind[row] - held.first[row] >= 2)
        first, last = held.first[row][steps] - low, held.behind[row][steps] - 1 - low
        changes = found.changes(first, last)
        times, ends = held.times[low:high], windows.ends[steps]
        sampled = (times[last] - times[first]) / 1000
        to_start, to_end = (times[first] - (ends - windows.range_ms)) / 1000, (ends - times[last]) / 1000
        gaps = (last - first).astype(np.float64)
        factors = extrapolation(sampled, gaps, to_start, to_end, found.numbers[first, 0], changes[:, 0])
        changes *= (factors / (windows.range_ms / 1000) if is_rate else factors)[:, None]
        for step, numbers in zip(steps.tolist(), changes, strict=True):
            _put(made, row, step, found.histogram(numbers))
    return done


def _factor(
    windows: Windows, step: int, times: tuple[int, int], samples: Samples, change: NativeHistogram, *, is_counter: bool
) -> float:
    end = int(windows.ends[step])
    sampled = (times[1] - times[0]) / 1000
    edges = (times[0] - (end - windows.range_ms)) / 1000, (end - times[1]) / 1000
    counts = np.array([samples[0].count]) if is_counter else None
    to_start, to_end = (np.array([edge]) for edge in edges)
    gaps = np.array([len(samples) - 1.0])
    return float(extrapolation(np.array([sampled]), gaps, to_start, to_end, counts, np.array([change.count]))[0])


def _change(call: FunctionCall, samples: Samples, name: str, *, is_counter: bool) -> NativeHistogram | None:
    query, position = call.query, call.position(0)
    first, last = samples[0], samples[-1]
    if is_counter and any(sample.hint == "gauge" for sample in samples):
        query.warn(f"this native histogram metric is not a counter: {quote(name)}", position)
    if not is_counter and not (first.hint == last.hint == "gauge"):
        query.warn(f"this native histogram metric is not a gauge: {quote(name)}", position)
    if is_counter and samples[1].is_reset_after(first):
        # What came before a reset at the very start does not matter, not even its layout.
        first = NativeHistogram(schema=samples[1].schema, custom_values=samples[1].custom_values)
    relevant = [first, *samples[1:-1], last] if is_counter else [first, last]
    if len({sample.is_custom for sample in relevant}) > 1:
        warn_of_schemas(query, name, position)
        return None
    made = last.at_schema(min(sample.schema for sample in relevant))
    try:
        made, reconciled = made.plus(first, -1.0)
        kinds = {"subtraction"} if reconciled.bounds else set()
        before = first
        for sample in samples[1:] if is_counter else ():
            if sample.is_reset_after(before):
                made, reconciled = made.plus(before)
                kinds |= {"addition"} if reconciled.bounds else set()
            before = sample
    except IncompatibleHistogramsError:
        warn_of_schemas(query, name, position)
        return None
    for kind in sorted(kinds):
        query.inform(f"mismatched custom buckets were reconciled during {kind}", position)
    made.hint = "gauge"
    return made.compact()


def last_changes(call: FunctionCall, windows: Windows, made: Matrix, *, is_rate: bool) -> None:
    """irate and idelta: the last two samples, which may be of either kind."""
    held = windows.histograms
    assert held is not None
    _prepare(made)
    for row, step, first, behind in _cells(windows):
        floats = range(
            max(int(windows.first[row, step]), int(windows.behind[row, step]) - 2), int(windows.behind[row, step])
        )
        found: list[tuple[int, NativeHistogram | None]] = [(int(windows.times[place]), None) for place in floats]
        found += [(int(held.times[place]), held.samples[place]) for place in range(max(first, behind - 2), behind)]
        found = sorted(found, key=lambda sample: sample[0])[-2:]
        kinds = [sample is not None for _, sample in found]
        if len(found) < 2 or not any(kinds):
            continue
        if not all(kinds):
            _warn_of_mix(call, windows, row)
            made.present[row, step] = False
            continue
        (before_time, before), (after_time, after) = found
        assert before is not None
        assert after is not None
        change = _last_change(call, before, after, name_of(windows.labels[row]), is_rate=is_rate)
        if change is not None and is_rate:
            change = change.divided((after_time - before_time) / 1000)
        _put(made, row, step, change)


def _last_change(
    call: FunctionCall, before: NativeHistogram, after: NativeHistogram, name: str, *, is_rate: bool
) -> NativeHistogram | None:
    query, position = call.query, call.position(0)
    gauges = {before.hint == "gauge", after.hint == "gauge"}
    if is_rate and True in gauges:
        query.warn(f"this native histogram metric is not a counter: {quote(name)}", position)
    if not is_rate and False in gauges:
        query.warn(f"this native histogram metric is not a gauge: {quote(name)}", position)
    made = after.copy()
    if not is_rate or not after.is_reset_after(before):
        try:
            made, reconciled = after.plus(before, -1.0)
        except IncompatibleHistogramsError:
            warn_of_schemas(query, name, position)
            return None
        if reconciled.bounds:
            query.inform("mismatched custom buckets were reconciled during subtraction", position)
    made.hint = "gauge"
    return made.compact()


def sums(call: FunctionCall, windows: Windows, made: Matrix, *, mean: bool) -> None:
    """sum_over_time and avg_over_time; a window with both kinds has no result."""
    held = windows.histograms
    assert held is not None
    _prepare(made)
    for row, step, first, behind in _cells(windows):
        if windows.counts[row, step]:
            _warn_of_mix(call, windows, row)
            made.present[row, step] = False
            continue
        samples = held.samples[first:behind]
        name = name_of(windows.labels[row])
        _put(made, row, step, combined(call.query, samples, name, call.position(0), mean=mean))


def edges(windows: Windows, *, is_last: bool, is_time: bool) -> Matrix:
    """The first or last sample of each window, of whichever kind, or its time in seconds."""
    present = windows.counts > 0
    place = windows.behind - 1 if is_last else windows.first
    values = np.full(present.shape, np.nan)
    times = np.zeros(present.shape, dtype=np.int64)
    values[present] = windows.values[place[present]]
    times[present] = windows.times[place[present]]
    made = windows.matrix(values, present.copy())
    held = windows.histograms
    if held is not None:
        _prepare(made)
        for row, step, first, behind in _cells(windows):
            at = behind - 1 if is_last else first
            time = int(held.times[at])
            if present[row, step] and (time < times[row, step]) == is_last:
                continue
            times[row, step] = time
            _put(made, row, step, held.samples[at])
    if is_time:
        return windows.matrix(times / 1000, made.present)
    return made


def changes(windows: Windows, made: Matrix, *, only_falls: bool) -> None:
    """changes and resets where samples of both kinds alternate."""
    held = windows.histograms
    assert held is not None
    for row, step, first, behind in _cells(windows):
        floats = range(int(windows.first[row, step]), int(windows.behind[row, step]))
        samples: list[tuple[int, float | NativeHistogram]] = [
            (int(windows.times[place]), float(windows.values[place])) for place in floats
        ]
        samples += [(int(held.times[place]), held.samples[place]) for place in range(first, behind)]
        samples.sort(key=lambda sample: sample[0])
        pairs = itertools.pairwise(samples)
        count = sum(_differs(before, after, only_falls) for (_, before), (_, after) in pairs)
        made.values[row, step] = count
        made.present[row, step] = True


def _differs(before: float | NativeHistogram, after: float | NativeHistogram, only_falls: bool) -> bool:
    if isinstance(before, NativeHistogram) and isinstance(after, NativeHistogram):
        return after.is_reset_after(before) if only_falls else not after.same_as(before)
    if isinstance(before, NativeHistogram) or isinstance(after, NativeHistogram):
        return True
    if only_falls:
        return after < before
    return after != before and not (np.isnan(after) and np.isnan(before))
