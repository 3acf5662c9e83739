"""The verdict over a corpus of memory curves drawn by chance: which leak, and how often it is wrong."""

from __future__ import annotations

import random

import pytest

from sdk.memory_curves import HARMLESS, MB, STEP_SECONDS, Curve, leak, warm_up
from tocsin.sdk.leak import Floor, Verdict, kendall, theil_sen, windows

CURVES, HOURS = 16, 6.0
WINDOW_SECONDS = 1800.0


def first_verdict(curve: Curve, seed: int, hours: float = HOURS) -> tuple[float, Verdict] | None:
    """When the curve is called a leak for the first time, asked at every opportunity."""
    floor = Floor(windows(WINDOW_SECONDS))
    for place, held in enumerate(curve(random.Random(seed), hours)):
        if floor.add(place * STEP_SECONDS, held) and (found := floor.verdict()).is_leak:
            return place * STEP_SECONDS, found
    return None


def test_of_a_hundred_harmless_curves_fewer_than_two_are_called_a_leak() -> None:
    wrong = {
        curve.__name__: sum(first_verdict(curve, seed) is not None for seed in range(CURVES)) for curve in HARMLESS
    }
    assert sum(wrong.values()) / (CURVES * len(HARMLESS)) < 0.02, wrong


def test_every_leak_of_forty_megabytes_an_hour_is_found_within_an_hour() -> None:
    for seed in range(CURVES):
        found = first_verdict(leak, seed, 1.2)
        assert found is not None, seed
        assert found[0] <= 3600


def test_a_slow_leak_is_found_in_the_longer_window_and_measured() -> None:
    for seed in range(6):
        found = first_verdict(lambda chance, hours: leak(chance, hours, 20), seed)
        assert found is not None, seed
        assert 15 <= found[1].bytes_per_hour / MB <= 25
        assert found[1].window_seconds > WINDOW_SECONDS


def test_nothing_is_said_before_the_window_is_full() -> None:
    floor = Floor(windows(WINDOW_SECONDS))
    for place in range(int(WINDOW_SECONDS / STEP_SECONDS) - 10):
        floor.add(place * STEP_SECONDS, 100 * MB + place * MB)
    assert not floor.verdict().is_leak


def test_a_leak_after_a_warm_up_is_found_once_it_outweighs_it() -> None:
    chance = random.Random(1)
    both = (a + b for a, b in zip(warm_up(chance, 8), leak(chance, 8, 120), strict=True))
    floor, found = Floor(windows(WINDOW_SECONDS)), False
    for place, held in enumerate(both):
        found = (floor.add(place * STEP_SECONDS, held) and floor.verdict().is_leak) or found
    assert found


def test_the_slope_is_that_of_most_pairs_and_the_trend_is_counted_in_standard_deviations() -> None:
    assert theil_sen([0, 1, 2, 3, 4], [0, 2, 4, 99, 8]) == pytest.approx(2)
    assert kendall([1, 2, 3, 4, 5, 6, 7, 8]) == pytest.approx(28 / (8 * 7 * 21 / 18) ** 0.5)
    assert kendall([1, 1, 1, 1]) == 0
