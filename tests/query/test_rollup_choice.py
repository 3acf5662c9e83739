"""Which rollup answers."""

from __future__ import annotations

import pytest

from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query.filters import Filter
from tocsin.query.rollups import Split, rollup

HOUR_NS = 3600 * 10**9
NOW_NS = 1_795_226_400 * 10**9
ACME = Scope.of("acme")


def last(hours: int, **narrowed: str) -> Filter:
    return Filter(Window(NOW_NS - hours * HOUR_NS, NOW_NS), **narrowed)


@pytest.mark.parametrize(
    ("hours_back", "step_seconds", "table"),
    [
        (1, 10, "red_10s"),
        (1, 60, "red_1m"),
        (1, 300, "red_1m"),
        (1, 3600, "red_1h"),
        (60, 10, "red_1m"),
        (60, 30, "red_1m"),
    ],
)
def test_rollup_is_the_coarsest_that_answers_and_still_reaches(hours_back: int, step_seconds: int, table: str) -> None:
    assert rollup(PLATFORM, last(hours_back), Split.BOTH, step_seconds, now=NOW_NS / 1e9) == f"{table} AS r"


@pytest.mark.parametrize(
    ("scope", "narrowed", "split", "table"),
    [
        (PLATFORM, {}, Split.NONE, "red_1m_routes"),
        (PLATFORM, {}, Split.ROUTE, "red_1m_routes"),
        (PLATFORM, {"route": "/a"}, Split.NONE, "red_1m_routes"),
        (PLATFORM, {}, Split.TENANT, "red_1m_tenants"),
        (PLATFORM, {"route": "/a"}, Split.TENANT, "red_1m"),
        (ACME, {}, Split.NONE, "red_1m_tenants"),
        (ACME, {}, Split.ROUTE, "red_1m"),
        (ACME, {"method": "GET"}, Split.NONE, "red_1m"),
    ],
)
def test_dimension_nobody_asks_for_is_left_out(
    scope: Scope, narrowed: dict[str, str], split: Split, table: str
) -> None:
    assert rollup(scope, last(1, **narrowed), split, 60, now=NOW_NS / 1e9) == f"{table} AS r"
