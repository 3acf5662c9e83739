"""A tenant's place among the tenants in words, and what the SDK costs."""

from __future__ import annotations

import pytest
from served import Served
from telemetry_rows import red, tenant_row

from tocsin.query.sdk import SdkCost
from tocsin.query.tenants import TenantRow
from tocsin.web.ranks import failures_words, percentile_rank, waits_words
from tocsin.web.sdk_words import sdk_words

pytestmark = pytest.mark.xdist_group("shop")


def waiting(*seconds: float) -> list[TenantRow]:
    return [tenant_row(f"t{place}", red(p95=each)) for place, each in enumerate(seconds)]


def failing(*errors: int) -> list[TenantRow]:
    return [tenant_row(f"t{place}", red(errors=each)) for place, each in enumerate(errors)]


@pytest.mark.parametrize(
    ("tenant", "says"),
    [
        ("t0", "the fastest of 6 tenants"),
        ("t1", "faster than 4 of the other 5 tenants"),
        ("t2", "in the middle of 6 tenants"),
        ("t4", "slower than 4 of the other 5 tenants"),
        ("t5", "the slowest of 6 tenants"),
        ("nobody", ""),
    ],
)
def test_place_of_a_tenant_is_said_in_words(tenant: str, says: str) -> None:
    assert waits_words(waiting(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), tenant) == says


def test_place_among_many_is_said_in_per_cent() -> None:
    assert waits_words(waiting(*range(1, 102)), "t90") == "slower than 90 % of the other tenants"


def test_place_among_two_says_nothing() -> None:
    assert waits_words(waiting(0.1, 0.2), "t0") == ""


def test_place_by_failures_says_nothing_when_nobody_failed() -> None:
    assert failures_words(failing(0, 0, 0), "t0") == ""
    assert failures_words(failing(50, 0, 0), "t0") == "the most often hurt of 3 tenants"


def test_equal_tenants_are_in_the_middle() -> None:
    assert percentile_rank([1.0, 1.0, 1.0], 1.0) == 0.5
    assert waits_words(waiting(0.1, 0.1, 0.1), "t0") == "in the middle of 3 tenants"


def test_cost_of_the_sdk_is_one_sentence() -> None:
    quiet = SdkCost(2, 0.000_009, {"middleware": 0.000_009}, 0, 0)
    assert sdk_words(quiet) == "The SDK takes 9\u202fµs a request, nothing shed, nothing dropped."
    strained = SdkCost(2, None, {}, 2, 1)
    assert sdk_words(strained) == "The SDK has not measured its cost yet, child spans shed, 1 item dropped."


def test_service_page_says_what_the_monitoring_costs(shop: Served) -> None:
    html = shop.administrator.get("/services/front").text
    assert "The SDK takes 9\u202fµs a request, nothing shed, 4 items dropped." in html
    assert "The SDK" not in shop.administrator.get("/services/orders").text
    assert "The SDK" not in shop.tom.get("/services/front").text


def test_cost_of_the_sdk_is_readable_by_programs(shop: Served) -> None:
    answer = shop.administrator.get("/api/v1/services/front/sdk").json()
    assert (answer["processes"], answer["shed_level"], answer["dropped"]) == (1, 0, 4)
    assert answer["overhead_seconds"] == pytest.approx(9e-6)
    assert shop.administrator.get("/api/v1/services/orders/sdk").status_code == 404
    assert shop.tom.get("/api/v1/services/front/sdk").status_code == 404


def test_background_time_is_told_apart_from_response_time(shop: Served) -> None:
    rows = shop.administrator.get("/api/v1/services/front/endpoints").json()["endpoints"]
    orders = next(row["red"] for row in rows if row["route"] == "/orders")
    assert orders["background_seconds"] == pytest.approx(3.0)
    assert orders["mean_background_seconds"] == pytest.approx(3.0 / orders["requests"])
    html = shop.administrator.get("/services/front/endpoint?method=POST&route=/orders").text
    assert "background after the answer" in html
    assert "p90 <b>" in html
