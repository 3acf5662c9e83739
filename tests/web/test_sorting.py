"""Tables in the order of a column, and the environment switch."""

from __future__ import annotations

import re

import pytest
from fastapi import HTTPException
from served import Served
from telemetry_rows import red, service_row

from tocsin.web.sorting import RED_COLUMNS, Sorting, in_order, read_sorting

pytestmark = pytest.mark.xdist_group("shop")

ROWS = [
    service_row("a", red(p95=0.2)),
    service_row("b", red(p95=0.9)),
    service_row("c", red(0, p95=None)),
    service_row("d", red(p95=0.5)),
]


def names(said: str) -> str:
    return "".join(row.service for row in in_order(ROWS, read_sorting(said, RED_COLUMNS), RED_COLUMNS))


def test_numbers_fall_or_rise_and_what_is_unknown_stays_last() -> None:
    assert names("p95") == "bdac"
    assert names("p95.up") == "adbc"


def test_without_a_column_the_table_keeps_its_own_order() -> None:
    assert names("") == "abcd"
    assert names(".up") == "abcd"


def test_header_offers_its_first_direction_and_then_the_other() -> None:
    assert Sorting().said_by("p95", rises_first=False) == "p95"
    assert Sorting("p95").said_by("p95", rises_first=False) == "p95.up"
    assert Sorting("p95", is_rising=True).said_by("p95", rises_first=False) == "p95"
    assert Sorting("p95").said_by("name", rises_first=True) == "name.up"


def test_header_says_to_screen_readers_how_it_sorts() -> None:
    assert [Sorting("p95", rising).word("p95") for rising in (False, True)] == ["descending", "ascending"]
    assert Sorting("p95").word("rate") == "none"


def test_unknown_column_is_refused_with_the_known_ones() -> None:
    with pytest.raises(HTTPException, match="p95"):
        read_sorting("nonsense", RED_COLUMNS)


@pytest.mark.parametrize("path", ["/", "/services", "/services/front", "/tenants", "/map"])
def test_every_header_link_of_a_table_works(shop: Served, path: str) -> None:
    html = shop.administrator.get(path).text
    links = re.findall(r'<th[^>]*aria-sort="none"><a href="([^"]+)"', html)
    assert len(links) >= 4
    for link in links:
        answer = shop.administrator.get(link.replace("&amp;", "&"))
        assert answer.status_code == 200, link
        assert re.search(r'aria-sort="(?:de|a)scending"', answer.text)


def test_rows_follow_the_chosen_column(shop: Served) -> None:
    def rows(query: str) -> list[str]:
        return re.findall(r'<tr id="s-(\w+)"', shop.administrator.get(f"/services?{query}").text)

    assert rows("sort=name.up") == ["front", "orders"]
    assert rows("sort=name") == ["orders", "front"]


def test_environment_is_a_switch_as_soon_as_there_are_two(shop: Served) -> None:
    html = shop.administrator.get("/services").text
    assert 'data-menu="environment"' in html
    assert 'href="/services?range=1h&amp;env=staging"' in html
    staging = shop.administrator.get("/services?env=staging").text
    assert 'id="s-front"' in staging
    assert 'id="s-orders"' not in staging


def test_environment_stays_with_the_reader(shop: Served) -> None:
    html = shop.administrator.get("/services/front?env=staging").text
    assert 'href="/traces?range=1h&amp;env=staging' in html
    assert "POST /orders" not in html
