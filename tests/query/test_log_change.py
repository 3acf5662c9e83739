"""Since when there is more of something, and how often chance alone would say so."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tocsin.query.log_change import change_in


@pytest.mark.parametrize(
    ("counts", "place", "ratio"),
    [
        ([2] * 20 + [30] * 10, 20, 15.0),
        ([0] * 30 + [5] * 10, 30, math.inf),
        ([40] * 10 + [0] * 20, 10, 0.0),
        ([40] * 10 + [4] * 20, 10, 0.1),
    ],
)
def test_a_change_is_found_where_it_is(counts: list[int], place: int, ratio: float) -> None:
    found = change_in(counts)
    assert found is not None
    assert (found.place, found.ratio) == (place, pytest.approx(ratio))


@pytest.mark.parametrize(
    "counts", [[], [5], [0] * 50, [7] * 50, [10] * 25 + [15] * 25, [0, 0, 0, 1, 0, 0, 0], [0] * 40 + [60] + [0] * 40]
)
def test_no_change_is_seen_where_there_is_none_worth_a_word(counts: list[int]) -> None:
    assert change_in(counts) is None


@pytest.mark.parametrize("mean", [0.3, 3.0, 100.0])
def test_chance_is_hardly_ever_taken_for_a_change(mean: float) -> None:
    drawn = np.random.default_rng(7).poisson(mean, (400, 90))
    assert sum(change_in(counts.tolist()) is not None for counts in drawn) <= 2


def test_bursts_are_hardly_ever_taken_for_a_change() -> None:
    chance = np.random.default_rng(8)
    drawn = chance.poisson(chance.gamma(0.5, 20.0, (400, 90)))
    assert sum(change_in(counts.tolist()) is not None for counts in drawn) <= 8
