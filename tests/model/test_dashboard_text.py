"""Dashboards as YAML and JSON: what is written reads back, what is wrong is told with its place."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from tocsin.model.dashboard import (
    Annotation,
    Dashboard,
    Fact,
    GridPosition,
    Panel,
    PanelQuery,
    Step,
    Thresholds,
    Variable,
)
from tocsin.model.dashboard_text import plain_dashboard, read_dashboard, write_dashboard
from tocsin.model.thresholds import NAMES, steps_of, tone_of
from tocsin.model.yaml_text import TextError
from tocsin.web.dashboards import shipped

FULL_PANEL = Panel(
    7, "All: of it", "gauge", GridPosition(3, 40, 9, 5),
    (PanelQuery('a{b="c"}', "{{b}}", "Q", True, True, "1m", True),),
    "", "percent", 2, -1.5, 3.0, Thresholds(steps=(Step("ok"), Step("bad", 0.5)), is_percentage=True), "max", True,
    "two\nlines", "says: what", "a signal", "/traces?status=error", "job", True, "7d", True, True, True,
    (Fact("x", "{value} of {{b}}", "bytes", 4.5, "none", "an hour", "bad"),),
    (Annotation("evictions", "y > 0", "{{b}}", "1m", "bad", False),), "statements",
)  # fmt: skip
FULL = Dashboard(
    "full-board", "Yes", (FULL_PANEL, replace(FULL_PANEL, id=8, source="endpoints", thresholds=Thresholds("cpu"))),
    "what", ("a", "no"), (Variable("job", "query", "Job", "metrics(x)", "a,b", "x(.*)", True, True, ".*", True),),
    (Annotation("deploys", "x > 0", "{{v}}", "1m", "bad", False),), "24h", "30s", "everyone",
    (("wiki", "https://example.com/"),),
)  # fmt: skip


@pytest.mark.parametrize("board", [*shipped().values(), FULL], ids=lambda board: board.id)
def test_board_reads_back_from_yaml_and_json(board: Dashboard) -> None:
    text = write_dashboard(board)
    assert read_dashboard(text) == board
    assert write_dashboard(read_dashboard(text)) == text
    assert read_dashboard(json.dumps(plain_dashboard(board))) == board


def test_full_board_leaves_no_field_as_by_default() -> None:
    for value in (FULL, FULL_PANEL, FULL_PANEL.queries[0], FULL_PANEL.facts[0], FULL.annotations[0]):
        for field in fields(value):
            if field.name not in ("source", "description"):
                assert getattr(value, field.name) != field.default, field.name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id: a\ntitle: T\npanls: []", "line 3, panls: there is no field 'panls'; did you mean 'panels'?"),
        ("id: A b\ntitle: T", "line 1, id: 'A b' is no id: use small letters, digits, - and _"),
        ("title: T", "line 1, id: 'id' is missing; add it"),
        ("[1]", "line 1: expected a mapping with id, title, found a list"),
        ("", "expected a mapping with id, title, found nothing"),
        (
            "id: a\ntitle: T\npanels:\n  - id: 1\n    unit: sec",
            "line 5, panels[0].unit: 'sec' is unknown; did you",
        ),
        ("id: a\ntitle: T\ntags: x", "line 3, tags: expected a list, found 'x'"),
        ("id: a\ntitle: T\nlinks: [[x, 'javascript:1']]", "links[0][1]: 'javascript:1' is no address; begin it"),
        ("id: &x a\ntitle: *x", "line 2: the alias *x is not taken; write it out"),
        ("id: [", "this is no YAML"),
        ("a: " + "[" * 500 + "]" * 500, "nested too deeply"),
        ("x" * 1_000_001, "it is longer than 1000000 characters"),
    ],
)
def test_wrong_text_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(TextError) as caught:
        read_dashboard(text)
    assert any(said in str(problem) for problem in caught.value.problems), caught.value.problems


def test_everything_wrong_is_told_at_once() -> None:
    panel = "{id: 1, title: x, type: chart, at: [20, 0, 8, 8], thresholds: warm, min: low, stacked: so, decimals: 11}"
    with pytest.raises(TextError) as caught:
        read_dashboard(f"id: a\ntitle: T\npanels:\n  - {panel}\n  - {{id: 1}}")
    paths = {problem.path for problem in caught.value.problems}
    assert paths == {
        "panels[0].at", "panels[0].thresholds", "panels[0].min", "panels[0].stacked", "panels[0].decimals",
        "panels[1].title", "panels[1].type", "panels[1].at",
    }  # fmt: skip


def test_ids_and_names_are_taken_once() -> None:
    panel = "{id: 1, title: x, type: text, at: [0, 0, 8, 8]}"
    with pytest.raises(TextError, match="id 1 is taken"):
        read_dashboard(f"id: a\ntitle: T\npanels: [{panel}, {panel}]")


def test_times_and_numbers_written_bare_are_text_where_text_is_meant() -> None:
    board = read_dashboard("id: a\ntitle: 2026-11-21\ntags: [1.5, true]\n")
    assert (board.title, board.tags) == ("2026-11-21", ("1.5", "true"))


@pytest.mark.parametrize("name", NAMES)
def test_profile_has_rising_steps(name: str) -> None:
    ends = [step.from_value for step in steps_of(Thresholds(name))]
    assert ends[0] is None
    assert ends[1] < ends[2]  # type: ignore[operator]  # only the first is None


def test_values_have_the_tone_of_their_step() -> None:
    assert [tone_of(value, Thresholds("cpu")) for value in (0.5, 0.7, 0.9, None)] == ["ok", "warn", "bad", None]
    assert [tone_of(value, Thresholds("cache_hit_ratio")) for value in (0.9, 0.6, 0.1)] == ["ok", "warn", "bad"]
    half = Thresholds(steps=(Step("ok"), Step("bad", 50)), is_percentage=True)
    assert [tone_of(value, half, 0, 10) for value in (4, 6)] == ["ok", "bad"]
    assert tone_of(1.0, Thresholds()) is None
