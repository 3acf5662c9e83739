"""Lines out of running totals are those of each window by itself, to 1e-10, or are said not to be good."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tocsin.query.promql.errors import Position
from tocsin.query.promql.over_time import regression
from tocsin.query.promql.running import running_lines
from tocsin.query.promql.source import Grid, Series
from tocsin.query.promql.windows import Windows, windows_on

QUERY: Any = SimpleNamespace(check=lambda: None)
START_MS, STEP_MS, RANGE_MS = 1_800_000_000_000, 120_000, 3_600_000


def windows_of(*values: np.ndarray, range_ms: int = RANGE_MS) -> Windows:
    """Samples every 15 s or so, each series with its own jitter and gaps."""
    chance = np.random.default_rng(7)
    series = []
    for number, one in enumerate(values):
        times = START_MS + np.arange(len(one)) * 15_000 + chance.integers(0, 900, len(one))
        kept = chance.random(len(one)) > 0.02 * number
        series.append(Series({"n": str(number)}, times[kept].astype(np.int64), one[kept]))
    ends = np.arange(START_MS, START_MS + 6 * 3_600_000, STEP_MS)
    grid = Grid(int(ends[0]), int(ends[-1]), STEP_MS)
    return windows_on(series, ends, range_ms, grid, Position(0, 0))


def by_themselves(windows: Windows, row: int, step: int, origin_ms: int) -> tuple[float, float]:
    """Slope and value at the origin, in extended precision around the window's own middle."""
    part = slice(windows.first[row, step], windows.behind[row, step])
    x = ((windows.times[part] - origin_ms) / 1000).astype(np.longdouble)
    y = windows.values[part].astype(np.longdouble)
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    return float(slope), float(y.mean() - slope * x.mean())


@pytest.mark.parametrize("range_ms", [600_000, RANGE_MS, 3 * RANGE_MS])
def test_lines_are_those_of_each_window(range_ms: int) -> None:
    chance = np.random.default_rng(1)
    n = 1440
    windows = windows_of(
        np.cumsum(chance.random(n) * 40) + 1e9,  # a counter that has counted for long
        50 + 10 * np.sin(np.arange(n) / 60) + chance.normal(0, 0.5, n),
        np.where(np.arange(n) < 700, 3.0, 4.0),  # constant, and a step
        1e-9 * chance.random(n),
        range_ms=range_ms,
    )
    origin = np.broadcast_to(windows.ends, windows.first.shape)
    with np.errstate(all="ignore"):  # as the engine evaluates
        slope, at_origin, is_good = (each.reshape(origin.shape) for each in running_lines(QUERY, windows, origin))
    has_line = windows.counts >= 2
    assert is_good[has_line].mean() > 0.7
    assert not is_good[~has_line].any()
    for row, step in np.argwhere(is_good)[::7].tolist():
        expected, value = by_themselves(windows, row, step, int(origin[row, step]))
        assert slope[row, step] == pytest.approx(expected, rel=2e-10, abs=1e-300)
        assert at_origin[row, step] == pytest.approx(value, rel=1e-9)


def test_a_constant_has_no_slope_and_keeps_its_value_to_the_letter() -> None:
    windows = windows_of(np.full(1440, 0.1))
    with np.errstate(all="ignore"):
        slope, at_origin, present = regression(QUERY, windows, windows.ends)
    assert present.sum() > 100
    assert set(slope[present].tolist()) == {0.0}
    assert set(at_origin[present].tolist()) == {0.1}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_windows_with_what_is_no_number_are_walked(bad: float) -> None:
    values = np.cumsum(np.ones(1440))
    values[500] = bad
    windows = windows_of(values)
    origin = np.broadcast_to(windows.ends, windows.first.shape)
    with np.errstate(all="ignore"):  # as the engine evaluates
        slope, _, present = regression(QUERY, windows, origin.ravel())
        _, _, is_good = running_lines(QUERY, windows, origin)
    holds = (windows.first <= 500) & (windows.behind > 500)
    assert holds.any()
    assert not is_good.reshape(holds.shape)[holds].any()
    assert np.isnan(slope[holds]).all()
    others = present & ~holds
    assert slope[others] == pytest.approx(1 / 15, rel=1e-2)
