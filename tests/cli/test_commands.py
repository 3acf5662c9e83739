"""The command line as a whole."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from tocsin.cli.commands import app


@pytest.mark.parametrize("asked", ["version", "--version"])
def test_version_is_told_either_way(asked: str) -> None:
    result = CliRunner().invoke(app, [asked])
    assert (result.exit_code, result.output) == (0, f"{version('tocsin')}\n")


def test_nothing_asked_is_answered_with_what_there_is() -> None:
    assert "serve" in CliRunner().invoke(app, []).output


def test_the_data_folder_said_wins_over_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("said", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "local-token").write_text(f"tcs_{name}")
    monkeypatch.setenv("TOCSIN_DATA", str(tmp_path / "other"))
    asked: list[str] = []
    monkeypatch.setattr(httpx2, "request", lambda *given, headers, **named: asked.append(headers["authorization"]))

    CliRunner().invoke(app, ["alerts", "list", "--data", str(tmp_path / "said")])
    CliRunner().invoke(app, ["alerts", "list"])

    assert asked == ["Bearer tcs_said", "Bearer tcs_other"]
