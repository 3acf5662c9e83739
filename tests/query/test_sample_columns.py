"""Blocks in any order become series in the order of time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tocsin.query.promql.errors import LimitError
from tocsin.query.sample_columns import SHORT_MS, gathered, has_doubles, time_column

START_MS = 1_790_000_000_000


def block(*rows: tuple[int, int, float]) -> dict[str, np.ndarray]:
    series, after, value = zip(*rows, strict=True)
    return {
        "series": np.array(series, np.uint64),
        "after": np.array(after, np.uint32),
        "value": np.array(value, np.float64),
    }


def points(blocks: list[dict[str, np.ndarray]], max_samples: int = 100) -> dict[int, list[tuple[int, float]]]:
    found = gathered(blocks, START_MS, max_samples)  # type: ignore[arg-type]  # arrays are columns
    return {id: [(int(t) - START_MS, float(v)) for t, v in zip(*samples, strict=True)] for id, samples in found.items()}


def test_runs_of_several_parts_are_put_together_by_series_and_time() -> None:
    later = block((2**63 + 1, 30, 3.0), (2**63 + 1, 40, 4.0), (7, 30, 7.3))
    earlier = block((2**63 + 1, 10, 1.0), (2**63 + 1, 20, 2.0), (7, 10, 7.1))
    assert points([later, earlier]) == {
        7: [(10, 7.1), (30, 7.3)],
        2**63 + 1: [(10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0)],
    }


def test_runs_that_overlap_are_sorted_within_their_series_only() -> None:
    late = block((1, 10, 1.0), (1, 30, 3.0), (2, 5, 9.0))
    assert points([late, block((1, 20, 2.0)), block((2, 4, 8.0))]) == {
        1: [(10, 1.0), (20, 2.0), (30, 3.0)],
        2: [(4, 8.0), (5, 9.0)],
    }


def test_rows_in_no_order_at_all_are_sorted() -> None:
    assert points([block((1, 30, 3.0), (2, 1, 9.0), (1, 10, 1.0), (2, 0, 8.0), (1, 20, 2.0))]) == {
        1: [(10, 1.0), (20, 2.0), (30, 3.0)],
        2: [(0, 8.0), (1, 9.0)],
    }


def test_same_time_twice_is_found() -> None:
    (times, _), *_ = gathered([block((1, 10, 1.0)), block((1, 10, 2.0))], START_MS, 10).values()  # type: ignore[list-item]
    assert has_doubles(times)
    assert not has_doubles(times[:1])


def test_nothing_gives_nothing() -> None:
    assert gathered([], START_MS, 10) == {}


def test_reading_stops_at_the_limit() -> None:
    read = []

    def endless() -> Iterator[dict[str, np.ndarray]]:
        while True:
            read.append(1)
            yield block((1, len(read), 0.0), (2, len(read), 0.0))

    with pytest.raises(LimitError, match="too many samples"):
        gathered(endless(), START_MS, 10)  # type: ignore[arg-type]
    assert len(read) == 6


def test_times_of_long_ranges_take_64_bits() -> None:
    assert "toUInt32" in time_column(START_MS, START_MS + SHORT_MS - 1)
    assert "toInt64" in time_column(START_MS, START_MS + SHORT_MS)
