"""Usual ranges and forecasts of lines whose course is known."""

from __future__ import annotations

import numpy as np
import pytest

from tocsin.query.foresight import DAY_SECONDS, Floats, History, forecast, tremble, usual

NOW = 100 * DAY_SECONDS
STEP = 900.0


def day_course(times: Floats) -> Floats:
    """50 to 150 with the time of day."""
    return 100 + 50 * np.sin(2 * np.pi * times / DAY_SECONDS)


def history(days: float, level: float = 1.0) -> History:
    times = np.arange(NOW - days * DAY_SECONDS, NOW + 1, STEP)
    return History(float(times[0]), STEP, level * day_course(times))


def hours(start: float, end: float) -> Floats:
    return np.arange(NOW + start * 3600, NOW + end * 3600, 60.0)


def test_usual_range_follows_the_time_of_day() -> None:
    times = hours(-6, 0)
    found = usual(history(7), times, day_course(times))
    assert found is not None
    assert np.allclose(found.low, day_course(times), rtol=0.02)
    assert np.allclose(found.high, day_course(times), rtol=0.02)


def test_one_day_is_no_usual_range() -> None:
    times = hours(-1, 0)
    assert usual(history(1.2), times, day_course(times)) is None


def test_range_is_wider_where_the_line_trembles() -> None:
    times = hours(-6, 0)
    noise = np.random.default_rng(1).normal(0, 5, len(times))
    found = usual(history(7), times, day_course(times) + noise)
    assert found is not None
    inside = (day_course(times) + noise >= found.low) & (day_course(times) + noise <= found.high)
    assert inside.mean() > 0.9
    assert tremble(day_course(times) + noise) == pytest.approx(5, rel=0.35)


def test_forecast_takes_the_days_course_at_todays_level() -> None:
    times, ahead = hours(-6, 0), hours(0, 2)
    found = forecast(history(7, level=0.5), times, day_course(times), ahead)
    assert found is not None
    assert np.allclose(found.expected, day_course(ahead), rtol=0.05)


def test_forecast_begins_where_the_line_ends() -> None:
    times, ahead = hours(-6, 0), hours(0, 2)
    risen = day_course(times) * np.linspace(0.8, 1.4, len(times))
    found = forecast(history(7), times, risen, ahead)
    assert found is not None
    assert found.expected[0] == pytest.approx(risen[-1], rel=0.03)


def test_forecast_without_days_before_goes_on_with_the_damped_trend() -> None:
    times, ahead = hours(-2, 0), hours(0, 0.5)
    rising = 10 + (times - times[0]) / 60
    found = forecast(History(0.0, STEP, np.full(2, np.nan)), times, rising, ahead)
    assert found is not None
    assert rising[-1] < found.expected[-1] < rising[-1] + len(ahead)
    assert (found.low <= found.expected).all()
    assert (found.expected <= found.high).all()


def test_what_never_was_negative_is_not_forecast_so() -> None:
    times, ahead = hours(-2, 0), hours(0, 4)
    falling = np.linspace(50, 1, len(times))
    found = forecast(History(0.0, STEP, np.full(2, np.nan)), times, falling, ahead)
    assert found is not None
    assert found.low.min() >= 0


def test_few_points_have_no_forecast() -> None:
    times = hours(-1, 0)
    values = np.full(len(times), np.nan)
    values[-3:] = 5
    assert forecast(History(0.0, STEP, np.full(2, np.nan)), times, values, hours(0, 1)) is None
