"""The scripts beside this file, and any in the folder that PROMQL_SCRIPTS names."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from promql.script import SETTINGS, run

OURS = sorted((Path(__file__).parent / "scripts").glob("*.test"))
FOLDER = os.environ.get("PROMQL_SCRIPTS")
THEIRS = sorted(Path(FOLDER).rglob("*.test")) if FOLDER else []


@pytest.mark.parametrize("path", OURS + THEIRS, ids=lambda path: path.name)
def test_queries_of_a_script_answer_as_it_says(path: Path) -> None:
    outcome = run(path.read_text())
    assert not outcome.failures, "\n".join(outcome.failures)
    assert outcome.passed > 0


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_names_that_go_at_once_make_no_difference_to_plain_queries(path: Path) -> None:
    outcome = run(path.read_text(), replace(SETTINGS, delayed_name_removal=False))
    assert not [failure for failure in outcome.failures if "metric name" not in failure]


def test_a_script_that_expects_something_else_fails() -> None:
    wrong = "load 1m\n  up 1\n\neval instant at 0 up\n  up 2\n\neval instant at 0 up + up\n  {} 2\n"
    outcome = run(wrong)
    assert outcome.passed == 1
    assert len(outcome.failures) == 1


def test_a_missing_warning_and_an_unexpected_answer_are_failures() -> None:
    wrong = "eval instant at 0 vector(1)\n  expect warn\n  {} 1\n\neval instant at 0 vector(1)\n  expect fail\n"
    assert run(wrong).passed == 0
