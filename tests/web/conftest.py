"""One server with the shop's telemetry for all tests that look between services and within traces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from metered import open_metered
from served import Served
from shop import open_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with open_shop(tmp_path_factory.mktemp("shop")) as running:
        yield running


@pytest.fixture(scope="session")
def metered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with open_metered(tmp_path_factory.mktemp("metered")) as running:
        yield running
