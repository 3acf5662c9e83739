"""Results as Prometheus' JSON: what Go prints, whichever way it was made."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tocsin.query.promql.engine import Result, ResultSeries, instant, range_query
from tocsin.query.promql.histogram import NativeHistogram
from tocsin.query.promql.query import Statistics
from tocsin.query.promql.source import MemorySource
from tocsin.web.api.prometheus_json import encoded, sample_pairs, value_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-12.5, "-12.5"),
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (9.99e-7, "9.99e-07"),
        (1.5e-10, "1.5e-10"),
        (5e-324, "5e-324"),
        (1e16, "10000000000000000"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e21, "1e+21"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_value_is_printed_as_go_prints_it(value: float, text: str) -> None:
    assert value_text(value) == text
    assert json.loads(sample_pairs(np.array([1500]), np.array([value]))) == [[1.5, text]]


def test_arrays_are_printed_as_single_values_are() -> None:
    random = np.random.default_rng(7)
    for scale in (1e-30, 1e-5, 1.0, 1e3, 1e15, 1e25):
        values = random.normal(size=200) * scale
        values[:20] = np.round(values[:20])
        values[20:24] = [0, -0.0, math.nan, 10.0]
        times = np.arange(1_700_000_000_000, 1_700_000_000_000 + 200 * 333, 333)
        pairs = zip(times.tolist(), values.tolist(), strict=True)
        expected = [[time / 1000, value_text(value)] for time, value in pairs]
        assert json.loads(sample_pairs(times, values)) == expected


def test_whole_seconds_have_no_decimals() -> None:
    text = sample_pairs(np.array([60_000, 120_500]), np.array([1.0, 2.05]))
    assert text == b'[[60,"1"],[120.5,"2.05"]]'


def test_histogram_has_its_buckets_with_their_ends() -> None:
    histogram = NativeHistogram(0, 6.0, 9.5, 0.001, 1.0, {1: 2.0}, {1: 3.0})
    series = ResultSeries({"a": "b"}, np.array([1000]), np.array([0.0]), [histogram])
    said = json.loads(b"{" + b"".join(encoded(Result("vector", [series], [], [], Statistics()), 1000)) + b"}")
    assert said["result"][0]["histogram"] == [
        1,
        {
            "count": "6",
            "sum": "9.5",
            "buckets": [[1, "-2", "-1", "3"], [3, "-0.001", "0.001", "1"], [0, "1", "2", "2"]],
        },
    ]


def test_scalar_string_and_matrix_have_their_shapes() -> None:
    source = MemorySource()
    source.add({"__name__": "up", "job": "b"}, [(0, 1.0), (60_000, 0.5)])

    def said(result: Result) -> dict[str, object]:
        answer: dict[str, object] = json.loads(b"{" + b"".join(encoded(result, 60_000)) + b"}")
        return answer

    assert said(instant(source, "1 + 1", 60_000)) == {"resultType": "scalar", "result": [60, "2"]}
    assert said(instant(source, '"text"', 60_000)) == {"resultType": "string", "result": [60, "text"]}
    matrix = {"metric": {"__name__": "up", "job": "b"}, "values": [[0, "1"], [60, "0.5"]]}
    assert said(range_query(source, "up", 0, 60_000, 60_000)) == {"resultType": "matrix", "result": [matrix]}
    assert said(instant(source, "up[2m]", 60_000)) == {"resultType": "matrix", "result": [matrix]}
