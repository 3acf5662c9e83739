from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tocsin.sdk.red import OTHER, RedTable

KEY = ("GET", "/items/{item_id}", 200, "acme", "")


def test_requests_are_added_up_by_key() -> None:
    table = RedTable(100)
    table.record(KEY, 0.5, 10, 100)
    table.record(KEY, 1.5, -1, 50)
    table.record(("GET", "/items/{item_id}", 500, "globex", "ValueError"), 0.1, -1, 0)
    row = table.collect().rows[KEY]
    assert (row.count, row.seconds, row.request_count, row.request_bytes, row.response_bytes) == (2, 2.0, 1, 10, 150)
    assert (table.total, table.failed) == (3, 1)


def test_a_collection_begins_where_the_last_one_ended() -> None:
    table = RedTable(100)
    table.record(KEY, 0.5, -1, 0)
    first = table.collect()
    table.record(KEY, 0.5, -1, 0)
    second = table.collect()
    assert (first.end_ns, first.rows[KEY].count, second.rows[KEY].count) == (second.start_ns, 1, 1)
    assert table.total == 2


@given(st.floats(1e-7, 1e5))
def test_a_duration_falls_into_the_bucket_that_holds_it(seconds: float) -> None:
    table = RedTable(100)
    table.record(KEY, seconds, -1, 0)
    (index,) = table.collect().rows[KEY].buckets
    assert index == math.floor(math.log2(seconds) * 64)
    assert 2 ** (index / 64) <= seconds * (1 + 1e-9)
    assert seconds <= 2 ** ((index + 1) / 64) * (1 + 1e-9)


def test_a_duration_of_nothing_is_counted() -> None:
    table = RedTable(100)
    table.record(KEY, 0.0, -1, 0)
    assert table.collect().rows[KEY].count == 1


def test_past_the_limit_tenants_are_folded_and_nothing_is_lost() -> None:
    table = RedTable(10)
    for number in range(500):
        table.record(("GET", "/", 200, f"tenant-{number}", ""), 0.1, -1, 0)
    rows = table.collect().rows
    assert len(rows) == 11
    assert rows["GET", "/", 200, OTHER, ""].count == 490
    assert table.folded == 490


def test_past_the_limit_routes_are_folded_in_the_end() -> None:
    table = RedTable(10)
    for number in range(5000):
        table.record(("GET", f"/{number}", 404, "acme", ""), 0.1, -1, 0)
    rows = table.collect().rows
    assert len(rows) <= 1012
    assert sum(row.count for row in rows.values()) == 5000
    assert rows["GET", OTHER, 400, OTHER, ""].count > 0
