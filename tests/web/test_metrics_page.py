"""The metrics explorer: what it says, shows and tells about queries, for everybody their own tenants."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx2
import pytest
from served import Served, served

from tocsin.model.window import Window
from tocsin.query import evaluate
from tocsin.query.evaluate import series_text
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import Grid, MemorySource
from tocsin.web.metric_charts import legend_text, metric_chart, metric_table
from tocsin.web.pages.metrics import starting_query
from tocsin.web.units import guessed, written

pytestmark = pytest.mark.xdist_group("metered")

SETTINGS = QuerySettings()
WINDOW = Window(0, 600 * 10**9)


def explore(client: httpx2.Client, *queries: str, **parameters: str) -> str:
    answer = client.get("/explore", params=[*(("q", one) for one in queries), *parameters.items()])
    assert answer.status_code == 200, answer.text
    return answer.text


def charts_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(found) for found in re.findall(r"data-chart[^>]*><script[^>]*>(.*?)</script>", text)]


def source(**series: float) -> Any:
    made = MemorySource()
    for name, value in series.items():
        made.add({"__name__": "m", "name": name, "job": "x"}, [(at * 1000, value) for at in range(0, 601, 15)])
    return made


def test_graph_shows_every_series_with_its_figures(metered: Served) -> None:
    text = explore(metered.administrator, "sum by (tenant) (rate(http_requests_total[5m]))")
    (chart,) = charts_of(text)
    assert [line["label"] for line in chart["lines"]] == ["acme", "globex"]
    assert chart["format"] == "per_second"
    assert "acme is highest with 2/s" in text
    assert "samples read" in text


def test_tenant_viewer_sees_own_tenant_only(metered: Served) -> None:
    text = explore(metered.tom, "queue_depth", "http_requests_total")
    assert "acme" in text
    assert "globex" not in text
    listed = explore(metered.tom)
    assert "queue_depth" in listed
    assert "fleet_up" not in listed


def test_switches_narrow_the_series(metered: Served) -> None:
    text = explore(metered.administrator, "count by (tenant) (queue_depth)", tenant="globex", range="1h")
    assert [line["label"] for line in charts_of(text)[0]["lines"]] == ['{tenant="globex"}']
    assert "No series match" in explore(metered.administrator, "queue_depth", env="production", range="1h")


def test_browser_lists_only_what_the_environment_has(metered: Served) -> None:
    assert "queue_depth" in explore(metered.administrator, env="staging", range="1h")
    elsewhere = explore(metered.administrator, env="production", range="1h")
    assert "queue_depth" not in elsewhere
    assert "fleet_up" in elsewhere  # comes from no environment


def test_error_is_shown_at_its_place(metered: Served) -> None:
    text = explore(metered.administrator, "sum(rate(queue_depth[5m]) by (tenant)")
    assert "cannot be answered" in text
    assert re.search(r"rate\(queue_depth\[5m\]\) <mark>by</mark>", text)


def test_notes_tell_their_place(metered: Served) -> None:
    text = explore(metered.administrator, "1 +\nrate(queue_depth[5m])")
    assert "might not be a counter" in text
    assert 'data-place="9,10"' in text


def test_table_range_vector_and_text_are_shown_as_what_they_are(metered: Served) -> None:
    assert "<th>tenant</th>" in explore(metered.administrator, "queue_depth", show="table")
    assert "<th>tenant</th>" in explore(metered.administrator, "queue_depth[1m]")
    assert "<pre>hello</pre>" in explore(metered.administrator, '"hello"')


def test_queries_are_kept_apart_from_markup(metered: Served) -> None:
    text = explore(metered.administrator, 'queue_depth{a="</textarea><script>alert(1)</script>"}')
    assert "<script>alert(1)" not in text


def test_browser_lists_metrics_and_finds_them(metered: Served) -> None:
    text = explore(metered.administrator)
    assert re.search(r"\d+ metrics with [\d,]+ series", text)
    assert "remote_write" not in text
    assert "Requests." in text
    assert "fleet_up" not in explore(metered.administrator, find="queue")


def test_empty_store_tells_how_to_send(tmp_path: Any) -> None:
    with served(tmp_path, with_telemetry=False) as site:
        text = explore(site.administrator)
    assert "remote_write" in text


def test_largest_series_are_drawn_and_the_rest_is_counted() -> None:
    grid = evaluate.grid_of(WINDOW, 60_000)
    done = evaluate.over(source(a=1.0, b=3.0, c=2.0), "m", grid, SETTINGS)
    drawn = metric_chart("x", "x", [(done, "")], WINDOW, most=2)
    assert [row.label for row in drawn.legend] == ["b", "c"]
    assert drawn.left_out == 1
    assert drawn.shared == 'm{job="x"}'


def test_gaps_are_none_and_what_is_not_finite_too() -> None:
    made = MemorySource()
    made.add({"__name__": "m"}, [(0, 1.0), (60_000, float("nan")), (120_000, float("inf")), (600_000, 2.0)])
    grid = evaluate.grid_of(WINDOW, 60_000)
    values = evaluate.aligned(evaluate.over(made, "m", grid, QuerySettings(lookback_seconds=60)).series[0], grid)
    assert values == [1.0, *[None] * 9, 2.0]


def test_table_is_largest_first_unless_the_query_sorts() -> None:
    made = source(a=1.0, b=3.0)
    rows = metric_table(evaluate.at(made, "m", 60_000, SETTINGS)).rows
    assert [row.value for row in rows] == [3.0, 1.0]
    rows = metric_table(evaluate.at(made, "sort(m)", 60_000, SETTINGS)).rows
    assert [row.value for row in rows] == [1.0, 3.0]


def test_series_and_legends_are_named_from_labels() -> None:
    assert series_text({"__name__": "up", "job": 'a"b'}) == 'up{job="a\\"b"}'
    assert legend_text("{{ method }} on {{host}}", {"method": "GET"}) == "GET on "


@pytest.mark.parametrize(
    ("name", "type", "query"),
    [
        ("a_total", "", "sum(rate(a_total[5m]))"),
        ("a_bucket", "histogram", "histogram_quantile(0.95, sum by (le) (rate(a_bucket[5m])))"),
        ("depth", "gauge", "depth"),
        ("http.size", "gauge", '{"http.size"}'),
    ],
)
def test_metric_has_a_query_to_begin_with(name: str, type: str, query: str) -> None:
    assert starting_query(name, type) == query


@pytest.mark.parametrize(
    ("query", "unit"),
    [
        ("rate(a_total[5m])", "per_second"),
        ("histogram_quantile(0.9, rate(a_seconds_bucket[5m]))", "seconds"),
        ("node_memory_bytes", "bytes"),
        ("rate(sent_bytes[5m])", "bytes_per_second"),
        ("a_total / b_total", ""),
        ("sum(", ""),
    ],
)
def test_unit_is_told_by_names(query: str, unit: str) -> None:
    assert guessed(query) == unit


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.418, "percent", "41.8\u202f%"),
        (41.8, "percent100", "41.8\u202f%"),
        (-2e6, "bytes", "−2\u202fMB"),
        (1.0, "up", "up"),
        (250.0, "milliseconds", "250\u202fms"),
        (float("nan"), "", "–"),
        (float("inf"), "", "∞"),
    ],
)
def test_values_are_written_in_their_unit(value: float, unit: str, text: str) -> None:
    assert written(value, unit) == text


def test_another_time_is_drawn_beside_in_the_same_colours() -> None:
    made = MemorySource()
    for name, base in (("a", 1.0), ("b", 2.0)):
        samples = [(at * 1000, base) for at in range(0, 601, 15)]
        samples += [(86_400_000 + at * 1000, base * 10) for at in range(0, 601, 15)]
        made.add({"__name__": "m", "name": name}, samples)
    window = Window(86_400 * 10**9, 87_000 * 10**9)
    grid = evaluate.grid_of(window, 60_000)
    before = Grid(grid.start_ms - 86_400_000, grid.end_ms - 86_400_000, grid.step_ms)
    now, then = (evaluate.over(made, "m", one, SETTINGS) for one in (grid, before))
    drawn = metric_chart("x", "x", [(now, "")], window, beside=[(then, "")], beside_words="a day before")
    assert [line.label for line in drawn.chart.lines] == ["a", "b", "a, a day before", "b, a day before"]
    assert [line.colour for line in drawn.chart.lines] == ["c1", "c2", "c1", "c2"]
    assert drawn.chart.lines[2].values[5] == 1.0
    assert drawn.chart.lines[2].is_dashed
    stacked = metric_chart(
        "x", "x", [(now, "")], window, beside=[(then, "")], beside_words="a day before", is_stacked=True
    )
    assert [line.label for line in stacked.chart.lines] == ["a", "b", "all, a day before"]
    assert stacked.chart.lines[2].values[5] == 3.0
    assert stacked.chart.lines[2].is_apart


def test_page_offers_times_to_compare_with(metered: Served) -> None:
    text = explore(metered.administrator, "queue_depth", beside="7d")
    assert re.search(r'aria-current="true">a week before', text)
    assert "beside" not in explore(metered.administrator, "queue_depth", show="table")
