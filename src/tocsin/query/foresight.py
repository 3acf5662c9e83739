"""What a line usually does at this time of day, and where it goes from here, by its own days before.

A history is the line over some days at even steps. With two days or more of it, the usual range is the least and the
most of those days at the same time of day, and the forecast is their course brought to today's level. With less, the
forecast goes on with the trend of the last third, which is damped, because no trend lasts. Both ranges are wider
by as much as the line itself trembles from step to step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DAY_SECONDS = 86_400
FEWEST_DAYS, FEWEST_POINTS = 2, 8
MOST_SCALED = 4.0
"""Today's level may be this many times that of a day before, or as small a part; more is another kind of day."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class History:
    """A line at even steps; NaN where it had no value. Times are unix seconds."""

    start: float
    step_seconds: float
    values: Floats

    def at(self, times: Floats) -> Floats:
        """Between two steps what lies between their values; NaN where either has none."""
        places = (times - self.start) / self.step_seconds
        before = np.floor(places).astype(np.int64)
        inside = (before >= 0) & (before + 1 < len(self.values))
        found = np.full(len(times), np.nan)
        low, part = before[inside], (places - before)[inside]
        found[inside] = self.values[low] * (1 - part) + self.values[low + 1] * part
        return found


@dataclass(frozen=True, slots=True)
class Reach:
    """A range with what is expected in it, each shape (n_times,); NaN where nothing is known."""

    low: Floats
    expected: Floats
    high: Floats


def usual(history: History, times: Floats, values: Floats, days: int = 7) -> Reach | None:
    """The range of the days before at the same time of day; None where fewer than two of them are known."""
    before = _days_before(history, times, days)
    known = np.isfinite(before).sum(axis=0) >= FEWEST_DAYS
    if not known.any():
        return None
    found = np.where(known, before, np.nan)
    return _reach(found, np.full(len(times), 2 * tremble(values)), _is_positive(history.values, values))


def forecast(history: History, times: Floats, values: Floats, ahead: Floats, days: int = 7) -> Reach | None:
    """Where the line is at the times `ahead`; None when too little is known even for a trend."""
    is_positive = _is_positive(history.values, values)
    later = _days_before(history, ahead, days)
    enough = np.isfinite(later).sum(axis=0) >= FEWEST_DAYS
    if enough.mean() >= 0.5:
        recent = slice(-max(FEWEST_POINTS, len(times) // 4), None)
        scales = _scales(_days_before(history, times[recent], days), values[recent])[:, None]
        courses = np.where(enough, later * scales, np.nan) + _gap(history, times, values, scales, len(ahead))
        return _reach(courses, _widening(values, len(ahead)), is_positive)
    return _trend(times, values, ahead, is_positive)


def tremble(values: Floats) -> float:
    """How much a line differs from step to step without going anywhere, as a standard deviation."""
    steps = np.diff(values[np.isfinite(values)])
    if len(steps) < FEWEST_POINTS:
        return 0.0
    return float(1.4826 * np.median(np.abs(steps - np.median(steps))) / np.sqrt(2))


def _days_before(history: History, times: Floats, days: int) -> Floats:
    return np.stack([history.at(times - day * DAY_SECONDS) for day in range(1, days + 1)])


def _scales(before: Floats, now: Floats) -> Floats:
    """How many times as high each of the days was to be, to be as high as now; 1 where that cannot be told."""
    found = np.ones(len(before))
    for place, day in enumerate(before):
        both = np.isfinite(day) & np.isfinite(now)
        if both.any() and day[both].mean() > 0 and now[both].mean() > 0:
            found[place] = np.clip(now[both].mean() / day[both].mean(), 1 / MOST_SCALED, MOST_SCALED)
    return found


def _gap(history: History, times: Floats, values: Floats, scales: Floats, steps: int) -> Floats:
    """What the line is now above the middle of its days, which is made up for within the forecast."""
    now = _days_before(history, times, len(scales)) * scales
    both = np.flatnonzero(np.isfinite(values) & np.isfinite(now).any(axis=0))
    if not len(both):
        return np.zeros(steps)
    apart = values[both[-3:]] - np.nanmedian(now[:, both[-3:]], axis=0)
    return float(np.median(apart)) * 0.5 ** (4 * np.arange(steps) / steps)


def _trend(times: Floats, values: Floats, ahead: Floats, is_positive: bool) -> Reach | None:
    third = slice(-max(FEWEST_POINTS, len(times) // 3), None)
    known = np.isfinite(values[third])
    if known.sum() < FEWEST_POINTS:
        return None
    at, of = times[third][known] - times[-1], values[third][known]
    slope, level = np.polyfit(at, of, 1)
    spread = float(np.std(of - (slope * at + level)))
    step = ahead[0] - times[-1]
    damping = 0.5 ** (np.arange(len(ahead)) / len(ahead))
    expected = level + slope * step * np.cumsum(damping)
    margin = 2 * spread * np.sqrt(1 + np.arange(1, len(ahead) + 1) / known.sum())
    return _reach(expected[None, :], margin, is_positive)


def _widening(values: Floats, steps: int) -> Floats:
    return 2 * tremble(values) * np.sqrt(1 + np.arange(steps) / max(1, steps))


def _reach(courses: Floats, margin: Floats, is_positive: bool) -> Reach:
    """The range of some courses, wider by a margin. What was never negative stays so."""
    known = np.isfinite(courses).any(axis=0)
    low, high, middle = (np.full(courses.shape[1], np.nan) for _ in range(3))
    low[known] = np.nanmin(courses[:, known], axis=0) - margin[known]
    high[known] = np.nanmax(courses[:, known], axis=0) + margin[known]
    middle[known] = np.nanmedian(courses[:, known], axis=0)
    if is_positive:
        low, middle = np.maximum(low, 0.0), np.maximum(middle, 0.0)
    return Reach(low, middle, np.maximum(high, middle))


def _is_positive(*lines: Floats) -> bool:
    return all(not len(one) or not (one < 0).any() for one in lines)
