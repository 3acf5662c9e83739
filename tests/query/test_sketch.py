"""Percentiles out of buckets are those of the durations, within the buckets' width."""

from __future__ import annotations

import math
from collections import Counter

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.query.sketch import bucket_bounds, parse_buckets, percentiles

QUANTILES = (0.0, 0.5, 0.9, 0.95, 0.99, 1.0)


def buckets_of(seconds: list[float]) -> dict[int, int]:
    return dict(Counter(math.floor(math.log2(each) * 64) for each in seconds))


def exact(seconds: list[float]) -> list[float]:
    return [float(each) for each in numpy.percentile(seconds, [100 * q for q in QUANTILES], method="lower")]


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=300))
def test_percentiles_are_within_the_error_promised(seconds: list[float]) -> None:
    assert percentiles(buckets_of(seconds), QUANTILES) == [pytest.approx(each, rel=0.006) for each in exact(seconds)]


@pytest.mark.parametrize("shape", ["lognormal", "bimodal", "constant", "pareto"])
def test_percentiles_of_real_distributions_are_those_of_numpy(shape: str) -> None:
    random = numpy.random.default_rng(7)
    drawn = {
        "lognormal": random.lognormal(-3, 1, 20_000),
        "bimodal": numpy.concatenate([random.normal(0.01, 0.001, 15_000), random.normal(2, 0.1, 5_000)]),
        "constant": numpy.full(1000, 0.25),
        "pareto": 0.01 * (1 + random.pareto(2, 20_000)),
    }[shape]
    seconds = [float(each) for each in numpy.abs(drawn)]
    wanted = numpy.percentile(seconds, [50, 90, 95, 99])
    found = percentiles(buckets_of(seconds), (0.5, 0.9, 0.95, 0.99))
    assert found == [pytest.approx(float(each), rel=0.008) for each in wanted]


def test_nothing_has_no_percentiles() -> None:
    assert percentiles({}, (0.5, 0.99)) == [None, None]
    assert percentiles({3: 0}, (0.5,)) == [None]


def test_bucket_holds_what_falls_between_its_bounds() -> None:
    low, high = bucket_bounds(-64)
    assert (low, high) == (0.5, pytest.approx(0.5 * 2 ** (1 / 64)))


def test_buckets_are_read_as_the_engine_prints_them() -> None:
    assert parse_buckets({"-5": 2, "7": 1}) == {-5: 2, 7: 1}
    assert parse_buckets(None) == {}
