"""The tests behind release comparison, on synthetic requests: how often they cry wolf, and what they find."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from tocsin.query.significance import (
    ALPHA,
    Lot,
    Verdict,
    benjamini_hochberg,
    error_p_value,
    error_verdict,
    fisher,
    latency_verdict,
    middle_p_value,
    shift_of,
    tail_p_value,
)

PAIRS = 1000


def lot(generator: np.random.Generator, requests: int, factor: float = 1.0, slow_share: float = 0.0) -> Lot:
    """Log-normal durations around 80 ms with a slow part, as products have them; 2 % fail."""
    seconds = generator.lognormal(math.log(0.08), 0.6, requests) * factor
    seconds[generator.random(requests) < slow_share] *= 6
    buckets = Counter(np.floor(np.log2(seconds) * 64).astype(int).tolist())
    return Lot(requests, int(generator.binomial(requests, 0.02)), buckets)


def test_equal_releases_are_called_different_no_more_often_than_allowed() -> None:
    generator = np.random.default_rng(7)
    called = {0.05: 0, ALPHA: 0}
    failed = {0.05: 0, ALPHA: 0}
    for _ in range(PAIRS):
        before, after = lot(generator, int(generator.integers(30, 900))), lot(generator, 400)
        for alpha in called:
            called[alpha] += shift_of(before, after).p < alpha
            failed[alpha] += error_p_value(before, after) < alpha
    # Three standard errors above what is allowed would be chance once in seven hundred runs.
    for alpha in called:
        limit = PAIRS * alpha + 3 * math.sqrt(PAIRS * alpha * (1 - alpha))
        assert called[alpha] <= limit
        assert failed[alpha] <= limit
    # The shift that a verdict asks for beside certainty leaves next to nothing.
    assert called[0.05] / PAIRS <= 0.05


def test_forty_percent_slower_is_found_in_some_hundred_requests() -> None:
    generator = np.random.default_rng(11)
    found = 0
    for _ in range(200):
        shift = shift_of(lot(generator, 200), lot(generator, 200, factor=1.4))
        found += latency_verdict(shift, shift.p) is Verdict.WORSE
    assert found / 200 >= 0.95
    faster = shift_of(lot(generator, 200, factor=1.4), lot(generator, 200))
    assert latency_verdict(faster, faster.p) is Verdict.BETTER


def test_a_slow_few_are_found_though_the_middle_stays() -> None:
    generator = np.random.default_rng(13)
    found = [shift_of(lot(generator, 600), lot(generator, 600, slow_share=0.08)) for _ in range(50)]
    assert sum(latency_verdict(shift, shift.p) is Verdict.WORSE for shift in found) >= 48
    assert all(shift.largest_ratio > 1.3 for shift in found)


def test_a_certain_difference_that_nobody_feels_is_none() -> None:
    generator = np.random.default_rng(17)
    shift = shift_of(lot(generator, 200_000), lot(generator, 200_000, factor=1.03))
    assert shift.p < 1e-6
    assert latency_verdict(shift, shift.p) is Verdict.SAME


def test_fishers_test_gives_the_published_value() -> None:
    # The lady tasting tea (Fisher, 1935), two-sided: 34/70.
    assert fisher(3, 4, 1, 4) == pytest.approx(34 / 70)
    assert fisher(0, 10, 0, 10) == 1.0
    assert fisher(0, 0, 3, 10) == 1.0
    exact, large = fisher(4800, 90_000, 5300, 90_000), fisher(9600, 180_000, 10_600, 180_000)
    assert 0 < large < exact < 1e-5


def test_mann_whitney_on_buckets_agrees_with_a_permutation_test() -> None:
    generator = np.random.default_rng(19)
    before, after = lot(generator, 60), lot(generator, 60, factor=1.25)
    values = np.array([*Counter(before.buckets).elements(), *Counter(after.buckets).elements()])

    def distance(order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
        mine, theirs = values[order[:60]], values[order[60:]]
        above = (mine[:, None] > theirs[None, :]).sum() + 0.5 * (mine[:, None] == theirs[None, :]).sum()
        return abs(float(above) - 1800)

    observed = distance(np.arange(120))
    share = np.mean([distance(generator.permutation(120)) >= observed for _ in range(2000)])
    assert middle_p_value(before.buckets, after.buckets) == pytest.approx(share, abs=0.02)


def test_empty_and_equal_lots_differ_in_nothing() -> None:
    assert middle_p_value({}, {3: 5}) == tail_p_value({}, {3: 5}) == 1.0
    assert middle_p_value({3: 500}, {3: 500}) == tail_p_value({3: 500}, {3: 500}) == 1.0


def test_benjamini_hochberg_gives_the_published_values() -> None:
    # Benjamini and Hochberg (1995), example of section 3.2: at 0.05 the first four of fifteen are rejected.
    published = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
        0.7590, 1.0,
    ]  # fmt: skip
    corrected = benjamini_hochberg(published[::-1])[::-1]
    assert [q < 0.05 for q in corrected] == [True] * 4 + [False] * 11
    assert corrected[0] == pytest.approx(0.0015)
    assert benjamini_hochberg([]) == []


def test_many_equal_endpoints_stay_quiet_together() -> None:
    generator = np.random.default_rng(23)
    loud = 0
    for _ in range(30):
        found = [shift_of(lot(generator, 300), lot(generator, 300)) for _ in range(40)]
        corrected = benjamini_hochberg([shift.p for shift in found])
        loud += any(latency_verdict(s, q) is not Verdict.SAME for s, q in zip(found, corrected, strict=True))
    assert loud <= 3


def test_error_ratio_must_move_for_certain_and_noticeably() -> None:
    assert error_verdict(Lot(1000, 5, {}), Lot(1000, 40, {}), 1e-6) is Verdict.WORSE
    assert error_verdict(Lot(1000, 40, {}), Lot(1000, 5, {}), 1e-6) is Verdict.BETTER
    assert error_verdict(Lot(10**6, 500, {}), Lot(10**6, 900, {}), 1e-9) is Verdict.SAME
    assert error_verdict(Lot(40, 0, {}), Lot(40, 2, {}), 0.5) is Verdict.SAME
