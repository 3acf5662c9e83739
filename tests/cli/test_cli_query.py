"""`tocsin query`: tables, sparklines, errors at their place."""

from __future__ import annotations

import json
import math

import pytest
from running import Run
from typer.testing import CliRunner

from tocsin.cli.commands import app
from tocsin.cli.query import moment, sparkline

pytestmark = pytest.mark.xdist_group("commands")


def test_query_prints_a_table_largest_first(run: Run) -> None:
    result = run("query", "sum by (tenant) (rate(http_requests_total[5m]))")
    lines = result.output.split("\n")
    assert result.exit_code == 0
    assert lines[0].split() == ["tenant", "value"]
    assert [line.split()[0] for line in lines[1:3]] == ["acme", "globex"]


def test_query_over_time_prints_lines(run: Run) -> None:
    result = run("query", "queue_depth", "--start", "30m", "--tenant", "acme")
    assert 'queue_depth{environment="staging", job="shop", tenant="acme"}' in result.output
    assert "▁" in result.output
    assert "globex" not in result.output


def test_scalar_text_and_nothing_are_printed(run: Run) -> None:
    assert run("query", "1 + 1").output == "2\n"
    assert run("query", '"a[b]c"').output == "a[b]c\n"
    assert run("query", "nothing_of_it").output == "no series match\n"


def test_json_is_what_the_api_says(run: Run) -> None:
    said = json.loads(run("query", "fleet_up", "--json").output)
    assert said["data"]["result"][0]["metric"]["__name__"] == "fleet_up"


def test_error_points_to_its_place(run: Run) -> None:
    result = run("query", "sum(fleet_up) +")
    assert result.exit_code == 2
    assert result.output.rstrip().endswith("  sum(fleet_up) +\n                 ^")


def test_notes_go_beside_the_table(run: Run) -> None:
    assert "might not be a counter" in run("query", "rate(queue_depth[5m])").stderr


def test_refusals_and_absence_are_told(run: Run) -> None:
    assert "no bearer token" in run("query", "1", token="").output
    assert "cannot read time 'noon'" in run("query", "1", "--end", "noon").output
    gone = CliRunner().invoke(app, ["query", "1", "--url", "http://127.0.0.1:9", "--data", "/nowhere"])
    assert gone.exit_code == 2
    assert "cannot reach http://127.0.0.1:9" in gone.output


@pytest.mark.parametrize(
    ("text", "seconds"), [("now", 1000.0), ("10m", 400.0), ("-10m", 400.0), ("12.5", 12.5), ("1970-01-01T00:01Z", 60.0)]
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert moment(text, 1000.0) == seconds


def test_sparkline_reaches_from_least_to_largest() -> None:
    assert sparkline([0, 1, math.nan, 7, 8]) == "▁▂ ██"
    assert sparkline([5, 5]) == "▄▄"
    assert sparkline([math.nan]) == ""
    assert len(sparkline(list(range(1000)))) == 60
