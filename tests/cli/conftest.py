"""A server with metrics for commands to ask, and a way to run them."""

from __future__ import annotations

from typing import Any

import pytest
from metered import open_metered
from running import Run
from served import ADMIN_TOKEN, Served
from typer.testing import CliRunner, Result

from group_servers import GroupServer
from tocsin.cli.commands import app


@pytest.fixture(scope="session")
def metrics_servers(tmp_path_factory: pytest.TempPathFactory) -> GroupServer:
    return GroupServer(tmp_path_factory, "cli", open_metered)


@pytest.fixture
def metrics_server(metrics_servers: GroupServer) -> Served:
    return metrics_servers.served()


@pytest.fixture
def run(metrics_server: Served, monkeypatch: pytest.MonkeyPatch) -> Run:
    """run("query", "up") with an administrator's token; token="" sends none."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, token: str = ADMIN_TOKEN, **options: Any) -> Result:
        given = ["--url", metrics_server.url, "--data", "/nowhere", *(["--token", token] if token else [])]
        return CliRunner().invoke(app, [*arguments, *given], **options)

    return run
