"""Servers of their own for the flows: a fresh one for a test that hurts it, a shared one a module for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from product_process import ProductProcess
from server_process import ServerProcess

StartServer = Callable[..., ServerProcess]
StartProduct = Callable[..., ProductProcess]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers on fresh data: `start_server({"TOCSIN_…": "…"}, ["--option"])`."""
    started: list[ServerProcess] = []

    def start(
        environ: dict[str, str] | None = None, options: list[str] | None = None, is_first_start: bool = False
    ) -> ServerProcess:
        folder = tmp_path / f"server-{len(started)}"
        folder.mkdir()
        server = ServerProcess(folder, environ, options or [], is_first_start)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        if server.is_alive():
            server.kill()


@pytest.fixture
def server(start_server: StartServer) -> ServerProcess:
    return start_server()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path_factory.mktemp("shared"))
    server.start()
    yield server
    if server.is_alive():
        server.kill()


@pytest.fixture
def start_product(tmp_path: Path) -> Iterator[StartProduct]:
    """Starts parts of the demo: `start_product(["product", "--port", "0", …], {"TOCSIN_ENDPOINT": "…"})`."""
    started: list[ProductProcess] = []

    def start(arguments: list[str], environ: dict[str, str] | None = None) -> ProductProcess:
        product = ProductProcess(arguments, environ or {}, tmp_path / f"product-{len(started)}.log")
        started.append(product)
        product.wait_until_up()
        return product

    yield start
    for product in started:
        product.stop()
