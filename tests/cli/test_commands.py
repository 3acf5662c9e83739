"""The command line as a whole."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from tocsin.cli.commands import app


@pytest.mark.parametrize("asked", ["version", "--version"])
def test_version_is_told_either_way(asked: str) -> None:
    result = CliRunner().invoke(app, [asked])
    assert (result.exit_code, result.output) == (0, f"{version('tocsin')}\n")


def test_nothing_asked_is_answered_with_what_there_is() -> None:
    assert "serve" in CliRunner().invoke(app, []).output
