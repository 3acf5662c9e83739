"""Which lines the saved views hold; the engine's side of the same is tests/query/test_log_view_sql.py."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from log_lines import LINES, Line
from tocsin.model.log_view_match import is_in, seconds_taken
from tocsin.model.log_views import BUILT_IN, SLOW_QUERIES


def views_of(line: Line, threshold_seconds: float | None = None) -> set[str]:
    return {
        view.id
        for view in BUILT_IN.values()
        if is_in(
            view.with_threshold(threshold_seconds), line.message, line.severity, line.logger, line.event, line.fields
        )
    }


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.message[:60] or str(line.fields)[:60])
def test_a_line_is_in_its_views_and_no_others(line: Line) -> None:
    assert views_of(line) == line.views


def test_every_view_holds_lines_and_leaves_some_out() -> None:
    for view in BUILT_IN:
        held = [line for line in LINES if view in line.views]
        assert 2 <= len(held) < len(LINES) - 2, view


def test_the_threshold_decides_what_is_slow() -> None:
    line = Line("SELECT 1", fields={"db.statement": "SELECT 1", "duration_ms": 150})
    assert "slow-queries" not in views_of(line)
    assert "slow-queries" in views_of(line, 0.1)
    assert "slow-queries" in views_of(line, 0.15)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(150, 0.15), ("150", 0.15), ("1.5s", 1.5), ("20 ms", 0.02), (0, 0.0), ("soon", None), (-3, None), ("2min", 120.0)],
)
def test_durations_are_read_with_or_without_a_unit(value: object, seconds: float | None) -> None:
    assert SLOW_QUERIES.took is not None
    told = seconds_taken(SLOW_QUERIES.took, "", "", {"query_time_ms": value})
    assert told == pytest.approx(seconds) if seconds is not None else told is None


def test_hints_are_in_every_message_that_tells_a_duration() -> None:
    for view in BUILT_IN.values():
        if view.took is None:
            continue
        for line in LINES:
            is_told = seconds_taken(replace(view.took, own={}, shared={}), line.message, line.logger, {}) is not None
            says = bool(view.took.says and re.search(view.took.says, line.message, re.IGNORECASE))
            assert not (is_told or says) or any(hint in line.message.lower() for hint in view.took.hints), line
