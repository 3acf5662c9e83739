"""A server with metrics for commands to ask, and a way to run them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from metered import open_metered
from running import Run
from served import ADMIN_TOKEN, Served
from typer.testing import CliRunner, Result

from tocsin.cli.commands import app


@pytest.fixture(scope="session")
def metrics_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with open_metered(tmp_path_factory.mktemp("cli")) as running:
        yield running


@pytest.fixture
def run(metrics_server: Served, monkeypatch: pytest.MonkeyPatch) -> Run:
    """run("query", "up") with an administrator's token; token="" sends none."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, token: str = ADMIN_TOKEN, **options: Any) -> Result:
        given = ["--url", metrics_server.url, "--data", "/nowhere", *(["--token", token] if token else [])]
        return CliRunner().invoke(app, [*arguments, *given], **options)

    return run
