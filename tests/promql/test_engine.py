"""The engine from outside: results, limits, cancellation, pushdown, and what a panel asks of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from tocsin.query.promql import (
    EvaluationError,
    Grid,
    Hints,
    LimitError,
    Matcher,
    MemorySource,
    Point,
    QueryCanceledError,
    QuerySettings,
    QueryTimeoutError,
    Series,
    format_float,
    instant,
    range_query,
)
from tocsin.query.promql.histogram import NativeHistogram
from tocsin.query.promql.query import Query

STEP = 15_000


def shop(series: int = 3, samples: int = 241) -> MemorySource:
    """Counters of a shop, one a tenant, that grow by 15·(n+1) every 15 seconds."""
    source = MemorySource()
    tenants = ["acme", "globex", *(f"tenant-{number}" for number in range(2, series))]
    for number, tenant in enumerate(tenants[:series]):
        labels = {"__name__": "http_requests_total", "tenant": tenant}
        source.add(labels, [(at * STEP, 15.0 * (number + 1) * at) for at in range(samples)])
    return source


def test_a_vector_has_one_point_a_series() -> None:
    result = instant(shop(), 'rate(http_requests_total{tenant=~"acme|globex"}[5m])', 600_000)
    assert result.type == "vector"
    assert {series.labels["tenant"]: series.points for series in result.series} == {
        "acme": [Point(600_000, 1.0)],
        "globex": [Point(600_000, 2.0)],
    }
    assert result.statistics.series == 2
    assert result.statistics.samples == 2 * 20
    assert result.statistics.seconds > 0


def test_a_matrix_is_ordered_by_labels_and_leaves_out_what_is_absent() -> None:
    result = range_query(shop(), "http_requests_total", 3_540_000, 4_020_000, 60_000)
    assert result.type == "matrix"
    assert [series.labels["tenant"] for series in result.series] == ["acme", "globex", "tenant-2"]
    # The last sample is at 3,600,000; the lookback of five minutes does not include its own start.
    assert result.series[0].times.tolist() == [3_540_000, 3_600_000, 3_660_000, 3_720_000, 3_780_000, 3_840_000]


def test_scalars_and_strings_are_answered() -> None:
    scalar = instant(shop(), "1 + time()", 1500)
    assert scalar.type == "scalar"
    assert scalar.data == Point(1500, 2.5)
    text = instant(shop(), '"acme"', 0)
    assert (text.type, text.data) == ("string", "acme")
    with pytest.raises(TypeError):
        _ = text.series


def test_a_range_vector_is_answered_at_one_time_only() -> None:
    result = instant(shop(1), "http_requests_total[45s]", 60_000)
    assert result.type == "matrix"
    assert [point.time_ms for point in result.series[0].points] == [30_000, 45_000, 60_000]
    with pytest.raises(EvaluationError, match='invalid expression type "range vector" for range query'):
        range_query(shop(1), "http_requests_total[45s]", 0, 60_000, 15_000)


def test_infinity_nan_and_small_numbers_print_as_prometheus_api_prints_them() -> None:
    printed = [format_float(value) for value in (math.nan, math.inf, -math.inf, 1e21, 1e-7, 0.1, -0.0, 3.0, 5e-324)]
    assert printed[:8] == ["NaN", "+Inf", "-Inf", "1000000000000000000000", "0.0000001", "0.1", "-0", "3"]
    assert printed[8] == "0." + "0" * 323 + "5"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (QuerySettings(max_samples=100), "query processing would load too many samples into memory in query execution"),
        (QuerySettings(max_series=2), "a selector matches 3 series, more than 2"),
        (QuerySettings(max_points=10), "exceeded maximum resolution of 10 points per timeseries"),
    ],
)
def test_a_query_beyond_a_bound_is_refused(settings: QuerySettings, message: str) -> None:
    with pytest.raises(LimitError, match=message):
        range_query(shop(), "rate(http_requests_total[5m])", 0, 3_600_000, 60_000, settings=settings)


def test_a_subquery_counts_the_samples_that_it_makes() -> None:
    with pytest.raises(LimitError):
        instant(shop(), "max_over_time(http_requests_total[1h:1ms])", 3_600_000, QuerySettings(max_samples=10_000))


def test_a_step_of_zero_is_refused() -> None:
    with pytest.raises(LimitError, match="zero or negative query resolution step widths"):
        range_query(shop(), "up", 0, 1, 0)


def test_a_canceled_query_stops_between_nodes() -> None:
    asked: list[bool] = []

    def is_canceled() -> bool:
        asked.append(True)
        return len(asked) > 2

    with pytest.raises(QueryCanceledError, match="query was canceled in query execution"):
        range_query(shop(), "sum(rate(http_requests_total[5m])) / 2", 0, 600_000, 60_000, is_canceled=is_canceled)


def test_a_query_that_runs_too_long_stops() -> None:
    now = iter(range(100))
    query = Query(shop(), "", Grid(0, 0, 1), QuerySettings(timeout_seconds=2), clock=lambda: float(next(now)))
    query.check()
    query.check()
    with pytest.raises(QueryTimeoutError, match="query timed out in query execution"):
        query.check()


def test_a_source_learns_what_the_query_does_with_its_series() -> None:
    class Noting(MemorySource):
        asked: list[tuple[int, int, Hints]] = []  # noqa: RUF012 - of this test alone

        def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: Hints) -> list[Series]:
            self.asked.append((start_ms, end_ms, hints))
            return super().select(matchers, start_ms, end_ms, hints)

    source = Noting(shop().series)
    range_query(
        source, "sum by (tenant) (http_requests_total) + rate(http_requests_total[5m])", 600_000, 900_000, 60_000
    )
    (start, end, summed), (_, _, rated) = source.asked
    assert (start, end) == (300_000, 900_000)
    assert summed == Hints(300_000, 900_000, 60_000, 0, "sum", ("tenant",), by=True, summed_by=("tenant",))
    assert (rated.function, rated.range_ms, rated.summed_by) == ("rate", 300_000, None)


def test_positions_of_notes_point_into_the_query() -> None:
    result = instant(shop(), "1 +\n  quantile_over_time(2, http_requests_total[5m])", 600_000)
    assert result.warnings == ["PromQL warning: quantile value should be between 0 and 1, got 2 (2:22)"]


def test_one_query_over_many_series_equals_many_queries_over_one() -> None:
    source = shop(40)
    rng = np.random.default_rng(7)
    for series in source.series:
        series.values[:] = np.cumsum(rng.integers(0, 9, len(series.values)))
        series.values[120:] -= series.values[120] * (rng.random() < 0.5)
    for query in (
        "rate(http_requests_total[3m])",
        "stddev_over_time(http_requests_total[3m])",
        "deriv(http_requests_total[2m])",
    ):
        together = range_query(source, query, 0, 3_600_000, 37_000)
        for at, series in enumerate(together.series):
            alone = range_query(MemorySource([source.series[at]]), query, 0, 3_600_000, 37_000)
            found = next(one for one in together.series if one.labels == alone.series[0].labels)
            np.testing.assert_allclose(found.values, alone.series[0].values, rtol=1e-12)
            assert len(series.times) > 0


def test_the_deepest_query_that_is_parsed_is_evaluated() -> None:
    for query in (
        "abs(" * 49 + "vector(-1)" + ")" * 49,
        "-" * 98 + "1",
        "+".join(["1"] * 100),
        "(" * 98 + "1" + ")" * 98,
    ):
        assert instant(MemorySource(), query, 0).data is not None


def test_buckets_of_a_native_histogram_grow_like_floats() -> None:
    rng = np.random.default_rng(3)
    counts = np.cumsum(rng.integers(0, 5, (60, 4)), axis=0).astype(float)
    counts[30:] -= counts[30]  # a reset
    times = np.arange(60, dtype=np.int64) * 10_000
    samples = [
        NativeHistogram(0, row.sum(), row.sum(), positive=dict(enumerate(row.tolist(), start=1))) for row in counts
    ]
    nothing = np.full(60, np.nan)
    source = MemorySource([Series({"__name__": "h"}, times, nothing, samples)])
    for at in range(4):
        source.series.append(Series({"__name__": "b", "at": str(at)}, times, counts[:, at]))
    source.series.append(Series({"__name__": "n"}, times, counts.sum(axis=1)))
    count = range_query(source, "histogram_count(rate(h[1m]))", 0, 600_000, 7_000).series[0]
    plain = range_query(source, "rate(n[1m])", 0, 600_000, 7_000).series[0]
    np.testing.assert_allclose(count.values, plain.values, rtol=1e-12)
    found = range_query(source, "rate(h[1m])", 400_000, 590_000, 7_000).series[0]
    assert found.histograms is not None
    ratio = range_query(source, "rate(b[1m]) / scalar(rate(n[1m]))", 400_000, 590_000, 7_000)
    for at, series in enumerate(ratio.series):
        of_histogram = [held.positive.get(at + 1, 0.0) / held.count for held in found.histograms if held is not None]
        assert len(of_histogram) == len(series.values)


def test_a_hint_of_a_reset_is_believed_over_the_numbers() -> None:
    steady = [NativeHistogram(count=count, sum=count, positive={0: count}) for count in (1.0, 2.0, 3.0)]
    steady[2].hint = "reset"
    times = np.array([0, 60_000, 120_000], dtype=np.int64)
    source = MemorySource([Series({"__name__": "h"}, times, np.full(3, np.nan), steady)])
    # 1 → 2, then anew up to 3: four observations, and no more before the first sample than it had.
    assert instant(source, "histogram_count(increase(h[121s]))", 120_000).series[0].values[0] == pytest.approx(
        4.0, rel=0.3
    )
    assert instant(source, "resets(h[3m])", 120_000).series[0].values[0] == 1
