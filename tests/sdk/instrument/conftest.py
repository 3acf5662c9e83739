"""A product with two tenants, and the servers it calls."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.sdk.measures import measures
from waiting import eventually, is_listening


@pytest.fixture(autouse=True)
def _fresh_measures() -> Iterator[None]:
    measures.forget()
    yield
    measures.forget()


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A real Redis of this test run."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed; run scripts/debian-packages")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [program, "--port", str(port), "--save", "", "--dir", str(tmp_path_factory.mktemp("redis"))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            eventually(lambda: is_listening(port), "Redis listens")
            yield port
        finally:
            server.terminate()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'shop.db'}"
