"""What charts hand to the browser."""

from __future__ import annotations

from datetime import UTC

from telemetry_rows import red, summary, tenant_row

from tocsin.model.window import Window
from tocsin.query.red import Heatmap, RedSeries
from tocsin.web import tiles
from tocsin.web.charts import HeatmapChart, red_charts, settle, spark
from tocsin.web.scatter import scatter

START = 1_000_000
WINDOW = Window(START * 10**9, (START + 300) * 10**9)


def series(rates: list[float], step: int = 60) -> RedSeries:
    times = [START + place * step for place in range(len(rates))]
    waits: list[float | None] = [0.2 if rate else None for rate in rates]
    return RedSeries(step, times, rates, [0.0] * len(rates), [0.0] * len(rates), waits, waits, waits)


def test_unfinished_last_step_is_brought_to_what_it_would_be() -> None:
    half = Window(START * 10**9, (START + 270) * 10**9)
    assert settle([10, 10, 10, 10, 5], series([1] * 5), half) == [10, 10, 10, 10, 10]


def test_barely_begun_step_is_left_out() -> None:
    begun = Window(START * 10**9, (START + 245) * 10**9)
    assert settle([10, 10, 10, 10, 1], series([1] * 5), begun)[-1] is None


def test_finished_steps_stay_as_they_are() -> None:
    assert settle([1, 2, 3, 4, 5], series([1] * 5), WINDOW) == [1, 2, 3, 4, 5]


def test_charts_of_a_page_share_one_time_axis() -> None:
    drawn = [chart.data() for chart in red_charts(series([1, 2, 3, 4, 5]), WINDOW)]
    assert {(each["start"], each["end"]) for each in drawn} == {(START, START + 300)}
    assert all(each["times"] == drawn[0]["times"] for each in drawn)


def test_chart_without_traffic_is_empty() -> None:
    assert all(chart.is_empty for chart in red_charts(series([0, 0, 0, 0, 0]), WINDOW))


def test_platform_stands_beside_a_tenant_as_a_dashed_line() -> None:
    chart = red_charts(series([1, 2]), WINDOW, series([9, 9]), "acme")[2]
    assert [line["label"] for line in chart.data()["lines"] if line["dashed"]] == ["platform p95"]


def test_heatmap_leaves_out_buckets_nobody_used() -> None:
    heatmap = Heatmap([START], 60, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2], [[0, 0, 5, 0, 0]])
    drawn = HeatmapChart(heatmap, WINDOW, "/traces").data()
    assert drawn["bounds"] == [0.2, 0.4, 0.8, 1.6]
    assert drawn["counts"] == [[0, 5, 0]]


def test_heatmap_without_requests_is_empty() -> None:
    chart = HeatmapChart(Heatmap([START], 60, [0.1, 0.2], [[0]]), WINDOW, "/traces")
    assert chart.is_empty
    assert chart.data()["counts"] == [[0]]


def test_spark_needs_two_points_and_something_to_show() -> None:
    assert spark([1]) == ("", "")
    assert spark([0, 0, 0]) == ("", "")
    line, area = spark([1, None, 2])
    assert line.startswith("M0.0,")
    assert area.endswith("Z")


def test_tiles_take_a_colour_only_when_it_means_something() -> None:
    quiet = tiles.red_tiles(red(1000, 1), red(1000, 1), series([1, 2, 3, 4, 5]), WINDOW, "the hour before")
    assert [tile.tone for tile in quiet] == ["", "", ""]
    loud = tiles.red_tiles(red(1000, 60, 0.9), red(1000, 1, 0.3), series([1, 2, 3, 4, 5]), WINDOW, "the hour before")
    assert [tile.tone for tile in loud] == ["", "bad", "bad"]
    assert loud[1].note == "60× the hour before"


def test_rate_is_that_of_the_last_steps() -> None:
    assert tiles.red_tiles(red(10), None, series([0, 0, 9, 9, 9]), WINDOW, "before")[0].value == "9"


def test_tenants_tile_counts_the_hurt_among_all() -> None:
    tile = tiles.tenants_tile([tenant_row("acme"), tenant_row("globex"), tenant_row("")], 1, "/tenants")
    assert (tile.value, tile.unit, tile.tone) == ("1", "of 2", "bad")


def test_scatter_puts_slow_traces_above_fast_ones_and_failures_on_top() -> None:
    found = [summary("a", True, took_ms=10), summary("b", took_ms=4000), summary("c", took_ms=100)]
    drawn = scatter(found, UTC)
    assert drawn is not None
    place = {dot.trace_id: dot.y for dot in drawn.dots}
    assert place["b"] < place["c"] < place["a"]
    assert drawn.dots[-1].is_error
    assert all(0 <= dot.x <= 100 and 0 <= dot.y <= 100 for dot in drawn.dots)


def test_scatter_of_two_traces_is_not_drawn() -> None:
    assert scatter([summary(), summary()], UTC) is None
